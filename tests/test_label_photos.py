"""Labelling photos with a teacher: what is sure, what is don't care, what cannot be read."""

import json
import os

import cv2
import numpy as np
import pytest
import toy
from PIL import Image

from dld_spotter.data.text_json import load_text_json
from dld_spotter.results import TextResult, Word


def word(text, score, left):
    outline = [[left, 10.0], [left + 30, 10.0], [left + 30, 25.0], [left, 25.0]]
    return Word(text, score, 0.99, score / 0.99, outline)


class Teacher:
    """In the place of TextPredictor: one sure and one doubtful word, but in a broken photo none."""

    def __init__(self, config, opts):
        assert list(opts[-2:]) == ["TEST.TEXT.SCORE_THRESHOLD", 0.3]

    def stream(self, photos):
        for photo in photos:
            if "broken" in photo.file_name:
                yield TextResult(photo.file_name, error="broken.jpg: no image")
            else:
                yield TextResult(photo.file_name, 60, 100, words=[word("sure", 0.9, 5.0), word("perhaps", 0.5, 50.0)])


@pytest.fixture
def tool(monkeypatch):
    script = toy.load_script("tools/label_photos.py")
    monkeypatch.setattr(script, "TextPredictor", Teacher)
    return script


def test_sure_words_are_words_and_doubtful_ones_are_ignored(tool, tmp_path, capsys):
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    for name in ("a.jpg", "more/b.png"):
        cv2.imwrite(str(photos / name), np.zeros((60, 100, 3), np.uint8))
    (photos / "broken.jpg").write_bytes(b"nothing")
    arguments = ["--input", str(photos), "--output", str(tmp_path / "labels.json"), "--recursive"]
    assert tool.main(arguments) == 1, "a photo could not be read"
    records = load_text_json(str(tmp_path / "labels.json"), str(photos))
    assert sorted(record["file_name"] for record in records) == [str(photos / "a.jpg"), str(photos / "more/b.png")]
    assert [(w["text"], w["ignore"]) for w in records[0]["annotations"]] == [("sure", False), ("", True)]
    assert json.loads((tmp_path / "labels.json").read_text())["annotations"][0]["score"] == 0.9
    assert "2 words and 2 don't-care regions in 2 photos" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--sure", "0.2"], ["--doubtful", "-1"]])
def test_thresholds_in_the_wrong_order_are_refused(tool, tmp_path, options):
    assert tool.main(["--input", str(tmp_path), "--output", str(tmp_path / "labels.json"), *options]) == 1
    assert not (tmp_path / "labels.json").exists()


def test_no_photo_is_replaced_and_names_that_are_no_text_cost_themselves(tool, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    pixels = np.zeros((60, 100, 3), np.uint8)
    cv2.imwrite(str(photos / "a.jpg"), pixels)
    before = (photos / "a.jpg").read_bytes()
    assert tool.main(["--input", str(photos), "--output", str(photos / "a.jpg")]) == 1
    assert (photos / "a.jpg").read_bytes() == before and "give another --output" in capsys.readouterr().err
    (photos / os.fsdecode(b"caf\xe9.jpg")).write_bytes(before)
    Image.fromarray(pixels).save(photos / "scan.tif", save_all=True, append_images=[Image.fromarray(pixels)])
    arguments = ["--input", str(photos), "--output", str(tmp_path / "labels.json")]
    for _ in range(2):  # the same command works again
        assert tool.main(arguments) == 1, "a photo is left out"
        records = load_text_json(str(tmp_path / "labels.json"), str(photos))
        assert [record["file_name"] for record in records] == [str(photos / "a.jpg"), str(photos / "scan.tif")]


def test_an_interrupted_run_keeps_what_it_has(tool, tmp_path, monkeypatch, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(photos / name), np.zeros((60, 100, 3), np.uint8))

    class Interrupted(Teacher):
        def stream(self, photos):
            yield next(super().stream(photos))
            raise KeyboardInterrupt

    monkeypatch.setattr(tool, "TextPredictor", Interrupted)
    assert tool.main(["--input", str(photos), "--output", str(tmp_path / "labels.json")]) == 1
    assert len(load_text_json(str(tmp_path / "labels.json"))) == 1 and "1 photos" in capsys.readouterr().out
