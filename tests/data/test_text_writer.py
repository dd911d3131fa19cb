"""Writing text JSONs: what is written loads again, and an interrupted writer leaves the old file."""

import json
import math

import cv2
import numpy as np
import pytest
from helpers.text_json import image_entry, word_entry
from toy import ROOT

from dld_spotter.data.text_json import TextJsonWriter, check_text_json, load_text_json, write_text_json


def test_written_words_load_again(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 60, 3), np.uint8))
    path = tmp_path / "new" / "words.json"
    outline = np.array([[10.123456, 10], [30, 10.5], [30, 20], [10, 20]], np.float32)
    word = {"image_id": 4, "segmentation": [outline], "text": 'Café, "x"', "ignore": False}
    write_text_json(path, [image_entry(id=4)], [word], {"source": "test"})
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert raw["info"] == {"source": "test"}
    assert raw["categories"] == [{"id": 1, "name": "text"}]
    assert raw["images"] == [image_entry(id=4)]
    assert raw["annotations"] == [
        {
            "id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [10, 10, 20, 10],
            "area": 194.43,  # by the shoelace formula, from the rounded corners
            "image_id": 4,
            "segmentation": [[10.12, 10, 30, 10.5, 30, 20, 10, 20]],
            "text": 'Café, "x"',
            "ignore": 0,
        }
    ]
    assert "Café" in path.read_text(encoding="utf-8")
    (record,) = load_text_json(str(path), str(tmp_path))
    assert record["annotations"][0]["text"] == 'Café, "x"'


def test_the_example_in_the_readme_is_what_we_read_and_write(tmp_path):
    text = (ROOT / "datasets" / "README.md").read_text(encoding="utf-8")
    content = json.loads(text.split("```json")[1].split("```")[0])
    cv2.imwrite(str(tmp_path / "img_1.jpg"), np.zeros((720, 1280, 3), np.uint8))
    (tmp_path / "words.json").write_text(json.dumps(content))
    assert check_text_json(str(tmp_path / "words.json"), str(tmp_path)) == []
    bare = [
        {key: word[key] for key in ("image_id", "segmentation", "text", "ignore")} for word in content["annotations"]
    ]
    write_text_json(tmp_path / "again.json", content["images"], bare, content["info"])
    assert json.loads((tmp_path / "again.json").read_text()) == content


def test_writing_nothing(tmp_path):
    write_text_json(tmp_path / "empty.json", [], [])
    assert load_text_json(str(tmp_path / "empty.json"), str(tmp_path)) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_writer_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "words.json"
    old = '{"info": "old"}'
    path.write_text(old)
    with pytest.raises(error), TextJsonWriter(path) as writer:
        writer.add_image(image_entry())
        writer.add_annotation(word_entry())
        raise error
    assert path.read_text() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["words.json"]


@pytest.mark.parametrize("content", [b"\xff\xd8\xff", b'{"images": []}', b'[{"file_name": "a.jpg"}]', None])
def test_no_file_of_another_kind_is_replaced(tmp_path, content):
    path = tmp_path / "photo.jpg"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError, match=r"photo\.jpg is there already"):
        write_text_json(path, [image_entry()], [])
    assert content is None or path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", None])
def test_an_empty_file_and_an_own_one_are_replaced(tmp_path, content):
    path = tmp_path / "words.json"
    if content is None:
        write_text_json(path, [image_entry()], [])
    else:
        path.write_bytes(content)
    write_text_json(path, [image_entry(file_name="b.png")], [])
    assert load_text_json(path)[0]["file_name"] == "b.png"


@pytest.mark.parametrize(
    ("image", "word"),
    [
        ({}, word_entry([1, 1, math.nan, 2, 3, 4])),
        ({}, word_entry([1, 1, math.inf, 2, 3, 4])),
        ({}, word_entry([1, 1, 1e308, 2, 3, 4])),
        ({}, word_entry(text="a\ud800")),
        ({}, word_entry(text="a\0")),
        ({}, word_entry(text=None)),
        ({}, word_entry(characters=[[1, 2, 3, 4]])),
        ({"file_name": "../a.png"}, word_entry()),
        ({"height": 0}, word_entry()),
    ],
)
def test_the_writer_refuses_what_does_not_load(tmp_path, image, word):
    with pytest.raises(ValueError, match=r"words\.json, (annotation|image) 1: "):
        write_text_json(tmp_path / "words.json", [image_entry(**image)], [word])
    assert list(tmp_path.iterdir()) == []
