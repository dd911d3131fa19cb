"""Which points of an outline the reading starts and ends at."""

import math

import numpy as np
import pytest
import torch
from helpers.curved_words import curved_word

from dld_spotter.modeling.text_perceptron.reading_order import order_outlines
from dld_spotter.structures import WordPolygons

KNOWN, RATIO = (10, 14), 1.5


def order(*polygons):
    return order_outlines(WordPolygons.from_list(polygons).tensor, KNOWN, RATIO)


def by_the_rule(points):
    """(first, last point of the top) by the sum of interior angles at both ends of an edge, one edge at a time."""
    n = len(points)
    angles = []
    for i in range(n):
        to_next, to_last = points[(i + 1) % n] - points[i], points[i - 1] - points[i]
        turn = math.degrees(math.atan2(to_last[1], to_last[0]) - math.atan2(to_next[1], to_next[0]))
        angles.append(turn % 360)
    scores = [abs(angles[i] + angles[i - 1] - 180) for i in range(n)]
    ranked = sorted(range(n), key=lambda i: scores[i])
    best = ranked[0]
    other = next((j for j in ranked[1:] if abs(best - j) not in (1, n - 1)), None)
    if other is None:
        return None
    low, high = min(best, other), max(best, other)
    return low, (high - 1) % n


def test_quadrilaterals_start_at_their_first_point_and_tall_ones_are_read_downwards():
    wide, tall = [[0, 0], [30, 0], [30, 10], [0, 10]], [[0, 0], [10, 0], [10, 30], [0, 30]]
    almost = [[0, 0], [10, 0], [10, 14.75], [0, 14.75]]
    upwards = [[0, 30], [0, 0], [10, 0], [10, 30]]  # annotated from its lower left: read towards the top
    corners = order(wide, tall, almost, upwards).corners()
    assert corners[0].tolist() == wide
    assert corners[1].tolist() == [[10, 0], [10, 30], [0, 30], [0, 0]], "the right side is the top"
    assert corners[2].tolist() == almost
    assert corners[3].tolist() == upwards


def test_known_numbers_of_points_need_no_search():
    rng = np.random.default_rng(0)
    word = curved_word(rng, 7)
    found = order(np.roll(word, -2, axis=0))
    assert (found.count.item(), found.last_top.item()) == (14, 6)
    np.testing.assert_allclose(found.points[0], np.roll(word, -2, axis=0))


@pytest.mark.parametrize("points_a_side", [3, 4, 6, 9])
def test_ends_of_curved_words_are_found(points_a_side):
    rng = np.random.default_rng(points_a_side)
    words = [curved_word(rng, points_a_side) for _ in range(60)]
    found = order(*words)
    right = 0
    for row, word in enumerate(words):
        first, last = by_the_rule(word.astype(np.float64))
        np.testing.assert_allclose(found.corners()[row, 0], word[first])
        np.testing.assert_allclose(found.corners()[row, 1], word[last])
        right += (first, last) == (0, points_a_side - 1)
    assert found.usable.all()
    assert right >= (54 if points_a_side > 3 else 40), "the rule is a guess, but mostly a good one"


def test_padding_repetitions_and_a_closing_point_do_not_count():
    square = np.array([[0, 0], [20, 0], [20, 12], [0, 12]], dtype=np.float32)
    messy = np.stack([square[0], square[0], square[1], square[2], square[2], square[3], square[0], square[0]])
    found = order(messy)
    assert found.count.item() == 4 and found.points.shape == (1, 8, 2)
    np.testing.assert_allclose(found.points[0, :4], square)
    np.testing.assert_allclose(found.points[0, 4:], np.tile(square[3], (4, 1)))


def test_outlines_without_ends_become_their_box():
    found = order([[0, 0], [9, 4], [2, 8]], [[5, 5], [5, 5], [5, 5]], [[0, 0], [8, 1], [9, 30], [0, 30], [0, 29.5]])
    assert found.usable.tolist() == [False, False, True]
    np.testing.assert_allclose(found.corners()[0], [[0, 0], [9, 0], [9, 8], [0, 8]])
    assert torch.isfinite(found.points).all()


def test_no_words():
    found = order_outlines(torch.zeros(0, 4, 2), KNOWN, RATIO)
    assert found.points.shape == (0, 4, 2) and found.corners().shape == (0, 4, 2)
