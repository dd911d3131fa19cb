"""TextPredictor's streams and inputs: every kind of photo, one result after the other, one bad photo costs one."""

import json
import os
import weakref

import cv2
import numpy as np
import pytest
import torch
from fake_spotter import fake_cfg
from helpers.grey_photos import photo, write_photos
from PIL import Image

from dld_spotter.image_io import ImageError
from dld_spotter.predictor import TextPredictor


@pytest.fixture
def predictor(tmp_path):
    return TextPredictor(fake_cfg(tmp_path)[0], device="cpu")


def test_every_kind_of_input_gives_the_same_words(predictor, tmp_path):
    (path,) = write_photos(tmp_path / "in", ["a.png"])
    opened = Image.open(path)
    grey = photo()[:, :, 0]
    inputs = [path, str(path), path.read_bytes(), opened, opened.convert("RGBA"), photo(), grey, grey / 255]
    results = predictor(inputs, batch_size=2)
    assert [result.error for result in results] == [None] * len(inputs)
    assert all(result.words == results[0].words for result in results) and len(results[0].words) == 3
    for given, result in zip(inputs, results, strict=True):
        (alone,) = predictor(given)
        assert alone.words == result.words
        np.testing.assert_array_equal(result.draw(), results[0].draw())


def test_each_result_is_there_before_the_next_photo_is_touched(predictor, tmp_path):
    taken = []

    def photos():
        for number in range(50):
            taken.append(number)
            yield photo()

    stream = predictor.stream(photos())
    assert taken == []
    for number, result in enumerate(stream):
        assert result.name == f"array_{number}" and len(taken) == number + 1
    taken.clear()
    for number, _ in enumerate(predictor.stream(photos(), batch_size=4)):
        assert len(taken) <= number + 12
    assert len(taken) == 50


def test_a_stream_holds_no_photo_that_was_given(predictor):
    held = []

    def photos():
        for _ in range(20):
            image = photo()
            held.append(weakref.ref(image))
            yield image
            del image

    most = 0
    for result in predictor.stream(photos(), batch_size=2):
        del result
        most = max(most, sum(reference() is not None for reference in held))
    assert most <= 7  # three batches, and the one that is being given


def test_stream_and_call_agree_and_check_their_arguments_at_once(predictor, tmp_path):
    paths = write_photos(tmp_path / "in", ["b.png", "a.jpg"]) + [tmp_path / "gone.jpg"]
    for given, again in ((paths, paths), (iter(paths), paths), (str(tmp_path / "in"), tmp_path / "in")):
        assert [r.to_dict() for r in predictor.stream(given, batch_size=2)] == [r.to_dict() for r in predictor(again)]
    for wrong, error in (({"batch_size": 0}, ValueError), ({"on_error": "x"}, ValueError)):
        with pytest.raises(error):
            predictor.stream(iter(paths), **wrong)
    with pytest.raises(TypeError):
        predictor.stream([photo(), 3])
    with pytest.raises(ImageError, match="gone.jpg"):
        list(predictor.stream(paths, on_error="raise"))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError, IndexError])
def test_a_photo_that_the_model_cannot_read_is_a_record_with_its_error(predictor, error):
    def fail(module, args):
        if len(args[0]) > 2 or any(given["image"].max() == 99 for given in args[0]):
            raise error("CUDA out of memory\nand a long story")

    predictor.model.register_forward_pre_hook(fail)
    inputs = [photo(), photo(value=99), photo(), photo(), photo()]
    for batch_size in (1, 5):
        results = predictor(inputs, batch_size)
        assert [result.error is None for result in results] == [True, False, True, True, True]
        assert [len(result.words) for result in results] == [3, 0, 3, 3, 3]
        assert error.__name__ in results[1].error and "array_1" in results[1].error and "\n" not in results[1].error
        assert results[1].to_dict().keys() == {"file_name", "error"}
    with pytest.raises(error):
        predictor(inputs, on_error="raise")


def test_every_page_of_a_tiff_has_its_record(predictor, tmp_path):
    pages = [Image.fromarray(photo(value=value)) for value in (200, 0, 100)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    results = predictor(tmp_path / "scan.tif", batch_size=2)
    assert [result.to_dict()["page"] for result in results] == [1, 2, 3]
    assert [len(result.words) for result in results] == [3, 0, 3]
    assert {result.file_name for result in results} == {"scan.tif"}
    assert results[2].draw().max() < 256 and results[1].draw().max() < results[0].draw().max()
    for result in results:
        result.save(tmp_path / "out")
    assert len(list((tmp_path / "out" / "vis").iterdir())) == 3


def test_subfolders_are_read_if_asked_for(predictor, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_photos(tmp_path / "in" / name, ["1.png"])
    assert predictor(tmp_path / "in")[0].error is not None
    assert [result.file_name for result in predictor(tmp_path / "in", recursive=True)] == ["a/1.png", "b/1.png"]


def test_a_file_name_that_is_no_utf8_is_kept(predictor, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(cv2.imencode(".png", photo())[1].tobytes())
    (result,) = predictor(path)
    record = json.loads(result.to_json().encode("utf-8"))
    assert record == result.to_dict() and os.fsencode(record["file_name"]) == b"caf\xe9.png"
    assert "\n" not in result.to_json()
    result.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "preds" / os.fsdecode(b"caf\xe9.json")).read_bytes()) == record


def test_a_strip_of_any_shape_is_read(predictor):
    results = predictor([np.full((2, 1000, 3), 200, np.uint8), np.full((1000, 2, 3), 200, np.uint8)])
    assert [result.error for result in results] == [None, None]
