"""Results on their way out: records, files and drawings that replace nothing."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from fake_spotter import fake_cfg
from helpers.grey_photos import photo, write_photos

from dld_spotter.photo_sources import to_photos
from dld_spotter.predictor import TextPredictor
from dld_spotter.results import TextResult


@pytest.fixture
def predictor(tmp_path):
    return TextPredictor(fake_cfg(tmp_path)[0], device="cpu")


def test_save_writes_record_and_drawing(predictor, tmp_path):
    paths = write_photos(tmp_path / "one", ["a.png"]) + write_photos(tmp_path / "two", ["a.png"])
    results = predictor([*paths, photo(), tmp_path / "gone.png"])
    for result in results:
        result.save(tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out" / "preds").iterdir()) == [
        "a.json",
        "a_2.json",
        "array_2.json",
        "gone.json",
    ]
    assert sorted(p.name for p in (tmp_path / "out" / "vis").iterdir()) == ["a.jpg", "a_2.jpg", "array_2.jpg"]
    record = json.loads((tmp_path / "out" / "preds" / "a.json").read_text(encoding="utf-8"))
    assert record == results[0].to_dict()
    drawn = cv2.imread(str(tmp_path / "out" / "vis" / "a.jpg"))
    assert drawn.shape == (60, 80, 3) and np.abs(drawn.astype(int) - 200).max() > 50


def test_save_replaces_nothing_unless_told_to_and_never_the_photo(predictor, tmp_path):
    (path,) = write_photos(tmp_path / "out" / "vis", ["a.jpg"])
    before = path.read_bytes()
    (result,) = predictor(path)
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="photo itself"):
            result.save(tmp_path / "out", overwrite=overwrite)
    (other,) = predictor(write_photos(tmp_path / "in", ["a.png"])[0])
    with pytest.raises(FileExistsError, match="there already"):
        other.save(tmp_path / "out")
    assert path.read_bytes() == before and not (tmp_path / "out" / "preds").exists()
    other.save(tmp_path / "out", overwrite=True)
    assert path.read_bytes() != before
    with pytest.raises(FileExistsError, match="a.json"):
        replace(other, error="gone").save(tmp_path / "out")


def test_the_scale_is_drawn_only_if_the_model_chose_it(predictor):
    (plain,) = predictor(photo(300, 400, 0))
    predictor.model.extra = {"scale": torch.tensor(1.0)}
    (chosen,) = predictor(photo(300, 400, 0))
    assert plain.to_dict() == chosen.to_dict()  # in a record it is always a number
    assert plain.draw()[270:, :100].max() == 0 and chosen.draw()[270:, :100].max() > 200


def test_a_record_and_its_photo_give_the_result_again(predictor):
    results = predictor([photo(), photo() * np.nan])
    for result, given in zip(results, to_photos([photo(), photo()]), strict=True):
        again = TextResult.from_dict(json.loads(result.to_json()), given)
        assert again.to_dict() == result.to_dict() and again.name == result.name


def test_drawing_checks_the_size(predictor):
    (result,) = predictor(photo())
    drawn = result.draw()
    assert drawn.shape == (60, 80, 3) and drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, result.draw(photo()))
    with pytest.raises(ValueError, match="80 x 60"):
        result.draw(photo(10, 10))
