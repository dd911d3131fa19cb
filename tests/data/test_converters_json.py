"""The JSON formats of benchmarks and labelling tools."""

import json
import time

import pytest
from helpers.converting import QUAD, add_image, convert, kinds, write_json


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


def test_a_bad_entry_costs_that_entry_in_cocotext(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        add_image(tmp_path, name)
    word = {"mask": QUAD, "utf8_string": "a", "legibility": "legible", "language": "english"}
    content = {
        "imgs": {
            "1": {"id": 1, "file_name": "a.jpg", "set": "train"},
            "2": "x",
            "3": {"id": 3, "set": "train"},
            "4": {"id": 4, "file_name": "../a.jpg", "set": "train"},
            "5": {"file_name": "b.jpg", "set": "train"},
            "6": {"id": 6, "file_name": "b.jpg", "set": "train"},
        },
        "imgToAnns": {"1": [1, 2, 3, 4], "6": 5},
        "anns": {"1": word, "2": {**word, "utf8_string": 5}, "3": "x"},
    }
    ((sample,), problems) = convert("cocotext", tmp_path, write_json(tmp_path / "cocotext.v2.json", content))
    assert [word.text for word in sample.words] == ["a"]
    assert kinds(problems) == {
        ("error", "wrong_type"): 1,
        ("error", "bad_word"): 2,
        ("error", "outside_folder"): 1,
        ("error", "bad_entry"): 4,
    }


def test_a_bad_entry_costs_that_entry_in_davar(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        add_image(tmp_path, name)
    content = {
        "a.jpg": {
            "content_ann": {
                "bboxes": [QUAD, QUAD, QUAD, QUAD, [1, 2, 3], "x", QUAD],
                "texts": ["good", "deep", "nine", "box", "short", "none", None],
                "cbboxes": [[QUAD], [[QUAD]], [[0] * 9], [[10, 10, 30, 20]], [], [], []],
            }
        },
        "b.jpg": 5,
        "c.jpg": {"content_ann": {"bboxes": 5}},
    }
    ((sample,), problems) = convert("davar", tmp_path, write_json(tmp_path / "train.json", content))
    assert [(word.text, word.characters) for word in sample.words] == [("good", [QUAD]), ("box", [QUAD]), ("", None)]
    assert problems.count("error") == 4 + 2


@pytest.mark.parametrize("value", ["ab", {"a": 1}, 5])
def test_a_list_is_a_list(tmp_path, value):
    """The letters of a text would become words, and an object an image without words."""
    add_image(tmp_path, "a.jpg")
    (tmp_path / "Label.txt").write_text(f"a.jpg\t{json.dumps(value)}", encoding="utf-8")
    write_json(tmp_path / "a.json", {"imagePath": "a.jpg", "shapes": value})
    coco = {"imgs": {"1": {"id": 1, "file_name": "a.jpg", "set": "train"}}, "imgToAnns": {"1": value}, "anns": {}}
    cases = [("ppocrlabel", tmp_path), ("labelme", tmp_path), ("cocotext", write_json(tmp_path / "coco.txt", coco))]
    size, columns = {"height": 40, "width": 60}, {"bboxes": [QUAD, QUAD], "texts": ["a", "b"]}
    for name in ("bboxes", "texts", "cares", "cbboxes"):
        content = {"a.jpg": {**size, "content_ann": {**columns, name: value}}}
        cases.append(("davar", write_json(tmp_path / f"{name}.txt", content)))
    for name, annotations in cases:
        samples, problems = convert(name, tmp_path, annotations)
        assert samples == [] and kinds(problems) == {("error", "bad_entry"): 1}, name


def test_an_image_of_cocotext_needs_a_number(tmp_path):
    add_image(tmp_path, "a.jpg")
    coco = {"imgs": {"1": {"id": [1], "file_name": "a.jpg", "set": "train"}}, "imgToAnns": {"1": []}, "anns": {}}
    samples, problems = convert("cocotext", tmp_path, write_json(tmp_path / "coco.txt", coco))
    assert samples == [] and kinds(problems) == {("error", "bad_entry"): 1}


def test_a_path_without_end_costs_no_time(tmp_path):
    add_image(tmp_path, "a.jpg")
    (tmp_path / "Label.txt").write_text("x/" * 200_000 + "a.jpg\t[]", encoding="utf-8")
    start = time.process_time()
    assert len(convert("ppocrlabel", tmp_path, tmp_path)[0]) == 1
    assert time.process_time() - start < 1
