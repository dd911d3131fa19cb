"""Errors of the processes that read: those that keep them from reading at all."""

import pytest
import toy

from dld_spotter.photo_sources import to_photos
from dld_spotter.reading.read_run import ReadRun
from dld_spotter.reading.worker_pool import WorkerPool

PHOTO = toy.ROOT / "projects" / "DLD" / "samples" / "scene_1.jpg"


def test_what_the_predictor_cannot_be_made_of_is_one_sentence():
    with pytest.raises(ValueError, match="there is no model gone"):
        WorkerPool(1, {"config": "gone", "runtime": "onnx"})


def test_an_error_while_photos_are_taken_comes_after_the_results_before_it():
    def photos():
        yield from to_photos([PHOTO])
        raise TypeError("no photo")

    with WorkerPool(1, {"config": "synthetic-dld", "runtime": "onnx", "opts": ["MODEL.DLD.FIXED_SCALE", 0.3]}) as pool:
        assert pool.chooses_scale
        results = pool.stream(photos())
        result = next(results)
        assert result.scale == 0.3 and result.source == PHOTO and result.error is None
        with pytest.raises(TypeError, match="no photo"):
            next(results)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"workers": -1}, "--workers"),
        ({"workers": 2, "batch_size": 2}, "--batch-size"),
        ({"inputs": ["-"], "drawings": "out", "overwrite": True}, "--overwrite"),
    ],
)
def test_options_that_do_not_go_together(options, says):
    with pytest.raises(ValueError, match=says):
        ReadRun(**{"inputs": ["a.jpg"]} | options)
