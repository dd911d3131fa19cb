"""Polygon matching against rasterised masks and a matching written out word by word."""

import numpy as np
import pytest

from dld_spotter.evaluation.matching import Overlap, match_words, measure_overlap

SIDE = 96  # pixels of the rasterised scenes
CELLS = 6  # samples a pixel and axis


def box(x1, y1, x2, y2):
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=float)


def rasterise(polygon):
    """Mask of the sample points inside a polygon, by the even-odd rule, edge by edge."""
    axis = (np.arange(SIDE * CELLS) + 0.5) / CELLS
    x, y = np.meshgrid(axis, axis)
    inside = np.zeros_like(x, dtype=bool)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    return inside


def random_polygon(rng):
    """A convex or star-shaped outline of 4 to 9 points somewhere in the scene."""
    number = rng.integers(4, 10)
    angles = np.sort(rng.uniform(0, 2 * np.pi / number, number) + np.arange(number) * 2 * np.pi / number)
    radius = rng.uniform(8, 22, number)
    return rng.uniform(30, 66, 2) + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius[:, None]


def greedy(iou, covered, dont_care, threshold):
    """The official script's loops, without its early exits."""
    num_words, num_detections = iou.shape
    ignored = [any(dont_care[g] and covered[g][d] > threshold for g in range(num_words)) for d in range(num_detections)]
    taken, pairs = set(), []
    for g in range(num_words):
        for d in range(num_detections):
            if not dont_care[g] and not ignored[d] and d not in taken and iou[g][d] > threshold:
                taken.add(d)
                pairs.append((g, d))
                break
    return pairs, ignored


@pytest.mark.parametrize("seed", range(4))
def test_overlap_and_matching_equal_rasterised_masks(seed):
    rng = np.random.default_rng(seed)
    truths = [random_polygon(rng) for _ in range(5)]
    detections = [t + rng.normal(0, 2, t.shape) for t in truths[:3]] + [random_polygon(rng) for _ in range(3)]
    rng.shuffle(detections)
    truth_masks, detected_masks = [[rasterise(p) for p in polygons] for polygons in (truths, detections)]
    shared = np.array([[(t & d).sum() for d in detected_masks] for t in truth_masks])
    union = np.array([[(t | d).sum() for d in detected_masks] for t in truth_masks])
    covered = shared / np.array([d.sum() for d in detected_masks])

    overlap = measure_overlap(truths, detections)

    np.testing.assert_allclose(overlap.iou, shared / union, atol=0.01)
    np.testing.assert_allclose(overlap.covered, covered, atol=0.01)
    dont_care = np.array([False, False, False, True, True])
    for threshold in (0.1, 0.3, 0.5):
        expected_pairs, expected_ignored = greedy(shared / union, covered, dont_care, threshold)
        matching = match_words(overlap, dont_care, threshold)
        assert [tuple(pair) for pair in matching.pairs] == expected_pairs
        assert matching.ignored.tolist() == expected_ignored


def test_half_overlap_by_hand():
    overlap = measure_overlap([box(0, 0, 10, 10)], [box(5, 0, 15, 10), box(0, 0, 10, 5), box(20, 0, 30, 10)])
    np.testing.assert_allclose(overlap.iou, [[50 / 150, 0.5, 0]])
    np.testing.assert_allclose(overlap.covered, [[0.5, 1, 0]])


def test_threshold_must_be_exceeded():
    overlap = measure_overlap([box(0, 0, 10, 10)], [box(0, 0, 10, 5)])  # IoU exactly 0.5
    care, dont_care = np.array([False]), np.array([True])
    assert len(match_words(overlap, care, 0.5).pairs) == 0
    assert len(match_words(overlap, care, 0.499).pairs) == 1
    half = measure_overlap([box(0, 0, 10, 10)], [box(5, 0, 15, 10)])  # half of the detection is covered
    assert not match_words(half, dont_care, 0.5).ignored.any()
    assert match_words(half, dont_care, 0.499).ignored.all()


def test_order_decides_not_the_larger_overlap():
    iou = np.array([[0.6, 0.9], [0.9, 0.7]])
    matching = match_words(Overlap(iou, iou), np.array([False, False]), 0.5)
    assert matching.pairs.tolist() == [[0, 0], [1, 1]]
    second = match_words(Overlap(iou[:, :1], iou[:, :1]), np.array([False, False]), 0.5)
    assert second.pairs.tolist() == [[0, 0]]  # one detection finds one word


def test_outlines_that_cross_themselves_or_have_no_area():
    bow_tie = np.array([[0, 0], [10, 10], [10, 0], [0, 20]], dtype=float)
    line, point = np.array([[0, 0], [5, 5], [10, 10]], dtype=float), np.array([[1, 1]], dtype=float)
    not_finite = np.array([[0, 0], [np.nan, 5], [10, 10]])
    whole = box(0, 0, 20, 20)
    overlap = measure_overlap([whole], [bow_tie, line, point, not_finite, whole])
    # The edge (10, 0)-(0, 20) cuts the diagonal at 20 / 3; the larger part is a triangle of base 20 and height 20 / 3.
    assert overlap.iou[0, 0] == pytest.approx(20 * 20 / 3 / 2 / 400)
    np.testing.assert_allclose(overlap.iou[0, 1:], [0, 0, 0, 1])
    np.testing.assert_allclose(overlap.covered[0], [1, 0, 0, 0, 1])


@pytest.mark.parametrize(("truths", "detections"), [(0, 0), (0, 2), (3, 0)])
def test_empty(truths, detections):
    overlap = measure_overlap([box(0, 0, 5, 5)] * truths, [box(0, 0, 5, 5)] * detections)
    matching = match_words(overlap, np.zeros(truths, dtype=bool), 0.5)
    assert overlap.iou.shape == overlap.covered.shape == (truths, detections)
    assert matching.pairs.shape == (0, 2)
    assert matching.ignored.tolist() == [False] * detections
