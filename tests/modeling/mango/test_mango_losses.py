"""Losses against sums that are made one number at a time."""

import math

import numpy as np
import pytest
import torch

from dld_spotter.modeling.mango.mango_losses import centre_line_loss, dice_loss, dice_sums, grid_loss, no_gradient


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_dice_by_hand():
    """Predictions 0.5 (true), 1 (true), 0.5 (false): 1 - (2 * 1.5 + 1) / (1.5 + 2 + 1)."""
    loss = dice_loss(torch.tensor(1.5), torch.tensor(1.5), torch.tensor(2.0))
    assert loss.item() == pytest.approx(1 - 4 / 4.5)
    assert dice_loss(*torch.zeros(3)).item() == 0
    assert dice_loss(*torch.full((3,), 7.0)).item() == 0, "a perfect prediction"


def test_the_centre_line_loss_one_position_at_a_time():
    logits, target = torch.randn(2, 3, 5), torch.rand(2, 3, 5) > 0.6
    counted = torch.rand(2, 3, 5) > 0.3
    overlap = predicted = true = 0.0
    for place in np.ndindex(2, 3, 5):
        if counted[place]:
            p, g = sigmoid(logits[place].item()), float(target[place])
            overlap, predicted, true = overlap + p * g, predicted + p * p, true + g
    expected = 1 - (2 * overlap + 1) / (predicted + true + 1)
    assert centre_line_loss(logits, target, counted).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_the_grid_loss_one_cell_at_a_time(weight):
    logits, target = torch.randn(2, 9), torch.rand(2, 9) > 0.6
    counted = torch.rand(2, 9) > 0.3
    terms = []
    for place in np.ndindex(2, 9):
        if counted[place]:
            p = sigmoid(logits[place].item())
            terms.append(-weight * math.log(p) if target[place] else -math.log(1 - p))
    assert grid_loss(logits, target, counted, weight).item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    nothing = grid_loss(logits.requires_grad_(), target, counted & False)
    nothing.backward()
    assert nothing == 0 and not logits.grad.any()


def test_the_sums_of_attention_one_number_at_a_time():
    attention, masks = torch.rand(3, 2, 4, 5, 6), torch.rand(3, 1, 4, 5, 6) > 0.6
    counted = torch.rand(3, 2, 4, 5, 6) > 0.4
    expected = np.zeros((3, 4))
    for word, cell, slot, row, column in np.ndindex(3, 2, 4, 5, 6):
        if counted[word, cell, slot, row, column]:
            p = attention[word, cell, slot, row, column].item()
            g = float(masks[word, 0, slot, row, column])
            expected[:, slot] += p * g, p * p, g
    np.testing.assert_allclose(dice_sums(attention, masks, counted), expected, rtol=1e-5)
    parts = [dice_sums(attention[rows], masks[rows], counted[rows]) for rows in (slice(0, 1), slice(1, 3))]
    torch.testing.assert_close(sum(parts), dice_sums(attention, masks, counted))
    counted[:, :, 2] = False
    assert dice_loss(*dice_sums(attention, masks, counted))[2] == 0, "a slot that no word uses costs nothing"


def test_positions_that_do_not_count_get_no_gradient():
    logits = torch.randn(1, 4, 4, requires_grad=True)
    counted = torch.ones(1, 4, 4, dtype=torch.bool)
    counted[:, 2:] = False
    centre_line_loss(logits, torch.ones(1, 4, 4, dtype=torch.bool), counted).backward()
    assert logits.grad[:, :2].all() and not logits.grad[:, 2:].any()


def test_no_gradient_is_a_zero_that_reaches_parameters():
    learning, frozen = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3).requires_grad_(False)
    zero = no_gradient(learning, frozen)
    zero.backward()
    assert zero == 0 and not learning.weight.grad.any() and frozen.weight.grad is None
    assert no_gradient() == 0
