"""The ink of words and the boxes of their characters."""

import numpy as np
import pytest

from dld_spotter.data.synthetic.fonts import load_font
from dld_spotter.data.synthetic.lettering import draw_letters

WORDS = ("Hamburg", "AVATAR", "jiffy", "(24.5)", '"Qy"', "W")


def alone(face, character, size):
    """(h, w) ink of one character, cut to its edges."""
    mask = load_font(face.path, size).getmask(character)
    ink = np.array(mask, np.uint8).reshape(mask.size[::-1])
    rows, columns = np.nonzero(ink)
    return ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


@pytest.mark.parametrize("text", WORDS)
@pytest.mark.parametrize(("tracking", "stroke"), [(0, 0), (3.3, 0), (0, 2)])
def test_ink_is_cut_to_its_edges(face, text, tracking, stroke):
    word = draw_letters(face, text, 40, tracking, stroke)
    for ink in (word.ink, word.core):
        assert ink.dtype == np.uint8 and ink.shape == word.ink.shape
    assert all(line.any() for line in (word.ink[0], word.ink[-1], word.ink[:, 0], word.ink[:, -1]))
    assert word.text == text and word.characters.shape == (len(text), 4)


@pytest.mark.parametrize("text", WORDS)
@pytest.mark.parametrize("stroke", [0, 2])
def test_all_ink_lies_in_the_boxes_of_the_characters(face, text, stroke):
    word = draw_letters(face, text, 40, 0, stroke)
    free = word.ink.copy()
    for left, top, right, bottom in word.characters:
        free[int(np.floor(top)) : int(np.ceil(bottom)), int(np.floor(left)) : int(np.ceil(right))] = 0
    assert free.max() == 0


@pytest.mark.parametrize("text", WORDS)
def test_each_box_holds_its_character(face, text):
    """Set wide apart, the ink inside a box is the character's own, whose edges are the box's to a pixel."""
    word = draw_letters(face, text, 40, tracking=12.0)
    for character, (left, top, right, bottom) in zip(text, word.characters.tolist(), strict=True):
        part = np.zeros_like(word.ink)
        columns = slice(max(0, int(left) - 3), int(right) + 4)  # the next character is further away
        part[:, columns] = word.ink[:, columns]
        rows, columns = np.nonzero(part > 20)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.array(edges) - [left, top, right, bottom]).max() <= 1.01
        expected = alone(face, character, 40).sum(dtype=float)
        assert part.sum(dtype=float) == pytest.approx(expected, rel=0.06)


def test_characters_stand_as_the_font_sets_them(face):
    """With kerning: A and V move together, and the whole is as wide as Pillow says."""
    font = load_font(face.path, 60)
    word = draw_letters(face, "AVA", 60)
    box = font.getbbox("AVA")
    assert abs(word.ink.shape[1] - (box[2] - box[0])) <= 2
    assert (np.diff(word.characters[:, 0]) > 0).all()


def test_tracking_adds_the_same_space_between_all(face):
    near, far = draw_letters(face, "abcd", 40), draw_letters(face, "abcd", 40, tracking=5)
    moved = far.characters[:, 0] - near.characters[:, 0]
    np.testing.assert_allclose(moved, 5.0 * np.arange(4), atol=0.01)


def test_stroke_surrounds_the_core(face):
    word = draw_letters(face, "Ho", 40, stroke=3)
    plain = draw_letters(face, "Ho", 40)
    assert (word.ink >= word.core).all()
    rows, columns = np.nonzero(word.core)
    assert (rows.min(), columns.min()) == (3, 3)
    height, width = plain.ink.shape
    assert word.ink.shape == (height + 6, width + 6)
    np.testing.assert_array_equal(word.core[3:-3, 3:-3], plain.ink)
    assert plain.core is plain.ink


@pytest.mark.parametrize("stroke", [0, 2])
@pytest.mark.parametrize("text", ["HIH", "Hy", "Hg("])
def test_base_line_is_the_foot_of_a_capital(face, text, stroke):
    word = draw_letters(face, text, 50, stroke=stroke)
    bottom = word.characters[0, 3] - stroke
    assert abs(word.base - bottom) <= 1


def test_no_ink_no_lettering(face):
    assert draw_letters(face, " ", 40) is None
