"""Another gamma for a fitted selector at inference; elsewhere it is refused."""

import numpy as np
import pytest
import torch
from helpers.toy_dld import build, losses_of
from helpers.toy_words import toy_batch

from dld_spotter.config import load_cfg
from dld_spotter.modeling.dld.selector.regression import SHARPNESS, fitting_loss, shift_gamma


def test_a_shift_changes_the_loss_that_is_foreseen_by_gamma_times_the_cost():
    rng = np.random.default_rng(0)
    lost, costs = torch.tensor(rng.random((6, 3))), torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64)
    logits = shift_gamma(-SHARPNESS * lost, 0.3, costs)
    assert fitting_loss(logits, lost + 0.3 * costs).item() == pytest.approx(0, abs=1e-12)
    assert fitting_loss(logits, lost).item() > 1e-3


@pytest.mark.parametrize(
    "opts",
    [
        ("MODEL.DLD.SCALES", (0.5,)),
        ("MODEL.DLD.SELECTION", "random"),
    ],
)
def test_a_shift_without_a_selector_that_decides_is_refused(opts):
    with pytest.raises(ValueError, match=r"MODEL\.DLD\.GAMMA_SHIFT"):
        build("MODEL.DLD.GAMMA_SHIFT", 0.1, *opts)


def test_a_fixed_scale_stands_above_a_shift():
    """An exported model has a shift; "--scale 1" must still read with it."""
    model = build("MODEL.DLD.GAMMA_SHIFT", 0.1, "MODEL.DLD.FIXED_SCALE", 0.5).eval()
    images = model.student.preprocess_image(toy_batch((1, 1)))
    assert model.choose_scales(images) == [0.5, 0.5]


def test_a_shift_in_training_is_refused():
    model = build("MODEL.DLD.GAMMA_SHIFT", 0.1)
    with pytest.raises(ValueError, match=r"MODEL\.DLD\.GAMMA_SHIFT"):
        losses_of(model, toy_batch((1,)))
    assert len(model.eval()(toy_batch((1,)))) == 1


def test_a_limit_leaves_the_smaller_scales():
    model = build("MODEL.DLD.SCALES", (0.25, 0.5, 0.75)).eval()
    images = model.student.preprocess_image(toy_batch((1,)))
    with torch.no_grad():
        model.selector.classify.weight.zero_()
        model.selector.classify.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    chosen = {}
    for limit in (0.0, 0.25, 0.6, 0.75, 1.0):
        model.scale_limit = limit
        chosen[limit] = model.choose_scales(images)
    assert chosen == {0.0: [0.75], 0.25: [0.25], 0.6: [0.5], 0.75: [0.75], 1.0: [0.75]}


@pytest.mark.parametrize("limit", [-0.5, 0.1])
def test_a_limit_below_all_scales_is_refused(limit):
    with pytest.raises(ValueError, match="SCALE_LIMIT"):
        load_cfg("photos-dld", ["MODEL.DLD.SCALE_LIMIT", limit])
