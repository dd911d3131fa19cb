"""The JSON formats of labelling tools: labelme and PPOCRLabel."""

import json

import pytest
from helpers.converting import QUAD, add_image, convert, kinds, write_json


def test_labelme(tmp_path):
    for name in ("a.jpg", "sub/b.jpg", "c.jpg"):
        add_image(tmp_path, name)
    shapes = [
        {"label": "Exit", "points": [[10, 10], [30, 10], [30, 20], [10, 20]], "shape_type": "polygon"},
        {"label": "box", "points": [[30, 20], [10, 10]], "shape_type": "rectangle", "flags": {}},
        {"label": "blurred", "points": [[10, 10], [30, 10], [30, 20], [10, 20]], "flags": {"ignore": True}},
        {"label": "###", "points": [[10, 10], [30, 10], [30, 20], [10, 20]], "description": "word"},
        {"label": "dot", "points": [[10, 10]], "shape_type": "point"},
    ]
    size = {"imageHeight": 40, "imageWidth": 60}
    write_json(tmp_path / "a.json", {"imagePath": "a.jpg", "shapes": shapes, **size})
    write_json(tmp_path / "b.json", {"imagePath": "..\\photos\\sub\\b.jpg", "shapes": [], **size})
    write_json(tmp_path / "c.json", {"imagePath": "c.jpg", "shapes": [], "imageHeight": 80, "imageWidth": 60})
    write_json(tmp_path / "d.json", {"imagePath": "none.jpg", "shapes": []})
    write_json(tmp_path / "e.json", {"shapes": []})
    write_json(tmp_path / "f.json", {"imagePath": "a.jpg", "shapes": []})
    samples, problems = convert("labelme", tmp_path, tmp_path)
    assert [s.file_name for s in samples] == ["a.jpg", "sub/b.jpg"]
    assert [(w.outline, w.text, w.ignore) for w in samples[0].words] == [
        (QUAD, "Exit", False),
        (QUAD, "box", False),
        (QUAD, "blurred", True),
        (QUAD, "###", True),
    ]
    assert kinds(problems) == {
        ("warning", "other_shape"): 1,
        ("error", "wrong_size"): 1,
        ("error", "missing_image"): 1,
        ("error", "bad_entry"): 1,
        ("error", "duplicate_image"): 1,
    }
    samples, _ = convert("labelme", tmp_path, tmp_path, text_field="description")
    assert [w.text for w in samples[0].words] == ["", "", "", "word"]


