"""The shape transform against a bilinear crop, a spline solved word by word, and one word at a time."""

import numpy as np
import pytest
import torch
from detectron2.layers import Conv2d
from torch import nn

from dld_spotter.modeling.backbones.fpn_features import FeatureMap
from dld_spotter.modeling.text_perceptron.thin_plate_spline import (
    ThinPlateSplinePooler,
    sample_words,
    thin_plate_spline,
)

SIZE = (8, 32)


def pooler(**changes) -> ThinPlateSplinePooler:
    arguments = {"in_channels": 3, "out_channels": 3, "output_size": SIZE, "stride": 4, "num_fiducials": 14}
    return ThinPlateSplinePooler(**arguments | changes)


def rectangle(left, top, right, bottom, number=14):
    x = np.linspace(left, right, number // 2)
    rows = [np.stack([x, np.full_like(x, y)], axis=1) for y in (top, bottom)]
    return torch.tensor(np.concatenate(rows), dtype=torch.float32)


def bilinear(feature, x, y):
    """Value (C,) at a point in cells; cell (row, column) has its centre at (column + 1/2, row + 1/2)."""
    height, width = feature.shape[1:]
    x, y = np.clip(x - 0.5, 0, width - 1), np.clip(y - 0.5, 0, height - 1)
    left, top = min(int(x), width - 2), min(int(y), height - 2)
    u, v = x - left, y - top
    block = feature[:, top : top + 2, left : left + 2]
    return ((1 - v) * ((1 - u) * block[:, 0, 0] + u * block[:, 0, 1])) + v * (
        (1 - u) * block[:, 1, 0] + u * block[:, 1, 1]
    )


@pytest.mark.parametrize("number", [4, 10, 14])
def test_rectangular_fiducials_give_a_bilinear_crop(number):
    model = pooler(num_fiducials=number)
    model.conv = nn.Identity()
    features = torch.randn(1, 3, 40, 60, dtype=torch.float64).float()
    left, top, right, bottom = 21.0, 13.0, 178.5, 60.25
    word = model(FeatureMap(features), [rectangle(left, top, right, bottom, number)[None]])[0]
    expected = np.empty((3, *SIZE))
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            x = left + (column + 0.5) / SIZE[1] * (right - left)
            y = top + (row + 0.5) / SIZE[0] * (bottom - top)
            expected[:, row, column] = bilinear(features[0].double().numpy(), x / 4, y / 4)
    np.testing.assert_allclose(word, expected, atol=1e-5)


def solve_spline(base, values, place):
    """The thin-plate spline through values (F, 2) at base points (F, 2), evaluated at one place, in plain NumPy."""

    def radial(r):
        return 0.0 if r == 0 else r * r * np.log(r)

    number = len(base)
    system, right = np.zeros((number + 3, number + 3)), np.zeros((number + 3, 2))
    for i in range(number):
        system[i, :3] = system[number:, 3 + i] = [1, *base[i]]
        system[i, 3:] = [radial(np.linalg.norm(base[i] - other)) for other in base]
        right[i] = values[i]
    weights = np.linalg.solve(system, right)
    terms = [1, *place, *(radial(np.linalg.norm(place - other)) for other in base)]
    return np.array(terms) @ weights


def test_sample_points_are_those_of_a_spline_solved_for_the_word():
    rng = np.random.default_rng(0)
    base = np.concatenate([np.stack([np.linspace(-1, 1, 7), np.full(7, y)], axis=1) for y in (-1.0, 1.0)])
    word = 600 + 80 * base * [3, 1] + rng.uniform(-20, 20, (14, 2))
    points = pooler().sample_points(torch.tensor(word, dtype=torch.float32)[None])[0]
    for row, column in ((0, 0), (3, 17), (7, 31)):
        place = np.array([(2 * column + 1) / SIZE[1] - 1, (2 * row + 1) / SIZE[0] - 1])
        np.testing.assert_allclose(points[row, column], solve_spline(base, word, place), atol=2e-3)


def test_the_spline_takes_its_base_points_to_the_fiducials():
    """With an odd number of rows a bin's centre lies half-way; with many rows the first comes near the top edge."""
    matrix = thin_plate_spline(6, (2001, 3)).unflatten(0, (2001, 3))
    np.testing.assert_allclose(matrix[0, 1], [0, 1, 0, 0, 0, 0], atol=5e-3)
    np.testing.assert_allclose(matrix[-1, 1], [0, 0, 0, 0, 1, 0], atol=5e-3)
    np.testing.assert_allclose(matrix.sum(dim=2), 1, atol=1e-5)


def test_words_of_a_batch_equal_words_alone():
    features = torch.randn(3, 5, 20, 30)
    grids = [torch.rand(count, *SIZE, 2) * 140 - 10 for count in (2, 0, 3)]
    together = sample_words(features, grids, 4)
    assert together.shape == (5, 5, *SIZE)
    for row, (image, word) in enumerate([(0, 0), (0, 1), (2, 0), (2, 1), (2, 2)]):
        alone = sample_words(features[image : image + 1], [grids[image][word : word + 1]], 4)
        torch.testing.assert_close(together[row], alone[0])
    x, y = grids[2][1, 3, 4].double().numpy() / 4
    np.testing.assert_allclose(together[3, :, 3, 4], bilinear(features[2].double().numpy(), x, y), atol=1e-5)


@torch.no_grad()
def test_tiles_give_the_same_words(monkeypatch):
    model = pooler(in_channels=4).eval()
    features = FeatureMap(torch.randn(1, 4, 80, 120), (Conv2d(4, 4, 3, padding=1).eval(),))
    words = [torch.stack([rectangle(3, 2, 90, 40), rectangle(400, 250, 478, 319)])]
    calls = []
    module = "dld_spotter.modeling.acceleration.tiled_convolutions"
    original = __import__(module, fromlist=["convolve_tiles"]).convolve_tiles
    monkeypatch.setattr(f"{module}.convolve_tiles", lambda *args: calls.append(1) or original(*args))
    tiled = model(features, words)
    assert calls
    with torch.enable_grad():
        whole = model(features, words)
    assert len(calls) == 1
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=1e-4)


def test_no_words_and_doubled_words():
    features = FeatureMap(torch.randn(2, 3, 20, 30))
    assert pooler()(features, [torch.zeros(0, 14, 2)] * 2).shape == (0, 3, *SIZE)
    doubled = pooler(upsample=True)
    assert doubled(features, [torch.zeros(0, 14, 2)] * 2).shape == (0, 3, 16, 64)
    assert doubled(features, [rectangle(4, 4, 90, 30)[None], torch.zeros(0, 14, 2)]).shape == (1, 3, 16, 64)


def test_the_gradient_reaches_features_and_fiducials():
    model, features = pooler(), torch.randn(1, 3, 20, 30, requires_grad=True)
    points = rectangle(4, 4, 90, 30)[None].requires_grad_()
    model(FeatureMap(features), [points]).square().sum().backward()
    assert features.grad.abs().max() > 0 and (points.grad.abs().amax(dim=2) > 0).all()
