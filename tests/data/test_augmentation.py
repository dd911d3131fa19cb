"""Augmentation: crops against brute force, maps against geometry by hand, outlines against coloured pixels."""

# ruff: noqa: NPY002 (Detectron2's augmentations draw from the global generator)

import cv2
import numpy as np
import pytest
import toy
from detectron2.data import transforms as T
from shapely.geometry import Polygon, box

from dld_spotter.data.augmentation import (
    ColorJitter,
    ResizeRotate,
    ResizeRotateTransform,
    TextAugInput,
    WordCrop,
    build_augmentations,
    rotated_size,
)

RED = (0, 0, 255)


def rectangle(x1, y1, x2, y2) -> np.ndarray:
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=float)


def random_quads(rng: np.random.Generator, number: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Turned rectangles in an image of (height, width), some of them reaching out of it."""
    centres = rng.uniform(0, 1, (number, 2)) * size[::-1]
    sides, angles = rng.uniform(3, 25, (number, 2)), rng.uniform(-30, 30, number)
    quads = [(tuple(c), tuple(s), a) for c, s, a in zip(centres, sides, angles, strict=True)]
    return [cv2.boxPoints(quad).astype(float) for quad in quads]


def blank(height=60, width=80, value=0) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize("words", [0, 1, 4, 12])
def test_crop_never_cuts_a_cared_word(words):
    rng = np.random.default_rng(words)
    cropped = 0
    for seed in range(70):
        image = blank(100, 140)
        cared = rng.random(words) < 0.6
        inputs = TextAugInput(image, random_quads(rng, words, (100, 140)), cared)
        before, cared = inputs.polygons, inputs.cared
        np.random.seed(seed)
        crop = WordCrop().get_transform(image, before, cared)
        if isinstance(crop, T.NoOpTransform):
            continue
        cropped += 1
        window = box(crop.x0, crop.y0, crop.x0 + crop.w, crop.y0 + crop.h)
        assert window.within(box(0, 0, 140, 100)) and crop.w >= 14 and crop.h >= 10
        shares = [Polygon(p).intersection(window).area / Polygon(p).area for p in before]
        cared_shares = [share for share, care in zip(shares, cared, strict=True) if care]
        assert all(share < 1e-9 or share > 1 - 1e-9 for share in cared_shares)
        assert not cared_shares or max(cared_shares) > 1 - 1e-9
        inputs.transform(crop)
        assert inputs.image.shape[:2] == (crop.h, crop.w)
        # Clipping a turned outline to the crop leaves exactly what shapely's intersection leaves, don't care included.
        for polygon, place in zip(inputs.polygons, inputs.index, strict=True):
            part = Polygon(before[place]).intersection(window)
            assert np.isclose(Polygon(polygon).area, part.area, atol=1e-6)
        assert len(inputs.index) == sum(share > 1e-12 for share in shares)
    assert cropped > 35, "far too few crops for a sparse image"


def test_crop_edges_are_all_those_that_no_word_forbids():
    words = [rectangle(4, 10, 14, 20), rectangle(20, 10, 24, 20)]
    margins = [(4 - 1, 14 + 1), (20 - 0.4, 24 + 0.4)]
    allowed = {x for x in range(31) if x in (0, 30) or not any(a < x < b for a, b in margins)}
    crop, seen = WordCrop(), set()
    for _ in range(300):
        transform = crop.get_transform(blank(30, 30), words, np.array([True, True]))
        if isinstance(transform, T.CropTransform):
            seen |= {transform.x0, transform.x0 + transform.w}
    # 1 to 3 and 15 to 19 lie beside words, 25 and up behind them: each is drawn sooner or later.
    assert seen == allowed


def test_crop_takes_the_whole_image_when_words_leave_no_room():
    everywhere = [rectangle(0, 0, 80, 60)]
    assert isinstance(WordCrop(min_ratio=1.1).get_transform(blank(), [], np.zeros(0, bool)), T.NoOpTransform)
    for _ in range(20):
        transform = WordCrop().get_transform(blank(), everywhere, np.array([True]))
        if isinstance(transform, T.CropTransform):
            assert (transform.x0, transform.y0, transform.w, transform.h) == (0, 0, 80, 60)


def test_crop_probability():
    crop = WordCrop(probability=0.25)
    crops = [crop.get_transform(blank(), [], np.zeros(0, bool)) for _ in range(400)]
    share = np.mean([isinstance(transform, T.CropTransform) for transform in crops])
    assert 0.15 < share < 0.35
    assert isinstance(WordCrop(probability=0).get_transform(blank(), [], np.zeros(0, bool)), T.NoOpTransform)


def test_cut_dont_care_regions_stay_and_cared_words_outside_go():
    inputs = TextAugInput(
        blank(), [rectangle(5, 5, 25, 15), rectangle(30, 5, 50, 15), rectangle(60, 40, 75, 50)], [False, True, True]
    )
    inputs.transform(T.CropTransform(15, 0, 40, 30))
    assert inputs.index.tolist() == [0, 1] and inputs.cared.tolist() == [False, True]
    assert np.allclose(inputs.polygons[0].min(axis=0), (0, 5)) and np.allclose(inputs.polygons[0].max(axis=0), (10, 15))
    assert np.allclose(inputs.polygons[1], rectangle(15, 5, 35, 15))


def test_words_are_clipped_to_the_image_first():
    inputs = TextAugInput(blank(), [rectangle(-10, -10, 20, 10), rectangle(90, 0, 95, 9)], [True, True])
    assert inputs.index.tolist() == [0]
    assert np.allclose([inputs.polygons[0].min(axis=0), inputs.polygons[0].max(axis=0)], [(0, 0), (20, 10)])


def test_given_polygons_are_not_changed():
    given = rectangle(5, 5, 25, 15)
    inputs = TextAugInput(blank(), [given], [True])
    T.AugmentationList([WordCrop(), ResizeRotate((40,), 100, max_angle=15)])(inputs)
    assert np.array_equal(given, rectangle(5, 5, 25, 15))


@pytest.mark.parametrize("angle", [-15.0, -3.0, 0.0, 7.5, 15.0, 90.0])
@pytest.mark.parametrize("factor", [0.3, 1.0, 2.5])
def test_coordinates_by_hand(angle, factor):
    height, width = 60, 80
    # y points down: counter-clockwise on screen is multiplication by exp(-i angle).
    corners = np.array([0, width, width + 1j * height, 1j * height])
    turned = (corners - (width + 1j * height) / 2) * np.exp(-1j * np.deg2rad(angle))
    canvas = np.ptp(turned.imag), np.ptp(turned.real)
    assert np.allclose(rotated_size(height, width, angle), canvas)
    new_height, new_width = round(canvas[0] * factor), round(canvas[1] * factor)
    transform = ResizeRotateTransform(height, width, new_height, new_width, angle)
    expected = np.stack(
        [
            (turned.real - turned.real.min()) * new_width / canvas[1],
            (turned.imag - turned.imag.min()) * new_height / canvas[0],
        ],
        axis=1,
    )
    assert np.allclose(transform.apply_coords(rectangle(0, 0, width, height)), expected)
    assert transform.apply_coords(np.zeros((0, 2))).shape == (0, 2)
    assert transform.apply_image(blank()).shape == (new_height, new_width, 3)


def test_quarter_turn_is_exact():
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    transform = ResizeRotateTransform(6, 9, 9, 6, 90.0)
    assert np.array_equal(transform.apply_image(image), np.rot90(image))
    assert np.array_equal(transform.apply_segmentation(image[..., 0]), np.rot90(image[..., 0]))


def test_without_rotation_it_is_detectron2s_resize():
    image = np.random.default_rng(0).integers(0, 256, (60, 81, 3), dtype=np.uint8)
    for size, longest in ((23, 1000), (90, 100)):
        ours = ResizeRotate((size,), longest).get_transform(image)
        theirs = T.ResizeShortestEdge(size, longest).get_transform(image)
        assert np.array_equal(ours.apply_image(image), theirs.apply_image(image))
        points = rectangle(3, 4, 50, 40)
        assert np.allclose(ours.apply_coords(points.copy()), theirs.apply_coords(points.copy()))


def colour_mask_iou(image: np.ndarray, polygon: np.ndarray) -> float:
    """IoU of an outline with the red pixels; sampled 3 x 3 in each pixel, since words are a few pixels high."""
    red = np.kron((image[..., 2] > 110) & (image[..., 0] < 100), np.ones((3, 3), bool))
    rows, columns = np.indices(red.shape)
    points = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1) / 3
    x, y = points.T
    inside = np.zeros(len(points), bool)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    return (red.ravel() & inside).sum() / (red.ravel() | inside).sum()


@pytest.mark.parametrize("size", [(50,), (80,), (200,)])
def test_outline_stays_on_its_word(size):
    rng = np.random.default_rng(1)
    augmentations = T.AugmentationList([WordCrop(), ResizeRotate(size, 400, max_angle=15)])
    for _ in range(8):
        image = blank(120, 160, 180)
        polygon = cv2.boxPoints(((70, 60), (60, 22), rng.uniform(-40, 40))).astype(float)
        # Drawn at sub-pixel precision; cv2 puts pixel centres at whole numbers.
        cv2.fillPoly(image, [np.round((polygon - 0.5) * 256).astype(np.int32)], RED, shift=8, lineType=cv2.LINE_AA)
        inputs = TextAugInput(image, [polygon], [True])
        augmentations(inputs)
        assert colour_mask_iou(inputs.image, inputs.polygons[0]) > 0.88
        # The measure itself notices an outline that is off by 15% of the word's height.
        height = np.linalg.norm(np.diff(inputs.polygons[0], axis=0), axis=1).min()
        assert colour_mask_iou(inputs.image, inputs.polygons[0] + 0.2 * height) < 0.85


def test_sizes():
    for seed in range(20):
        np.random.seed(seed)
        transform = ResizeRotate((40, 50, 64), 90, max_angle=15).get_transform(blank(60, 80))
        short, long = sorted((transform.new_height, transform.new_width))
        assert long <= 90 and (short in (40, 50, 64) or long == 90)
    sizes = {ResizeRotate((40, 44), 999, "range").get_transform(blank()).new_height for _ in range(100)}
    assert sizes == {40, 41, 42, 43, 44}
    angles = [ResizeRotate((40,), 999, max_angle=15).get_transform(blank()).angle for _ in range(200)]
    assert -15 <= min(angles) < -12 and 12 < max(angles) <= 15
    assert ResizeRotate((0,), 999).get_transform(blank(60, 80)).apply_image(blank(60, 80)).shape == (60, 80, 3)
    with pytest.raises(ValueError, match="MIN_SIZE_TRAIN"):
        ResizeRotate((40, 50, 60), 999, "range")


def test_extreme_shapes_keep_a_pixel():
    image = blank(2, 6000)
    for angle in (0.0, 15.0):
        transform = ResizeRotate((448,), 1333, max_angle=angle).get_transform(image)
        assert min(transform.apply_image(image).shape[:2]) >= 1


def test_colour_against_each_step_in_floats():
    image = np.random.default_rng(0).integers(90, 140, (20, 30, 3), dtype=np.uint8)  # far from both ends: no clipping
    for _ in range(10):
        state = np.random.get_state()
        ours = ColorJitter(0.1, 0.2, 0.3).get_transform(image).apply_image(image)
        np.random.set_state(state)
        brightness, contrast, saturation = (1 + np.random.uniform(-1, 1) * change for change in (0.1, 0.2, 0.3))
        pixels = image.astype(float) * brightness
        mean_grey = (0.114 * pixels[..., 0] + 0.587 * pixels[..., 1] + 0.299 * pixels[..., 2]).mean()
        pixels = mean_grey + (pixels - mean_grey) * contrast
        grey = (0.114 * pixels[..., 0] + 0.587 * pixels[..., 1] + 0.299 * pixels[..., 2])[..., None]
        pixels = grey + (pixels - grey) * saturation
        assert np.abs(ours - pixels).max() < 0.9  # rounding, and OpenCV's fixed-point coefficients
        np.random.set_state(state)
        flipped = ColorJitter(0.1, 0.2, 0.3, "RGB").get_transform(image[..., ::-1])
        assert np.array_equal(flipped.apply_image(np.ascontiguousarray(image[..., ::-1])), ours[..., ::-1])
    assert np.array_equal(ColorJitter(0, 0, 0).get_transform(image).apply_image(image), image)


def test_config_order_fill_and_switches():
    cfg = toy.tiny_cfg()
    augmentations = build_augmentations(cfg, is_train=True)
    assert [type(a) for a in augmentations] == [WordCrop, ColorJitter, ResizeRotate]
    inputs = TextAugInput(blank(60, 80, 255), [], [])
    np.random.seed(4)
    transforms = T.AugmentationList(augmentations)(inputs)
    assert abs(transforms[-1].angle) > 2
    corners = inputs.image[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert not corners.any(), "the corners of the canvas are black, whatever the colours"

    cfg = toy.tiny_cfg(
        "INPUT.WORD_CROP.ENABLED", False, "INPUT.ROTATION", 0.0, "INPUT.COLOR_JITTER", (0.0, 0.0, 0.0),
    )  # fmt: skip
    (only,) = build_augmentations(cfg, is_train=True)
    assert only.get_transform(blank()).angle == 0
    (at_test,) = build_augmentations(toy.tiny_cfg(), is_train=False)
    transform = at_test.get_transform(blank(60, 80))
    assert (transform.new_height, transform.new_width, transform.angle) == (96, 128, 0)
    with pytest.raises(ValueError, match="INPUT.WORD_CROP"):
        build_augmentations(toy.tiny_cfg("INPUT.CROP.ENABLED", True), is_train=True)
