"""Outlines against the shapes that the masks were drawn from, rasterised by pixel centres in NumPy."""

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from shapely import Polygon, contains_xy

from dld_spotter.outlines import mask_to_polygon
from dld_spotter.predicted_words import instances_to_polygons
from dld_spotter.structures import WordPolygons

SIZE = (60, 90)


def rasterise(polygon, size=SIZE):
    """(H, W) bool: pixels whose centre lies in the polygon."""
    y, x = np.mgrid[: size[0], : size[1]]
    return contains_xy(Polygon(polygon), x + 0.5, y + 0.5)


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


def rotated_rectangle(width, height, degrees):
    return cv2.boxPoints(((45.3, 29.7), (width, height), degrees))


def clockwise_area(points):
    x, y = points.T.astype(float)
    return ((x * np.roll(y, -1)) - (y * np.roll(x, -1))).sum() / 2


@pytest.mark.parametrize(
    "box", [(10, 20, 50, 40), (0, 0, 90, 60), (7, 9, 15, 17), (30, 5, 31, 25), (3, 4, 20, 5), (8, 9, 9, 10)]
)
def test_upright_rectangle_is_exact_down_to_one_pixel(box):
    left, top, right, bottom = box
    mask = np.zeros(SIZE, np.uint8)
    mask[top:bottom, left:right] = 1
    polygon = mask_to_polygon(mask)
    assert polygon.dtype == np.float32
    np.testing.assert_array_equal(polygon, [[left, top], [right, top], [right, bottom], [left, bottom]])


@pytest.mark.parametrize("degrees", range(0, 180, 15))
@pytest.mark.parametrize(("width", "height"), [(60, 20), (40, 9), (12, 12), (8, 8)])
def test_rotated_rectangle_comes_back(width, height, degrees):
    drawn = rotated_rectangle(width, height, degrees)
    mask = rasterise(drawn)
    polygon = mask_to_polygon(mask)
    assert overlap(rasterise(polygon), mask) > 0.9
    assert clockwise_area(polygon) == pytest.approx(mask.sum(), rel=0.1)
    assert len(polygon) <= 10


def disc(radius, centre=(30, 30)):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2


@pytest.mark.parametrize("radius", [4, 7, 12, 25])
def test_disc(radius):
    mask = disc(radius)
    polygon = mask_to_polygon(mask)
    assert overlap(rasterise(polygon), mask) > 0.9
    assert clockwise_area(polygon) == pytest.approx(mask.sum(), rel=0.1)


def test_tolerance_trades_points_for_closeness():
    fine, coarse = (mask_to_polygon(disc(25), tolerance) for tolerance in (0.001, 0.05))
    assert len(fine) > len(coarse) >= 3
    assert overlap(rasterise(fine), disc(25)) > overlap(rasterise(coarse), disc(25))


def test_ring_is_filled():
    ring = disc(20) & ~disc(10)
    assert overlap(rasterise(mask_to_polygon(ring)), disc(20)) > 0.9


def test_largest_of_two_parts_is_taken():
    mask = disc(8, (12, 12)) | disc(14, (60, 40))
    polygon = mask_to_polygon(mask)
    assert overlap(rasterise(polygon), disc(14, (60, 40))) > 0.9


def test_largest_is_counted_in_pixels_when_parts_are_one_pixel_wide():
    mask = np.zeros(SIZE, bool)
    mask[5, 5:35] = True  # 30 pixels without an inside
    mask[40:42, 50:52] = True  # 4 pixels around one
    np.testing.assert_array_equal(mask_to_polygon(mask), [[5, 5], [35, 5], [35, 6], [5, 6]])


def test_curved_word_keeps_its_bend():
    mask = disc(28, (45, 30)) & ~disc(18, (45, 30))
    mask[30:] = False
    polygon = mask_to_polygon(mask)
    assert overlap(rasterise(polygon), mask) > 0.9
    assert clockwise_area(polygon) > 0


def test_empty_mask_has_no_outline():
    assert mask_to_polygon(np.zeros(SIZE, bool)) is None
    assert mask_to_polygon(np.zeros((0, 0), bool)) is None


def test_noise_gives_valid_points_inside_the_image():
    generator = np.random.default_rng(0)
    for _ in range(50):
        mask = generator.random((12, 17)) < generator.uniform(0.05, 0.95)
        polygon = mask_to_polygon(mask)
        assert len(polygon) >= 3 and np.isfinite(polygon).all() and clockwise_area(polygon) > 0
        assert (polygon >= 0).all() and (polygon <= [17, 12]).all()


def test_instances_with_masks_only_look_inside_their_boxes():
    masks = torch.zeros(3, *SIZE, dtype=torch.bool)
    masks[0, 20:40, 10:50] = True
    masks[1, 0:60, 80:90] = True  # touches three borders
    instances = Instances(SIZE)
    instances.pred_boxes = Boxes(torch.tensor([[10.2, 19.8, 49.9, 40.0], [79.5, -3, 95, 70], [5, 5, 20, 20]]))
    instances.pred_masks = masks
    first, second, third = instances_to_polygons(instances)
    np.testing.assert_array_equal(first, [[10, 20], [50, 20], [50, 40], [10, 40]])
    np.testing.assert_array_equal(second, [[80, 0], [90, 0], [90, 60], [80, 60]])
    assert third is None


def test_boxes_without_extent_or_finite_numbers_give_none():
    instances = Instances(SIZE)
    boxes = [[float("nan"), 0, 9, 9], [95, 10, 99, 20], [float("inf"), 0, float("inf"), 9]]
    instances.pred_boxes = Boxes(torch.tensor(boxes))
    instances.pred_masks = torch.ones(3, *SIZE, dtype=torch.bool)
    assert instances_to_polygons(instances) == [None, None, None]


def test_instances_with_polygons_drop_the_padding():
    instances = Instances(SIZE)
    triangle, square = [[1, 1], [9, 1], [5, 8]], [[2, 2], [8, 2], [8, 8], [2, 8]]
    broken = [[1, 1], [float("nan"), 2], [3, 3]]
    instances.pred_polygons = WordPolygons.from_list([triangle, square, [[4, 4]], broken])
    polygons = instances_to_polygons(instances)
    np.testing.assert_array_equal(polygons[0], triangle)
    np.testing.assert_array_equal(polygons[1], square)
    assert polygons[2:] == [None, None]


def test_no_words_and_no_outlines():
    empty = Instances(SIZE)
    empty.pred_boxes = Boxes(torch.zeros(0, 4))
    with pytest.raises(ValueError, match="pred_masks or pred_polygons"):
        instances_to_polygons(empty)
    empty.pred_masks = torch.zeros(0, *SIZE, dtype=torch.bool)
    assert instances_to_polygons(empty) == []
