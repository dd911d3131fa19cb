import time

import numpy as np
import pytest
import shapely
from shapely.geometry import Polygon, box

from dld_spotter import geometry
from dld_spotter.geometry import (
    clip_polygon,
    clockwise,
    crosses_itself,
    polygon_area,
    polygon_box,
    repair_polygon,
    valid_polygon,
)

SQUARE = [[2, 1], [6, 1], [6, 5], [2, 5]]  # clockwise on the screen, where y points down
BOW_TIE = [[0, 0], [10, 10], [10, 0], [0, 10]]


def star_polygon(rng, points=9, radius=20.0, centre=(30.0, 25.0)):
    """A random outline around a centre; it never crosses itself, and is not convex."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, points))
    lengths = rng.uniform(0.3, 1.0, points) * radius
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * lengths[:, None] + centre


def pixel_area(points, inside_box=None, step=0.05):
    """Area by counting a fine grid of points: even-odd crossings of a ray to the right."""
    points = np.asarray(points, dtype=float)
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = np.meshgrid(np.arange(low[0], high[0], step) + step / 2, np.arange(low[1], high[1], step) + step / 2)
    inside = np.zeros(x.shape, dtype=bool)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    if inside_box is not None:
        inside &= (x > 0) & (y > 0) & (x < inside_box[0]) & (y < inside_box[1])
    return inside.sum() * step**2


def test_area_is_positive_for_clockwise_outlines():
    assert polygon_area(SQUARE) == 16
    assert polygon_area(SQUARE[::-1]) == -16
    assert polygon_area([0, 0, 4, 0, 0, 3]) == 6
    assert polygon_area([]) == 0
    assert polygon_area([[1, 1], [2, 2]]) == 0


@pytest.mark.parametrize("seed", range(5))
def test_area_against_counted_pixels(seed):
    outline = star_polygon(np.random.default_rng(seed))
    assert abs(polygon_area(outline)) == pytest.approx(pixel_area(outline), rel=0.01)


def test_area_keeps_its_precision_far_from_the_origin():
    assert polygon_area(np.asarray(SQUARE) + 1e9) == 16


def test_clockwise_keeps_the_first_point():
    np.testing.assert_array_equal(clockwise(SQUARE), SQUARE)
    turned = clockwise([SQUARE[0], SQUARE[3], SQUARE[2], SQUARE[1]])
    np.testing.assert_array_equal(turned, SQUARE)


def test_polygon_box():
    assert polygon_box([[3, 7], [1, 9], [5, 2]]) == [1, 2, 5, 9]


def test_valid_polygon_keeps_the_largest_part():
    assert valid_polygon(SQUARE).area == 16
    # A bow tie of a small and a large triangle: they meet at (2, 2), and the right one is 8 wide and 16 high.
    lopsided = [[0, 0], [10, 10], [10, -6], [0, 4]]
    assert valid_polygon(lopsided).area == pytest.approx(64)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0, 0], [1, 1]], "three distinct points"),
        ([[0, 0], [1, 1], [0, 0], [1, 1]], "three distinct points"),
        ([[0, 0], [1, 1], [2, 2]], "encloses no area"),
        ([[0, 0], [1, float("nan")], [2, 2]], "not finite"),
        (np.zeros((0, 2)), "three distinct points"),
    ],
)
def test_valid_polygon_refuses(points, message):
    with pytest.raises(ValueError, match=message):
        valid_polygon(points)


def test_a_crossing_quadrilateral_gets_its_corners_in_order():
    assert crosses_itself(BOW_TIE)
    repaired = repair_polygon(BOW_TIE)
    np.testing.assert_array_equal(repaired, [[0, 0], [10, 0], [10, 10], [0, 10]])
    assert not crosses_itself(repaired)


def test_repair_keeps_good_outlines_and_the_start_of_others():
    np.testing.assert_array_equal(repair_polygon(SQUARE), SQUARE)
    crossing = [[0, 0], [10, 0], [10, 10], [4, 10], [9, 11], [0, 10]]  # a spike crosses the lower edge
    repaired = repair_polygon(crossing)
    np.testing.assert_array_equal(repaired[0], [0, 0])
    assert not crosses_itself(repaired)
    assert polygon_area(repaired) == pytest.approx(valid_polygon(crossing).area)


def test_clip_leaves_inner_outlines_alone():
    outline = clockwise(SQUARE)[[2, 3, 0, 1]]
    assert clip_polygon(outline, 6, 5) is not None
    np.testing.assert_array_equal(clip_polygon(outline, 6, 5), outline)


def test_clip_of_a_box():
    clipped = clip_polygon([[-5, 1], [5, 1], [5, 5], [-5, 5]], 100, 100)
    np.testing.assert_array_equal(clipped, [[0, 1], [5, 1], [5, 5], [0, 5]])


@pytest.mark.parametrize(
    "points",
    [
        [[-5, 0], [-1, 0], [-1, 4], [-5, 4]],
        [[100, 0], [104, 0], [104, 4], [100, 4]],  # touches the border from outside
        [[-1, 0], [-3, 0]],
    ],
)
def test_clip_of_what_is_outside(points):
    assert clip_polygon(points, 100, 100) is None


@pytest.mark.parametrize("seed", range(8))
def test_clip_against_counted_pixels(seed):
    outline = star_polygon(np.random.default_rng(seed), centre=(38.0, 25.0))
    clipped = clip_polygon(outline, 40, 30)
    parts = Polygon(outline).intersection(box(0, 0, 40, 30))
    if parts.geom_type == "Polygon":  # of several parts only the largest is kept
        assert polygon_area(clipped) == pytest.approx(pixel_area(outline, inside_box=(40, 30)), rel=0.02)
    assert polygon_area(clipped) > 0
    assert clipped.min() >= 0
    assert (clipped.max(axis=0) <= [40, 30]).all()


@pytest.mark.parametrize(("points", "crossings"), [(3, 0), (5, 5), (7, 14), (40, None)])
def test_crossings_of_stars_and_of_random_outlines(points, crossings):
    """A star of n points, k corners on each time, crosses itself n (k - 1) times; else pairs of lines are counted."""
    if crossings is None:
        outline = np.random.default_rng(0).uniform(0, 100, (points, 2))
        sides = [shapely.LineString(pair) for pair in zip(outline, np.roll(outline, -1, axis=0), strict=True)]
        crossings = sum(a.crosses(b) for i, a in enumerate(sides) for b in sides[:i])
    else:
        angles = 2 * np.pi * np.arange(points) * (points // 2) / points
        outline = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert geometry._crossings(outline) == crossings


def test_a_tangle_is_no_outline_and_is_named_at_once():
    outline = np.random.default_rng(0).uniform(0, 100, (1000, 2))
    start = time.process_time()
    with pytest.raises(ValueError, match="crosses itself more than"):
        valid_polygon(outline)
    assert time.process_time() - start < 1
