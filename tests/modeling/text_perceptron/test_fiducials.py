"""Fiducial points of true outlines and of regression maps."""

import itertools

import numpy as np
import pytest
import torch
from helpers.curved_words import curved_word, targets_of

from dld_spotter.modeling.text_perceptron.fiducials import AreaCells, ground_truth_fiducials, predicted_fiducials
from dld_spotter.modeling.text_perceptron.reading_order import order_outlines
from dld_spotter.modeling.text_perceptron.text_perceptron_targets import CENTER, HEAD, TAIL, TargetMaker
from dld_spotter.structures import WordPolygons

MAKER = TargetMaker()


def true_fiducials(*polygons, number=14):
    outlines = order_outlines(WordPolygons.from_list(polygons).tensor, (6, 10, 14), 1.5)
    return ground_truth_fiducials(outlines, number)


def from_maps(polygon, number=14, size=(64, 64)):
    """Fiducials that the target maps themselves say."""
    maps = MAKER([targets_of([polygon], (size[0] * 4, size[1] * 4))], size, 4)
    cells = [maps.cells(kind, maps.geometry, 4) for kind in (CENTER, HEAD, TAIL)]
    return predicted_fiducials(*cells, words=1, number=number)[0]


def walk(line, number):
    """(number, 2) points at equal distances along a line, walked in small steps."""
    pieces = [np.linspace(a, b, 20001)[1:] for a, b in itertools.pairwise(line)]
    steps = np.concatenate([line[:1], *pieces])
    passed = np.concatenate([[0], np.linalg.norm(np.diff(steps, axis=0), axis=1).cumsum()])
    return steps[[np.abs(passed - share * passed[-1]).argmin() for share in np.linspace(0, 1, number)]]


def test_true_points_lie_at_equal_distances_along_both_sides():
    rng = np.random.default_rng(3)
    words = [curved_word(rng, a_side) for a_side in (7, 5)]
    uneven = np.array([[0, 0], [50, 0], [80, 20], [60, 40], [50, 45], [0, 40]], dtype=np.float32)
    for word, found in zip(words, true_fiducials(*words), strict=True):
        half = len(word) // 2
        np.testing.assert_allclose(found[:7], walk(word[:half], 7), atol=0.05)
        np.testing.assert_allclose(found[7:], walk(word[half:][::-1], 7), atol=0.05)
    found = true_fiducials(uneven, number=6)[0]
    np.testing.assert_allclose(found, [*walk(uneven[:3], 3), *walk(uneven[:2:-1], 3)], atol=0.05)


RECTANGLE = np.array([[20, 30], [176, 30], [176, 78], [20, 78]], dtype=np.float32)


@pytest.mark.parametrize("quarter_turns", range(4))
@pytest.mark.parametrize("number", [4, 8, 14])
def test_points_between_the_corners_are_evenly_spaced(quarter_turns, number):
    """Also at thirds, where the authors' rule of the middle gives 0.44; whichever way the word is turned."""
    angle = np.deg2rad(90 * quarter_turns)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    word = ((RECTANGLE - [98, 54]) @ turn + [128, 128]).astype(np.float32)
    found = from_maps(word, number).numpy()
    half = number // 2
    expected = np.concatenate([np.linspace(word[0], word[1], half), np.linspace(word[3], word[2], half)])
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("degrees", [-70, -40, -20, 20, 40, 70, 130, 200])
def test_slanted_words_are_exact(degrees):
    """Cells on one side of a point alone, and those that see the ends instead of the sides, bring no bias."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    word = ((RECTANGLE - [98, 54]) @ turn + [128, 128]).astype(np.float32)
    expected = np.concatenate([np.linspace(word[0], word[1], 7), np.linspace(word[3], word[2], 7)])
    np.testing.assert_allclose(from_maps(word), expected, atol=5e-3)


def test_curved_points_follow_the_outline_in_order():
    rng = np.random.default_rng(0)
    for _ in range(20):
        word = curved_word(rng, 7)
        found, expected = from_maps(word).numpy(), true_fiducials(word)[0].numpy()
        height = np.linalg.norm(expected[:7] - expected[7:], axis=1).mean()
        assert np.linalg.norm(found - expected, axis=1).max() < 0.5 * height
        np.testing.assert_allclose(found[[0, 6, 7, 13]], expected[[0, 6, 7, 13]], atol=1e-3)


def test_a_word_without_centre_votes_keeps_the_straight_line():
    def cells(places, geometry):
        word = torch.zeros(len(places), dtype=torch.long)
        return AreaCells(word, torch.tensor(places), torch.tensor(geometry) / 32)

    head, tail = cells([[10.0, 10.0]], [[2.0, 3.0, 2.0, -5.0]]), cells([[50.0, 10.0]], [[-2.0, 3.0, -2.0, -5.0]])
    far = cells([[200.0, 10.0]], [[1.0, 1.0, 1.0, 1.0]])
    found = predicted_fiducials(far, head, tail, words=1, number=6)[0]
    np.testing.assert_allclose(found, [[8, 7], [30, 7], [52, 7], [8, 15], [30, 15], [52, 15]], atol=1e-4)


def test_the_gradient_reaches_every_map():
    maps = MAKER([targets_of([RECTANGLE], (256, 256))], (64, 64), 4)
    geometry = [maps.geometry.clone().requires_grad_() for _ in range(3)]
    cells = [maps.cells(kind, way, 4) for kind, way in zip((CENTER, HEAD, TAIL), geometry, strict=True)]
    predicted_fiducials(*cells, words=1, number=14).square().sum().backward()
    for kind, way in zip((CENTER, HEAD, TAIL), geometry, strict=True):
        moved = way.grad[0].abs().amax(dim=0) > 0
        assert moved.any() and not moved[maps.areas[0] != kind].any()
