"""Drawings of results: what is drawn is checked by colour and place; what cannot be drawn must not break."""

import time

import numpy as np
import pytest
from PIL import ImageColor

from dld_spotter import word_drawing
from dld_spotter.word_drawing import WORD_COLORS, draw_words

SQUARE = [[40, 60], [120, 60], [120, 100], [40, 100]]
OTHER = [[150, 60], [230, 60], [230, 100], [150, 100]]


def blank(height=160, width=260, value=0):
    return np.full((height, width, 3), value, np.uint8)


def has_colour(image, colour, tolerance=12):
    """Whether some pixel of a BGR image has nearly this colour."""
    return (np.abs(image[..., ::-1].astype(int) - ImageColor.getrgb(colour)).max(axis=-1) <= tolerance).any()


def test_an_image_without_words_comes_back_bit_by_bit_and_the_given_one_stays():
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    before = image.copy()
    np.testing.assert_array_equal(draw_words(image, [], []), image)
    assert (draw_words(image, [[[5, 5], [40, 5], [40, 30]]], ["a"], 0.5) != image).any()
    np.testing.assert_array_equal(image, before)


def test_outlines_lie_where_the_words_are_in_their_own_colours_with_a_light_fill():
    drawn = draw_words(blank(), [SQUARE, OTHER], ["", ""])
    for polygon, colour in zip((SQUARE, OTHER), WORD_COLORS[:2], strict=True):
        (left, top), (right, bottom) = polygon[0], polygon[2]
        for edge in (drawn[top - 1 : top + 1, left:right], drawn[top:bottom, right - 1 : right + 1]):
            assert has_colour(edge, colour, tolerance=90)
        inside = drawn[top + 3 : bottom - 3, left + 3 : right - 3].reshape(-1, 3)
        np.testing.assert_allclose(inside, [np.multiply(ImageColor.getrgb(colour)[::-1], 0.15)] * len(inside), atol=1.5)
    drawn[57:104, 37:124] = drawn[57:104, 147:234] = 0
    assert not drawn.any()


def test_labels_stand_above_the_words_or_below_at_the_top_edge():
    drawn = draw_words(blank(value=255), [SQUARE], ["bead"])
    assert (drawn[:58] < 128).all(axis=-1).any() and (drawn[104:] == 255).all()
    at_top = [[40, 0], [120, 0], [120, 40], [40, 40]]
    assert (draw_words(blank(value=255), [at_top], ["bead"])[44:] < 128).all(axis=-1).any()


def test_labels_have_the_colour_of_their_word_on_a_dark_ground_inside_the_image():
    corner = [[240, 140], [259, 140], [259, 159], [240, 159]]
    drawn = draw_words(blank(value=255), [corner], ["abcdefg"])
    ground = (drawn[:138] < 60).all(axis=-1)
    columns = np.flatnonzero(ground.any(axis=0))
    assert columns.min() < 240 and columns.max() <= 259
    assert has_colour(drawn[:138], WORD_COLORS[0], tolerance=60)


def test_the_scale_stands_in_the_lower_left_corner():
    plain, chosen = draw_words(blank(), [SQUARE], ["bead"]), draw_words(blank(), [SQUARE], ["bead"], 0.5)
    different = (plain != chosen).any(axis=-1)
    assert different[140:, :60].any() and not different[:130].any() and not different[:, 90:].any()
    assert draw_words(blank(), [], [], 1.0)[140:, :60].max() > 200


def test_labels_of_small_words_do_not_cover_others():
    # Two columns of small words, each line close below the one before, as on a menu.
    boxes = [(left, top, left + 60, top + 12) for left in (60, 330) for top in range(100, 200, 14)]
    polygons = [np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], float) for x1, y1, x2, y2 in boxes]
    written = word_drawing._place_labels((300, 500), polygons, ["bead"] * len(boxes), [(1, 2, 3)] * len(boxes))
    labels = np.array([box for _, box, _ in written])
    assert len(labels) == len(boxes) and (labels >= 0).all() and (labels[:, 2:] <= (500, 300)).all()
    for index, label in enumerate(labels):
        for box in boxes:
            assert overlap(label, np.array(box)) < 0.02 * 60 * 12
        for other in labels[index + 1 :]:
            assert overlap(label, other) < 0.1 * np.prod(other[2:] - other[:2])


def overlap(first, second):
    width, height = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    return max(0, width) * max(0, height)


@pytest.mark.parametrize(
    "text", ["$5 $6", "\u6587\u5b57 \u0e44\u0e17\u0e22", "a\nb\tc\x00", "\udce9", "\U0001f600\ufe0f", "x" * 400]
)
def test_any_text_is_drawn(text):
    drawn = draw_words(blank(value=255), [SQUARE], [text])
    assert drawn.shape == (160, 260, 3) and (drawn[:58] < 128).all(axis=-1).any()


@pytest.mark.parametrize(
    "outline", [[[-50, -50], [500, -50], [500, 400], [-50, 400]], [[300, 10], [400, 10], [400, 50]], [[5, 5]] * 3]
)
def test_outlines_that_leave_the_image_do_not_break(outline):
    assert draw_words(blank(), [outline], ["word"]).shape == (160, 260, 3)


def test_fifty_words_are_drawn_quickly():
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    corners = [(20 + 120 * (index % 10), 30 + 130 * (index // 10)) for index in range(50)]
    polygons = [[[x, y], [x + 80, y + 3], [x + 78, y + 30], [x - 2, y + 27]] for x, y in corners]
    draw_words(image, polygons, ["Restaurant"] * 50, 0.5)  # finds the fonts
    start = time.process_time()
    draw_words(image, polygons, ["Restaurant"] * 50, 0.5)
    assert time.process_time() - start < 0.5  # about 0.04 s on one core
