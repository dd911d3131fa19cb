"""Where labels go, on boxes."""

import numpy as np
import pytest

from dld_spotter.label_placement import place_label

WORD = (100, 100, 160, 120)
ABOVE, BELOW, BESIDE = (90, 60, 200, 100), (90, 120, 200, 160), (160, 90, 300, 130)


def covered(first, second):
    width, height = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    return max(0, width) * max(0, height)


def place(size, *others, image=(400, 400), word=WORD):
    return place_label(size, np.array(word, float), np.array([word, *others], float), image)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ((), (100, 85, 150, 100)),
        ((ABOVE,), (100, 120, 150, 135)),
        ((ABOVE, BELOW), (160, 102.5, 210, 117.5)),
        ((ABOVE, BELOW, BESIDE), (50, 102.5, 100, 117.5)),
        (((60, 60, 120, 100),), (100, 120, 150, 135)),  # a part of the place suffices
    ],
)
def test_above_then_below_then_beside(others, expected):
    np.testing.assert_allclose(place((50, 15), *others), expected)


def test_it_ends_with_the_word_where_its_beginning_is_taken():
    others = ((80, 60, 125, 100), (80, 120, 125, 160))
    np.testing.assert_allclose(place((30, 15), *others), (130, 85, 160, 100))


def test_it_stays_inside_the_image():
    for word in ((0, 0, 40, 10), (370, 0, 400, 10), (0, 390, 40, 400), (380, 390, 400, 400)):
        box = place((60, 15), word=word)
        assert (box[:2] >= 0).all() and (box[2:] <= 400).all() and covered(box, np.array(word)) == 0
    assert (place((500, 15))[:1] == 0).all()  # one that is wider than the image begins at its edge


def test_random_words_are_covered_only_if_there_is_no_free_place():
    rng = np.random.default_rng(0)
    for _ in range(200):
        corners = rng.uniform(0, 340, (8, 2))
        others = np.concatenate([corners, corners + rng.uniform(5, 60, (8, 2))], axis=1)
        box = place((40, 12), *others)
        if any(covered(box, other) for other in [np.array(WORD), *others]):
            for left, top in ((100, 88), (100, 120), (120, 88), (120, 120), (160, 104), (60, 104)):
                tried = np.array([left, top, left + 40, top + 12])
                assert any(covered(tried, other) for other in others)
