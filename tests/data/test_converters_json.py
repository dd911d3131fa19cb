"""The JSON formats of benchmarks and labelling tools."""

import json

import pytest
from helpers.converting import QUAD, add_image, convert, kinds


def write_json(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def test_davar(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        add_image(tmp_path, name)
    size = {"height": 40, "width": 60}
    content = {
        "###": "a comment",
        "a.jpg": {
            **size,
            "content_ann": {
                "bboxes": [[10, 10, 30, 20], [1, 1, 9, 1, 9, 9, 5, 9, 1, 9]],
                "texts": ["box", "curve"],
                "cares": [1, 0],
                "cbboxes": [[QUAD, QUAD, QUAD], []],
            },
        },
        "b.jpg": {**size, "content_ann": {"bboxes": [], "texts": []}},
        "c.jpg": {**size, "content_ann": {"bboxes": [QUAD], "texts": ["a", "b"]}},
        "d.jpg": {"height": 400, "width": 600, "content_ann": {"bboxes": [QUAD], "texts": ["a"]}},
        "e.jpg": {**size, "content_ann": {"bboxes": [QUAD], "texts": ["a"]}},
    }
    samples, problems = convert("davar", tmp_path, write_json(tmp_path / "train.json", content))
    assert [s.file_name for s in samples] == ["a.jpg", "b.jpg"]
    assert [(w.outline, w.text, w.ignore, w.characters) for w in samples[0].words] == [
        (QUAD, "box", False, [QUAD, QUAD, QUAD]),
        ([1, 1, 9, 1, 9, 9, 5, 9, 1, 9], "curve", True, None),
    ]
    assert kinds(problems) == {("error", "bad_entry"): 1, ("error", "wrong_size"): 1, ("error", "missing_image"): 1}


def test_cocotext(tmp_path):
    add_image(tmp_path, "COCO_1.jpg")
    add_image(tmp_path, "COCO_2.jpg")
    word = {"mask": [float(v) for v in QUAD], "bbox": [10, 10, 20, 10], "utf8_string": "a", "legibility": "legible"}
    content = {
        "imgs": {
            "1": {"id": 1, "file_name": "COCO_1.jpg", "set": "train"},
            "2": {"id": 2, "file_name": "COCO_2.jpg", "set": "val"},
        },
        "imgToAnns": {"1": [5, 6, 7], "2": []},
        "anns": {
            "5": {**word, "language": "english"},
            "6": {**word, "language": "not english"},
            "7": {**word, "mask": [], "language": "english", "legibility": "illegible"},
        },
    }
    path = write_json(tmp_path / "cocotext.v2.json", content)
    ((sample,), _) = convert("cocotext", tmp_path, path)
    assert [(w.outline, w.ignore) for w in sample.words] == [(QUAD, False), (QUAD, True), (QUAD, True)]
    ((sample,), _) = convert("cocotext", tmp_path, path, split="val")
    assert (sample.file_name, sample.words) == ("COCO_2.jpg", [])


@pytest.mark.parametrize("name", ["davar", "cocotext"])
@pytest.mark.parametrize("content", ["[]", "{", None])
def test_json_files_of_another_kind(tmp_path, name, content):
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=r"a\.json"):
        convert(name, tmp_path, tmp_path / "a.json")


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
        "b.jpg\t{",
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
