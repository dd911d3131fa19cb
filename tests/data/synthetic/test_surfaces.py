"""From the plane of the text to the scene and back; outlines around what is set on it."""

import cv2
import numpy as np
import pytest
from synthetic_checks import distance_to, inside

from dld_spotter.data.synthetic.surfaces import EDGE_POINTS, Surface, random_view, shift, transform

VIEW = np.array([[1.1, 0.2, 30.0], [-0.1, 0.9, 50.0], [0.0008, -0.0005, 1.0]])
BENDS = {
    "flat": {},
    "arch": {"centre": (60.0, 15.0), "radius": 90.0},
    "bowl": {"centre": (60.0, 15.0), "radius": -75.0},
    "wave": {"centre": (60.0, 15.0), "wave": (12.0, 88.0)},
    "both": {"centre": (60.0, 15.0), "radius": 120.0, "wave": (5.0, 120.0)},
}
BOX = np.array([5.0, 0.0, 115.0, 30.0])


def grid(box, step):
    """Points that fill a box, its edges included."""
    u, v = np.meshgrid(np.arange(box[0], box[2] + 1e-9, step), np.arange(box[1], box[3] + 1e-9, step))
    return np.stack([u.ravel(), v.ravel()], axis=-1)


@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize("view", [np.eye(3), VIEW])
def test_inverse_undoes_forward(bend, view):
    surface = Surface(view, **BENDS[bend])
    points = grid(BOX, 2.5)
    np.testing.assert_allclose(surface.inverse(surface.forward(points)), points, atol=1e-8)


def test_homography_by_hand():
    # (10, 20): x = 1.1 * 10 + 0.2 * 20 + 30 = 45, y = -1 + 18 + 50 = 67, w = 0.008 - 0.01 + 1 = 0.998.
    np.testing.assert_allclose(Surface(VIEW).forward([[10, 20]]), [[45 / 0.998, 67 / 0.998]])
    np.testing.assert_allclose(transform(shift(3, -4), np.array([[1.0, 1.0]])), [[4, -3]])


@pytest.mark.parametrize(("radius", "ends"), [(50.0, 1), (-50.0, -1)])
def test_arc_by_hand(radius, ends):
    """A quarter of the circle along the line lies beside its middle and below the top; letters stay upright on it."""
    surface = Surface(np.eye(3), centre=(100.0, 20.0), radius=radius)
    quarter = 50 * np.pi / 2
    middle, right, left = surface.forward([[100, 20], [100 + quarter, 20], [100 - quarter, 20]])
    np.testing.assert_allclose(middle, [100, 20], atol=1e-9)
    np.testing.assert_allclose(right, [150, 20 + ends * 50], atol=1e-9)
    np.testing.assert_allclose(left, [50, 20 + ends * 50], atol=1e-9)
    above = surface.forward([[100 + quarter, 14]])[0]  # above the end of an arch means further out, to the right
    np.testing.assert_allclose(above, [150 + ends * 6, 20 + ends * 50], atol=1e-9)


def test_wave_by_hand():
    surface = Surface(np.eye(3), centre=(10.0, 0.0), wave=(6.0, 40.0))
    np.testing.assert_allclose(surface.forward([[10, 5], [20, 5], [40, 5]]), [[10, 5], [20, 11], [40, -1]], atol=1e-9)


@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize("view", [np.eye(3), VIEW])
def test_outline_contains_the_box_and_is_tight(bend, view):
    surface = Surface(view, **BENDS[bend])
    outline = surface.outline(BOX, 1.0)
    assert len(outline) == (4 if bend == "flat" else 2 * EDGE_POINTS)
    assert cv2.contourArea(outline.astype(np.float32), oriented=True) > 0  # clockwise where y points down
    points = surface.forward(grid(BOX, 0.5))
    low, high = np.floor(outline.min(axis=0)) - 2, np.ceil(outline.max(axis=0)) + 2
    fine = 4  # cells a pixel
    size = tuple(((high - low) * fine).astype(int)[::-1])
    mask = inside((outline - low) * fine, size)
    columns, rows = ((points - low) * fine).astype(int).T
    assert mask[rows, columns].all()
    area = np.zeros(size, bool)
    area[rows, columns] = True
    area = cv2.dilate(area.astype(np.uint8), np.ones((5, 5)))
    rows, columns = np.nonzero(mask & (area == 0))
    if len(rows):  # what the outline has more than the box is a thin rim
        rim = np.stack([columns, rows], axis=-1) / fine + low
        assert distance_to(outline, rim).max() < (5.5 if "wave" in BENDS[bend] else 3.0)


def test_outline_starts_at_the_top_left_of_the_text():
    outline = Surface(np.eye(3)).outline(np.array([10, 20, 50, 30.0]), 2)
    np.testing.assert_allclose(outline, [[8, 18], [52, 18], [52, 32], [8, 32]])
    bent = Surface(np.eye(3), (30.0, 25.0), 400.0).outline(np.array([10, 20, 50, 30.0]), 0)
    np.testing.assert_allclose(
        bent[[0, EDGE_POINTS - 1, EDGE_POINTS, -1]], [[10, 20], [50, 20], [50, 30], [10, 30]], atol=1
    )


@pytest.mark.parametrize("seed", range(20))
def test_view_keeps_the_middle_and_its_scale(seed):
    rng = np.random.default_rng(seed)
    width, height = rng.uniform(5, 400, 2)
    matrix = random_view(rng, (width, height), strength=1.0, roll=rng.uniform(-90, 90))
    middle = np.array([[width / 2, height / 2]])
    np.testing.assert_allclose(transform(matrix, middle), [[0, 0]], atol=1e-9)
    step = 1e-4
    steps = transform(matrix, middle + [[step, 0], [0, step]]) / step
    stretch = np.linalg.svd(steps)[1]  # a turned plane is seen shortened, never enlarged
    assert stretch[0] < 1.001 and stretch[1] > np.cos(np.deg2rad(55)) * np.cos(np.deg2rad(35)) - 0.01
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    assert (np.column_stack([corners, np.ones(4)]) @ matrix[2] > 0.3).all()  # all in front of the camera


@pytest.mark.parametrize("roll", [0.0, 30.0, -90.0])
def test_straight_view_is_a_turn_clockwise_on_screen(roll):
    matrix = random_view(np.random.default_rng(0), (40, 20), strength=0.0, roll=roll)
    angle = np.deg2rad(roll)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [40, 0], [40, 20], [0, 20.0]])
    np.testing.assert_allclose(transform(matrix, corners), (corners - [20, 10]) @ turned.T, atol=1e-9)
