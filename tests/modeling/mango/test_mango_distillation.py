"""MANGO's maps of places at two scales: against NumPy, and of one scene."""

import numpy as np
import pytest
import torch
from helpers.mango_toys import maker, rectangle, words_of

from dld_spotter.modeling.mango.mango_distillation import place_distances, place_outputs

STRIDE = 4


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def kl(p, q):
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


def test_half_size_by_hand():
    sizes, halves = [(32, 48), (24, 32)], [(16, 24), (12, 16)]
    line, grid = random(2, 8, 12), random(2, 25, seed=1)
    own_line, own_grid = random(2, 8, 8, seed=2), random(2, 25, seed=3)
    given = place_outputs(line, grid, sizes, STRIDE)
    found = place_distances(own_line, own_grid, halves, STRIDE, (0.5, 0.5), given)
    distance, area = 0.0, 0.0
    for image, (height, width) in enumerate(halves):
        for row, column in np.ndindex(height // STRIDE, width // STRIDE):
            p = sigmoid(line[image, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].double().numpy()).mean()
            distance += kl(p, sigmoid(own_line[image, row, column].item()))
            area += p
    p, q = sigmoid(grid.double().numpy()), sigmoid(own_grid.double().numpy())
    expected = {"centre_line": distance / area, "grid": kl(p, q).sum() / p.sum()}
    assert {name: loss.item() for name, loss in found.items()} == pytest.approx(expected, rel=1e-4)


def scene(outlines, factors, size, moved=0.0):
    """What is true of words at a scale, as the heads would say it, on a padded map."""
    height, width = (round(side * factor) for side, factor in zip(size, factors, strict=True))
    scaled = [outline * np.array([factors[1], factors[0]], dtype=np.float32) + moved for outline in outlines]
    words = words_of(scaled, ["ab"] * len(scaled), (height, width))
    map_size = tuple(-(-side // 32) * 8 for side in (height, width))
    maps, _ = maker().all_targets(words, (height, width), map_size, False)
    return maps.centre_line.float()[None] * 16 - 8, maps.grid.float()[None] * 16 - 8, [(height, width)]


@pytest.mark.parametrize("scale", [0.5, 0.35, 0.7])
def test_maps_of_one_scene_agree_at_any_scale(scale):
    size = (410, 500)
    outlines = [rectangle(40, 60, 300, 160), rectangle(200, 250, 470, 380)]
    factors = round(size[0] * scale) / size[0], round(size[1] * scale) / size[1]
    given = place_outputs(*scene(outlines, (1.0, 1.0), size), STRIDE)
    same, moved = (
        place_distances(*scene(outlines, factors, size, by), STRIDE, factors, given) for by in (0.0, 3.0 * STRIDE)
    )
    assert same["centre_line"] < 0.4 * moved["centre_line"]
    assert same["grid"] < 0.1 * moved["grid"]


def test_equal_maps_cost_nothing_and_padding_does_not_count():
    line, grid, sizes = random(2, 16, 24), random(2, 25, seed=1), [(64, 96), (40, 60)]
    given = place_outputs(line, grid, sizes, STRIDE)
    equal = place_distances(line, grid, sizes, STRIDE, (1.0, 1.0), given)
    assert [loss.item() for loss in equal.values()] == pytest.approx([0, 0], abs=1e-6)
    student = random(2, 16, 24, seed=2)
    expected = place_distances(student, grid, sizes, STRIDE, (1.0, 1.0), given)
    for maps in (line, student):
        maps[1, 10:] = torch.nan
        maps[1, :, 15:] = torch.nan
    found = place_distances(student, grid, sizes, STRIDE, (1.0, 1.0), place_outputs(line, grid, sizes, STRIDE))
    assert found["centre_line"].item() == expected["centre_line"].item() > 0
