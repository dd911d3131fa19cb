"""Synthetic scenes: the ink of each word lies inside its own outline and nowhere else."""

import cv2
import numpy as np
import pytest

from dld_spotter.data.synthetic import draw_scene, draw_word

WORDS = ["Exit", "24", "(Qy)", "wW"]


def inside(polygon, size):
    """(H, W) signed distance of each pixel's centre to the outline's edges, positive inside; by cross products."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
    edges = np.roll(polygon, -1, axis=0) - polygon
    distances = [
        (ex * (rows - y) - ey * (columns - x)) / np.hypot(ex, ey)
        for (x, y), (ex, ey) in zip(polygon, edges, strict=True)
    ]
    return np.min(distances, axis=0)


@pytest.mark.parametrize("seed", range(8))
def test_ink_lies_inside_its_polygon_and_no_other(seed):
    size = (160, 200)
    scene = draw_scene(np.random.default_rng(seed), WORDS, size)
    ground = draw_scene(np.random.default_rng(seed), [], size).image
    ink = (scene.image != ground).any(axis=-1)
    cover = np.stack([inside(polygon, size) > 0 for polygon in scene.polygons])
    assert scene.texts == WORDS
    assert cover.sum(axis=0).max() == 1  # no pixel in two words
    assert not (ink & ~cover.any(axis=0)).any()
    assert all((ink & one).sum() > 20 for one in cover)


@pytest.mark.parametrize("seed", range(4))
def test_polygon_is_tight(seed):
    """Each of the four edges has ink within 2.5 pixels (1 of margin, 1.5 of pixel grid)."""
    size = (160, 200)
    scene = draw_scene(np.random.default_rng(seed), ["HEH"], size, max_angle=20)
    ground = draw_scene(np.random.default_rng(seed), [], size).image
    strong = np.abs(scene.image.astype(int) - ground).max(axis=-1) > 30
    rows, columns = np.nonzero(strong)
    polygon = scene.polygons[0]
    for (x, y), (ex, ey) in zip(polygon, np.roll(polygon, -1, axis=0) - polygon, strict=True):
        distance = (ex * (rows + 0.5 - y) - ey * (columns + 0.5 - x)) / np.hypot(ex, ey)
        assert 0 < distance.min() < 2.5


def test_outline_starts_at_the_top_left_of_the_word_and_turns_clockwise():
    """An upright cut along the outline gives back the word as the font draws it."""
    scene = draw_scene(np.random.default_rng(3), ["Lj"], (160, 200), max_angle=20)
    polygon = scene.polygons[0]
    assert cv2.contourArea(polygon, oriented=True) > 0  # clockwise where y points down
    sides = np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1)
    width, height = round(sides[0]), round(sides[1])
    corners = np.array([[0, 0], [width, 0], [width, height]], np.float32)
    matrix = cv2.getAffineTransform((polygon[:3] - 0.5).astype(np.float32), corners - 0.5)
    grey = cv2.warpAffine(scene.image, matrix, (width, height)).mean(axis=-1)
    contrast = np.abs(grey - np.median(grey))
    expected = next(
        draw_word("Lj", size) for size in range(8, 60) if draw_word("Lj", size).shape == (height - 2, width - 2)
    )
    assert np.corrcoef(contrast[1:-1, 1:-1].ravel(), expected.ravel())[0, 1] > 0.9


def test_same_seed_same_scene():
    first, second = (draw_scene(np.random.default_rng(5), WORDS) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(np.stack(first.polygons), np.stack(second.polygons))


def test_no_words():
    scene = draw_scene(np.random.default_rng(0), [], (32, 48))
    assert scene.image.shape == (32, 48, 3) and scene.image.dtype == np.uint8
    assert scene.polygons == [] and scene.texts == []


@pytest.mark.parametrize("word", ["", "  "])
def test_word_without_ink_is_refused(word):
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_scene(np.random.default_rng(0), [word])


def test_no_room_names_the_word():
    with pytest.raises(ValueError, match="'interminable'.*32 x 32"):
        draw_scene(np.random.default_rng(0), ["interminable"], (32, 32))
