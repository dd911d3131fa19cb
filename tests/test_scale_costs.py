"""What scales cost, and reading at a scale that is asked for, with both kinds of readers."""

import cv2
import numpy as np
import pytest
import torch
import toy

from dld_spotter import TextPredictor
from dld_spotter.modeling.dld.selector.regression import foreseen_losses
from dld_spotter.scale_costs import ScaleBound, ScaleCosts, check_scale

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
        TextPredictor("paper-dld", device="cpu", runtime="torch", threads=before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


SIX = ScaleCosts((0.25, 0.35, 0.5, 0.7, 0.85, 1.0), (0.28, 0.34, 0.44, 0.63, 0.8, 1.0))


@pytest.mark.parametrize("cost", [0.28, 0.5, 0.63, 0.9, 1.0])
def test_the_largest_scale_of_a_cost_is_the_inverse(cost):
    assert SIX.share(SIX.largest(cost)) == pytest.approx(cost)
    assert SIX.largest(0.1) == 0.25


def test_bounds_by_hand():
    losses = [0.3, 0.2, 0.1, 0.0, 0.0, 0.1]
    assert ScaleBound().choose(losses, SIX) == 0.7, "the smallest of the best ones"
    # From 0.5 to 0.7 the loss falls from 0.1 to 0, so that it is 0.05 in the middle.
    assert ScaleBound(max_loss=0.05).choose(losses, SIX) == pytest.approx(0.6)
    assert ScaleBound(max_loss=1.0).choose(losses, SIX) == 0.25
    assert ScaleBound(budget=0.44).choose(losses, SIX) == 0.5
    assert ScaleBound(budget=0.28).choose(losses, SIX) == 0.25
    assert ScaleBound().choose(losses, SIX, limit=0.6) == 0.5, "the largest candidate up to the limit"
    turned = ScaleCosts(SIX.scales[::-1], SIX.costs[::-1])
    assert ScaleBound(max_loss=0.05).choose(losses[::-1], turned) == pytest.approx(0.6)


@pytest.mark.parametrize("seed", range(30))
def test_the_choice_is_what_a_search_of_all_scales_finds(seed):
    rng = np.random.default_rng(seed)
    losses, bound = rng.normal(size=6), ScaleBound(rng.choice([0.0, rng.uniform(0, 1)]), rng.uniform(0.28, 1.0))
    scales = np.arange(0.25, 1.00005, 0.0001)
    costs, foreseen = np.array([SIX.share(s) for s in scales]), np.interp(scales, SIX.scales, losses)
    afford = costs <= bound.budget + 1e-9
    best = scales[afford & (foreseen <= foreseen[afford].min() + bound.max_loss + 1e-9)].min()
    chosen = bound.choose(losses, SIX)
    assert chosen == pytest.approx(best, abs=0.0015) and SIX.share(chosen) <= bound.budget + 1e-9


def test_bounds_that_bound_nothing():
    for wrong in ({"max_loss": -0.1}, {"budget": 0.0}, {"budget": float("nan")}, {"max_loss": float("nan")}):
        with pytest.raises(ValueError, match="the largest loss is"):
            ScaleBound(**wrong)
    with pytest.raises(ValueError, match=r"the budget is 0.2; the smallest scale costs 0.28"):
        check_scale(ScaleBound(budget=0.2), SIX)
    with pytest.raises(ValueError, match="full resolution alone"):
        check_scale(ScaleBound(), None)


def test_foreseen_losses_undo_the_gamma_of_the_fit():
    losses, costs = torch.tensor([[0.3, 0.1, 0.0]]), torch.tensor([0.2, 0.5, 1.0])
    logits = -10 * (losses + 0.3 * costs)
    torch.testing.assert_close(foreseen_losses(logits, 0.3, costs), losses)


def test_both_readers_choose_within_a_bound_and_then_as_before():
    pytest.importorskip("onnxruntime")
    image = cv2.imread(str(toy.ROOT / "projects/DLD/samples/scene_1.jpg"))
    readers = [TextPredictor("photos-dld", opts=SMALL, runtime=runtime) for runtime in ("torch", "onnx")]
    costs = readers[0].reader.costs
    assert costs == readers[1].reader.costs
    for bound in (ScaleBound(max_loss=0.02), ScaleBound(budget=0.4)):
        ours, theirs = (reader(image, scale=bound)[0].scale for reader in readers)
        assert ours == pytest.approx(theirs, abs=0.002) and costs.share(theirs) <= bound.budget + 1e-6
        assert min(costs.scales) <= theirs <= 0.7, "SCALE_LIMIT of the model"
    assert readers[0](image)[0].scale == readers[1](image)[0].scale in costs.scales
    readers[1].scale = 0.3
    assert readers[1](image)[0].scale == 0.3
