"""The Gaussian windows of MANGO's character slots, against their definition."""

import numpy as np
import pytest
import torch
from detectron2.utils.events import EventStorage
from helpers.mango_toys import build
from helpers.toy_words import toy_batch

from dld_spotter.modeling.mango.attention_window import (
    FIRST_DEVIATION,
    STEEPEST,
    initial_window,
    places_of,
    window_logits,
    window_sums,
)
from dld_spotter.modeling.mango.dynamic_attention import CharacterAttention
from dld_spotter.modeling.mango.grid import map_geometry

GRID, ROWS, COLUMNS = 10, 6, 8


def position_of(rows=ROWS, columns=COLUMNS):
    return map_geometry((rows, columns), [(rows * 4, columns * 4)], 4, torch.device("cpu")).position[0]


def by_hand(window, cell, row, column):
    """One logit, from distances in cells."""
    middle_x, middle_y, log_x, log_y, slant, height = window
    x = (column + 0.5) / COLUMNS * GRID - (cell % GRID + 0.5) - middle_x
    y = (row + 0.5) / ROWS * GRID - (cell // GRID + 0.5) - middle_y
    limit = np.exp(STEEPEST)
    steep_x, steep_y = np.clip(np.exp([log_x, log_y]), 1 / limit, limit)
    return height - ((steep_x * x + slant * y) ** 2 + (steep_y * y) ** 2) / 2


def test_windows_one_position_at_a_time():
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(3, 2, 6))
    windows[2, 1, 2] = -9.0  # flatter than allowed
    cells = np.array([0, 37, 99])
    found = window_logits(torch.from_numpy(windows).float(), torch.from_numpy(cells), GRID, position_of())
    assert found.shape == (3, 2, ROWS, COLUMNS)
    for cell, slot, row, column in np.ndindex(3, 2, ROWS, COLUMNS):
        expected = by_hand(windows[cell, slot], cells[cell], row, column)
        assert found[cell, slot, row, column].item() == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_a_steep_window_far_from_the_middle_of_the_image_is_exact_enough():
    """Where the terms of the sum are in the hundreds of thousands, in any precision asked for."""
    window = torch.tensor([[0.3, -0.2, 3.0, 3.0, 0.0, 2.0]], dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = window_logits(window, torch.tensor(0), 40, position_of(160, 160))
    middle_x, middle_y = window[0, :2].double().numpy()
    x, y = (np.arange(160) + 0.5) / 4 - 0.5 - middle_x, (np.arange(160) + 0.5) / 4 - 0.5 - middle_y
    expected = 2 - np.exp(6) / 2 * (x[None] ** 2 + y[:, None] ** 2)
    near = expected > -20
    assert near.sum() > 3
    np.testing.assert_allclose(found[0].numpy()[near], expected[near], atol=0.1)
    assert found.dtype == torch.float32


def test_before_training_each_slot_looks_around_its_own_cell():
    attention = CharacterAttention(6, 16, 1, GRID, 3, windows=True).eval()
    cell = 47
    given = torch.zeros(GRID**2, 16), torch.tensor([cell]), torch.randn(16, 60, 60), position_of(60, 60)
    attended, windows = attention(*given)
    assert torch.equal(windows, initial_window().expand(1, 3, 6))
    assert attended.shape == (1, 3, 60, 60)
    assert np.unravel_index(attended[0, 2].argmax(), (60, 60)) in {(r, c) for r in (26, 27) for c in (44, 45, 46)}
    value = attended[0, 0, 27, 45 + round(FIRST_DEVIATION * 6)].item()
    assert value == pytest.approx(1 / (1 + np.exp(0.5)), abs=0.02)


def test_places_of_pixels_in_an_image_with_padding():
    position = map_geometry((8, 16), [(24, 40)], 4, torch.device("cpu")).position[0]
    found = places_of(torch.tensor([[0.0, 0.0], [40.0, 24.0], [10.0, 18.0]]), position, 4)
    torch.testing.assert_close(found, torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-0.5, 0.5]]))


def test_distances_of_windows_from_characters():
    """Cell 12 of a grid of 10 has its centre at (2.5, 1.5) cells from the corner."""
    windows = torch.zeros(1, 3, 6)
    windows[0, :, :2] = torch.tensor([[1.0, 0.0], [-0.5, 2.0], [9.0, 9.0]])
    wanted = torch.tensor([[3.0, 1.5], [2.5, 3.5], [0.0, 0.0]])  # in cells from the corner
    counted = torch.tensor([[True, True, False]])
    sums = window_sums(windows, torch.tensor([12]), 10, (wanted / 5 - 1)[None], counted)
    assert sums.tolist() == pytest.approx([0.5 + 0.5, 2], abs=1e-5)


def test_only_where_the_config_asks_for_them_and_they_learn():
    plain, windowed = build(), build("MODEL.MANGO.CHARACTER_WINDOWS", True)
    slots = plain.target_maker.num_slots
    predictors = [entry.attention.character.kernel_tower.predictor for entry in (plain, windowed)]
    assert predictors[1].out_features - predictors[0].out_features == 6 * slots
    windowed.train()
    batch = toy_batch((2,))
    with EventStorage():
        assert "loss_character_window" not in plain(batch)
        losses = windowed(batch)
    assert losses["loss_character_window"] > 0
    sum(losses.values()).backward()
    gradient = predictors[1].bias.grad.unflatten(0, (slots, -1))[:, -6:]
    assert gradient[0].abs().min() > 0