def test_ppocrlabel(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        add_image(tmp_path, name)
    points = [[10, 10], [30, 10], [30, 20], [10, 20]]
    entries = [
        {"transcription": "Exit, 1", "points": points, "difficult": False},
        {"transcription": "blurred", "points": points, "difficult": True},
        {"transcription": "待识别", "points": points},
    ]
    lines = [
        f"photos/a.jpg\t{json.dumps(entries, ensure_ascii=False)}",
        "photos/b.jpg\t[]",
        "photos/none.jpg\t[]",
        "photos/b.jpg\t[]",
        "photos/b.jpg []",
        "photos/b.jpg\t{",
    ]
    (tmp_path / "Label.txt").write_text("\n".join(lines), encoding="utf-8")
    samples, problems = convert("ppocrlabel", tmp_path, tmp_path)
    assert [(s.file_name, len(s.words)) for s in samples] == [("a.jpg", 3), ("b.jpg", 0)]
    assert [(w.outline, w.text, w.ignore) for w in samples[0].words] == [
        (QUAD, "Exit, 1", False),
        (QUAD, "blurred", True),
        (QUAD, "", True),
    ]
    assert kinds(problems) == {
        ("warning", "placeholder"): 1,
        ("error", "missing_image"): 1,
        ("error", "duplicate_image"): 1,
        ("error", "bad_entry"): 2,
    }
    assert [p.annotation for p in problems.of("error")] == ["line 3", "line 4", "line 5", "line 6"]


@pytest.mark.parametrize("paths", [("train/1.jpg", "test/1.jpg"), ("D:\\test\\1.jpg", "train/1.jpg", "test/1.jpg")])
def test_a_photo_gets_no_words_of_another_folder_in_ppocrlabel(tmp_path, paths):
    """Of two photos of one name one is there: nobody knows whose words are whose."""
    add_image(tmp_path, "1.jpg")
    add_image(tmp_path, "2.jpg")
    lines = [f"{path}\t[]" for path in (*paths, "train/2.jpg")]
    (tmp_path / "Label.txt").write_text("\n".join(lines), encoding="utf-8")
    samples, problems = convert("ppocrlabel", tmp_path, tmp_path)
    assert [s.file_name for s in samples] == ["2.jpg"]
    assert kinds(problems) == {("error", "ambiguous_image"): len(paths)}
    for name in ("train/1.jpg", "test/1.jpg"):
        add_image(tmp_path, name)
    samples, problems = convert("ppocrlabel", tmp_path, tmp_path)
    assert {"train/1.jpg", "test/1.jpg"} <= {s.file_name for s in samples}


def test_labelme_files_in_folders_are_about_the_photos_beside_them(tmp_path):
    for name in ("1.jpg", "a/1.jpg", "a/2.jpg"):
        add_image(tmp_path, name)
    for name, path in (("a/1", "1.jpg"), ("b/1", "1.jpg"), ("1", "1.jpg"), ("a/3", "../3.jpg"), ("b/2", "../a/2.jpg")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_json(tmp_path / f"{name}.json", {"imagePath": path, "shapes": [_shape(name)]})
    samples, problems = convert("labelme", tmp_path, tmp_path)
    assert {s.file_name: s.words[0].text for s in samples} == {"1.jpg": "1", "a/1.jpg": "a/1", "a/2.jpg": "b/2"}
    assert kinds(problems) == {("error", "ambiguous_image"): 1, ("error", "missing_image"): 1}


def _shape(text):
    return {"label": text, "points": [[10, 10], [30, 20]], "shape_type": "rectangle"}


CORNERS = [[10, 10], [30, 10], [30, 20], [10, 20]]


def test_a_bad_word_costs_that_word_in_ppocrlabel(tmp_path):
    add_image(tmp_path, "a.jpg")
    good = {"transcription": "good", "points": CORNERS}
    bad = [
        {**good, "transcription": 5},
        {**good, "transcription": "a\0"},
        {**good, "transcription": "a\ud800"},
        {**good, "transcription": []},
        {"points": CORNERS},
        {**good, "points": [[1, 2, 3]] * 4},
        {**good, "points": [[1e308, 1]] * 4},
        {**good, "points": [[10**400, 1]] * 4},
        {**good, "points": [["1", 1]] * 4},
        {**good, "points": 5},
        "x",
        None,
    ]
    entries = [{**good, "transcription": None}, *bad, good]
    (tmp_path / "Label.txt").write_text(f"a.jpg\t{json.dumps(entries)}\na.jpg\t{'[' * 100_000}\n{'a' * 300}\t[]")
    ((sample,), problems) = convert("ppocrlabel", tmp_path, tmp_path)
    assert [(word.text, word.ignore) for word in sample.words] == [("", True), ("good", False)]
    assert problems.count("error") == len(bad) + 2
    for problem in problems.kept[: len(bad)]:
        assert (problem.image, problem.annotation.split(",")[0]) == ("a.jpg", "line 1")


@pytest.mark.parametrize("field", ["flags", "beside"])
def test_difficult_words_of_labelme(tmp_path, field):
    add_image(tmp_path, "a.jpg")
    mark = {"flags": {"difficult": True}} if field == "flags" else {"difficult": True, "flags": {}}
    shapes = [{"label": "a", "points": CORNERS, **mark}, {"label": "b", "points": CORNERS, "difficult": False}]
    write_json(tmp_path / "a.json", {"imagePath": "a.jpg", "shapes": shapes})
    ((sample,), _) = convert("labelme", tmp_path, tmp_path)
    assert [word.ignore for word in sample.words] == [True, False]


@pytest.mark.parametrize(
    ("labels", "descriptions", "hint"),
    [
        (["text", "text", "text"], ["Exit", "Way", ""], True),
        (["text", "text", "text"], ["", "", None], False),
        (["text", "text", "text"], ["sign", "sign", "sign"], False),
        (["Exit", "Way", "out"], ["a", "b", "c"], False),
    ],
)
def test_labelme_hints_at_words_in_descriptions(tmp_path, labels, descriptions, hint):
    add_image(tmp_path, "a.jpg")
    shapes = [
        {"label": label, "description": text, "points": CORNERS}
        for label, text in zip(labels, descriptions, strict=True)
    ]
    write_json(tmp_path / "a.json", {"imagePath": "a.jpg", "shapes": shapes})
    _, problems = convert("labelme", tmp_path, tmp_path)
    assert kinds(problems) == ({("warning", "equal_labels"): 1} if hint else {})
    _, problems = convert("labelme", tmp_path, tmp_path, text_field="description")
    assert kinds(problems) == {}


def test_labelme_skips_files_in_our_format(tmp_path):
    add_image(tmp_path, "a.jpg")
    write_json(tmp_path / "a.json", {"imagePath": "a.jpg", "shapes": []})
    write_json(tmp_path / "val.json", {"images": [], "annotations": []})
    samples, problems = convert("labelme", tmp_path, tmp_path)
    assert len(samples) == 1
    assert kinds(problems) == {}


def test_a_damaged_labelme_file_costs_itself(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        add_image(tmp_path, name)
    write_json(tmp_path / "a.json", {"imagePath": "a.jpg", "shapes": [{"label": "a", "points": [[1, 2, 3]] * 4}]})
    for number, content in enumerate(("[" * 100_000, "[]", "5", '{"imagePath": 5, "shapes": []}', "9" * 5000)):
        (tmp_path / f"b{number}.json").write_text(content)
    samples, problems = convert("labelme", tmp_path, tmp_path)
    assert [(sample.file_name, sample.words) for sample in samples] == [("a.jpg", [])]
    assert kinds(problems) == {("error", "bad_word"): 1, ("error", "bad_entry"): 5}


@pytest.mark.parametrize("mark", [True, 1, 1.0, False, 0, None, "false", "true", 2, [], {}, [1]])
def test_a_mark_is_true_or_false(tmp_path, mark):
    """ "false" as a text would count as set."""
    add_image(tmp_path, "a.jpg")
    word = {"transcription": "word", "points": CORNERS, "difficult": mark}
    (tmp_path / "Label.txt").write_text(f"a.jpg\t{json.dumps([word])}", encoding="utf-8")
    shape = {"label": "word", "points": CORNERS, "flags": {"difficult": mark}}
    write_json(
        tmp_path / "a.json", {"imagePath": "a.jpg", "shapes": [shape, {**shape, "flags": {}, "difficult": mark}]}
    )
    size = {"height": 40, "width": 60}
    content = {"bboxes": [QUAD], "texts": ["word"], "cares": [mark]}
    davar = write_json(tmp_path / "davar.txt", {"a.jpg": {**size, "content_ann": content}})
    for name, annotations in (("ppocrlabel", tmp_path), ("labelme", tmp_path), ("davar", davar)):
        ((sample,), problems) = convert(name, tmp_path, annotations)
        found = {word.ignore for word in sample.words}
        if mark in (True, False, None):
            assert found == {bool(mark) != (name == "davar")} and kinds(problems) == {}
        elif name != "labelme" or mark:  # an empty flag of another kind is none
            assert problems.count("error") >= 1
