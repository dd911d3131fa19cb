"""The order in which words are read: hand-made layouts, and jitter, rotations and permutations of them."""

import numpy as np
import pytest

from dld_spotter.results import TextResult, Word, in_reading_order
from dld_spotter.text_lines import reading_lines


def box(left, top, width, height):
    return np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]], float)


def layout(*rows):
    """(text, polygon) of rows such as (left, top, height, "two words"): letters half as wide as high, as are spaces."""
    words = []
    for left, top, height, text in rows:
        for word in text.split(" "):
            words.append((word, box(left, top, len(word) * height / 2, height)))
            left += (len(word) + 1) * height / 2
    return words


def read(words, turn=None):
    polygons = [polygon if turn is None else turn(polygon) for _, polygon in words]
    return [" ".join(words[i][0] for i in line) for line in reading_lines(polygons, [text for text, _ in words])]


PARAGRAPH = ((100, 100, 20, "the quick brown fox"), (100, 126, 20, "jumps over the"), (100, 152, 20, "lazy dog"))
SECOND = ((380, 100, 20, "pack my box with"), (380, 126, 20, "five dozen"), (380, 152, 20, "liquor jugs"))
LAYOUTS = {
    "one word": ((10, 10, 20, "open"),),
    "one line": ((10, 10, 20, "coffee house"),),
    "a paragraph": PARAGRAPH,
    "two columns": (*PARAGRAPH, *SECOND),
    "a headline over two columns": ((100, 40, 40, "news of the day today"), *PARAGRAPH, *SECOND),
    "signs metres apart, at one height": ((100, 100, 30, "fish"), (100, 135, 30, "and chips"), (900, 102, 30, "taxi")),
    "a high sign, then a low one to its left": ((600, 50, 30, "high up"), (50, 400, 30, "down here")),
    "a large word and small ones below it": ((100, 100, 80, "sale"), (110, 190, 20, "from monday on")),
    "three columns": ((0, 0, 20, "a b"), (0, 26, 20, "c"), (150, 0, 20, "d"), (150, 26, 20, "e"), (300, 4, 20, "f")),
}


def lines_of(name):
    return [row[3] for row in LAYOUTS[name]]


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name):
    assert read(layout(*LAYOUTS[name])) == lines_of(name)


@pytest.mark.parametrize("askew", [-8, -4, 4, 8])
def test_a_word_that_stands_askew_stays_in_its_line(askew):
    assert read([("coffee", box(10, 50, 60, 20)), ("house", box(80, 50 + askew, 50, 20))]) == ["coffee house"]


def test_words_of_different_heights_on_one_line():
    words = [("Big", box(10, 10, 60, 40)), ("on", box(85, 28, 30, 20)), ("Top", box(130, 10, 60, 40))]
    assert read(words) == ["Big on Top"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_jitter_and_order_of_the_input_change_nothing(name):
    rng = np.random.default_rng(0)
    words = layout(*LAYOUTS[name])
    for _ in range(40):
        heights = [polygon[2, 1] - polygon[0, 1] for _, polygon in words]
        moved = [
            (text, polygon + rng.uniform(-0.1, 0.1, 2) * height + rng.uniform(-0.05, 0.05, (4, 2)) * height)
            for (text, polygon), height in zip(words, heights, strict=True)
        ]
        assert read([moved[i] for i in rng.permutation(len(moved))]) == lines_of(name)


@pytest.mark.parametrize("degrees", [-35, -20, -10, 10, 20, 35])
@pytest.mark.parametrize("name", ["one line", "a paragraph", "two columns", "a headline over two columns"])
def test_slanted_text_is_read_along_its_slant(name, degrees):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert read(layout(*LAYOUTS[name]), lambda polygon: polygon @ turn.T) == lines_of(name)


def test_words_that_run_downwards():
    words = [("hotel", box(10, 100, 20, 60)), ("grand", box(10, 30, 20, 60)), ("bar", box(400, 30, 20, 40))]
    assert read(words) == ["grand hotel", "bar"]


def test_text_round_a_ring_ends():
    angles = np.radians(np.arange(0, 360, 30))
    ring = [
        (str(i), np.array([[r * np.cos(a + d), r * np.sin(a + d)] for r, d in corners]))
        for i, a in enumerate(angles)
        for corners in [((120, -0.2), (120, 0.2), (100, 0.2), (100, -0.2))]
    ]
    found = [word for line in read(ring) for word in line.split(" ")]
    assert sorted(found, key=int) == [text for text, _ in ring]


def test_every_word_stands_in_one_line_whatever_is_given():
    rng = np.random.default_rng(0)
    for _ in range(60):
        number = int(rng.integers(1, 40))
        polygons = [rng.uniform(0, 300, 2) + rng.uniform(-30, 30, (int(rng.integers(3, 9)), 2)) for _ in range(number)]
        polygons += polygons[:2] + [np.full((4, 2), 7.0)]  # twice the same, and a point
        lines = reading_lines(polygons, ["word"] * len(polygons))
        assert sorted(index for line in lines for index in line) == list(range(len(polygons)))
    assert reading_lines([], []) == []


def test_scripts_from_right_to_left():
    words = layout((10, 10, 20, "peace world"))
    assert reading_lines([polygon for _, polygon in words], ["שלום", "עולם"]) == [[1, 0]]
    assert reading_lines([polygon for _, polygon in words], ["peace", "world"]) == [[0, 1]]


def test_results_have_lines_and_text():
    shuffled = [layout(*PARAGRAPH)[i] for i in (4, 0, 8, 2, 6, 1, 5, 3, 7)]
    words = [Word(text, 1.0, 1.0, 1.0, polygon.tolist()) for text, polygon in shuffled]
    result = TextResult("a.jpg", 300, 500, words=in_reading_order(words))
    assert result.text == "the quick brown fox\njumps over the\nlazy dog"
    assert [word for line in result.lines for word in line] == result.words
    assert TextResult("a.jpg", error="gone").lines == [] and TextResult("a.jpg", error="gone").text == ""
