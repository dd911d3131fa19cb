"""Dice, the normalised regression, and what a perfect prediction costs."""

import numpy as np
import pytest
import torch
from helpers.curved_words import curved_word, targets_of

from dld_spotter.modeling.text_perceptron.order_aware_head import OrderAwareHead, SegmentationMaps, label_areas
from dld_spotter.modeling.text_perceptron.text_perceptron_losses import PerceptronLosses, dice_loss, regression_error
from dld_spotter.modeling.text_perceptron.text_perceptron_targets import TargetMaker


def test_dice_by_hand():
    """Cells 0.5 (true), 1 (true), 0.5 (false), and one that is not counted: 1 - (2 * 1.5 + 1) / (1.5 + 2 + 1)."""
    scores = torch.tensor([[[0.5, 1.0], [0.5, 0.9]]])
    truth = torch.tensor([[[True, True], [False, True]]])
    counted = torch.tensor([[[True, True], [True, False]]])
    assert dice_loss(scores, truth, counted).item() == pytest.approx(1 - 4 / 4.5)
    assert dice_loss(torch.zeros(1, 2, 2), truth & False, counted).item() == 0
    both = dice_loss(scores.repeat(2, 1, 1), truth.repeat(2, 1, 1), counted.repeat(2, 1, 1))
    assert both.item() == pytest.approx(1 - 7 / 8), "summed over the batch, not a mean of images"


def test_regression_error_one_number_at_a_time():
    predicted, target, beta = torch.randn(2, 4, 3, 5), torch.randn(2, 4, 3, 5), 0.11
    target[0, 0] = predicted[0, 0] + 0.05
    valid = torch.rand(2, 3, 5) > 0.5
    total = 0.0
    for image, channel, row, column in np.ndindex(2, 4, 3, 5):
        error = abs(predicted[image, channel, row, column] - target[image, channel, row, column]).item()
        if valid[image, row, column]:
            total += 0.5 * error**2 / beta if error < beta else error - beta / 2
    found, number = regression_error(predicted, target, valid, beta)
    assert found.item() == pytest.approx(total, rel=1e-5)
    assert number.item() == 4 * valid.sum().item()


def perfect(maps) -> SegmentationMaps:
    scores = torch.stack([(maps.areas == area).float() * 80 - 40 for area in range(1, 5)], dim=1)
    return SegmentationMaps(scores, maps.geometry.repeat(1, 3, 1, 1))


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    batch = [targets_of([curved_word(rng)], (256, 256)) for _ in range(2)]
    return TargetMaker()(batch, (64, 64), 4)


def test_a_perfect_prediction_costs_nothing(maps):
    losses = PerceptronLosses()(perfect(maps), maps)
    assert set(losses) == {
        *(f"loss_seg_{name}" for name in ("center", "head", "tail", "boundary")),
        *(f"loss_reg_{name}" for name in ("head", "tail", "offset")),
    }
    assert max(losses.values()) < 1e-5


def test_weights_and_normalisation(maps):
    off = perfect(maps)
    off.geometry[:, :4] += 1.0  # every head cell is wrong by 32 pixels: smooth L1 of 1 - 0.055
    off.geometry[:, 8:] += 2.0
    losses = PerceptronLosses(corner_weight=2.0, offset_weight=0.5)(off, maps)
    regressed = {name: value.item() for name, value in losses.items() if "reg" in name}
    expected = {"loss_reg_head": 2 * 0.945, "loss_reg_tail": 0.0, "loss_reg_offset": 0.5 * 1.945}
    assert regressed == pytest.approx(expected, rel=1e-4)


def test_the_areas_of_scores():
    """Centre, head, tail, boundary at thresholds 0.35, 0.45, 0.45, 0.35; the later one stands."""
    scores = torch.zeros(1, 4, 1, 6)
    scores[0, :, 0] = torch.tensor(
        [[0.34, 0, 0, 0], [0.35, 0, 0, 0], [0.9, 0.46, 0, 0], [0.9, 0.44, 0, 0], [0.9, 0.9, 0.5, 0], [0.9, 0, 0.9, 0.4]]
    ).T
    assert label_areas(scores, 0.35, 0.45, 0.35).flatten().tolist() == [0, 1, 2, 1, 3, 4]


def test_every_layer_of_the_head_is_used():
    head = OrderAwareHead(6, 8)
    maps = head(torch.randn(2, 6, 10, 12))
    assert maps.scores.shape == (2, 4, 10, 12) and [part.shape[1] for part in maps.regression()] == [4, 4, 4]
    (maps.scores.sum() + maps.geometry.sum()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
    maps = head(torch.randn(1, 6, 10, 12))
    alone = {name for name, p in head.named_parameters() if p.grad is not None and name.startswith("segmentation")}
    head.zero_grad(set_to_none=True)
    maps.geometry.sum().backward()
    assert alone and all(head.get_parameter(name).grad is None for name in alone), "the branches share no convolution"
