"""What scales cost, and reading at a scale that is asked for, with both kinds of readers."""

import cv2
import pytest
import torch
import toy

from dld_spotter import TextPredictor
from dld_spotter.scale_costs import ScaleCosts, check_scale

COSTS = ScaleCosts((0.5, 0.25), (0.4, 0.3))
SMALL = ["INPUT.MIN_SIZE_TEST", 192, "INPUT.MAX_SIZE_TEST", 256]


@pytest.mark.parametrize(("scale", "share"), [(0.5, 0.4), (0.25, 0.3), (1.0, 1.0), (0.75, 0.7), (0.1, 0.3)])
def test_a_share_of_the_cost_lies_between_those_of_the_candidates(scale, share):
    assert COSTS.share(scale) == pytest.approx(share)


@pytest.mark.parametrize(("scale", "costs"), [(0.0, COSTS), (1.01, COSTS), (float("nan"), COSTS), (0.5, None)])
def test_scales_that_cannot_be_asked_for(scale, costs):
    with pytest.raises(ValueError):
        check_scale(scale, costs)


@pytest.mark.parametrize(("scale", "costs"), [(None, None), (1.0, COSTS), (0.05, COSTS)])
def test_scales_that_can_be_asked_for(scale, costs):
    check_scale(scale, costs)


def predictor(runtime, *opts):
    if runtime == "onnx":
        pytest.importorskip("onnxruntime")
    return TextPredictor("synthetic-dld", opts=[*SMALL, *opts], runtime=runtime)


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_one_photo_is_read_at_a_scale_and_the_next_as_the_model_chooses(runtime):
    image = cv2.imread(str(toy.ROOT / "projects/DLD/samples/scene_1.jpg"))
    model = predictor(runtime)
    (chosen,) = model(image)
    scale = 0.85 if chosen.scale != 0.85 else 0.5
    (asked,) = model(image, scale=scale)
    assert asked.scale == scale
    assert asked == predictor(runtime, "MODEL.DLD.FIXED_SCALE", scale)(image)[0]
    assert model(image)[0] == chosen
    assert model.reader.costs.share(1.0) == 1.0 > model.reader.costs.share(scale)


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_a_model_that_chooses_no_scale_cannot_be_asked_for_one(runtime):
    if runtime == "onnx":
        pytest.importorskip("onnxruntime")
    model = TextPredictor("synthetic", opts=SMALL, runtime=runtime)
    assert model.reader.costs is None
    with pytest.raises(ValueError):
        model([], scale=0.5)


def test_threads_of_torch_are_the_process_s():
    before = torch.get_num_threads()
    try:
        TextPredictor("synthetic-map-teacher", device="cpu", runtime="torch", threads=before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
