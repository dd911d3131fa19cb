"""Cells of words by hand, and against a search sample by sample."""

import numpy as np
import pytest
import torch
from helpers.curved_words import curved_word
from helpers.mango_toys import maker, rectangle, words_of

from dld_spotter.modeling.mango.cells import CellOwners, assign_cells, centre_lines, choose_cells
from dld_spotter.modeling.text_perceptron.reading_order import order_outlines
from dld_spotter.structures import WordPolygons


def owners_of(outlines, image_size=(160, 160), grid_size=16, ignored=(), ordered=(10, 14)) -> CellOwners:
    polygons = WordPolygons.from_list(outlines).tensor
    lines = centre_lines(order_outlines(polygons, ordered, 1.5))
    flags = torch.tensor([i in ignored for i in range(len(outlines))], dtype=torch.bool)
    return assign_cells(lines, flags, image_size, grid_size)


def cells_of(owned, grid_size=16) -> set:
    return {divmod(cell, grid_size) for cell in owned.nonzero().flatten().tolist()}


def test_a_rectangle_by_hand():
    """80 x 16 pixels on cells of 10: the strip is 3.2 thick around y = 45, its middle runs from x = 47 to 63."""
    owners = owners_of([rectangle(15, 37, 95, 53)])
    assert cells_of(owners.owned[0]) == {(4, 4), (4, 5), (4, 6)}
    overlap = owners.overlap[0].reshape(16, 16)
    expected = np.zeros((16, 16))
    expected[4, 1:10] = 3.2 * np.array([5, *[10] * 7, 5])
    np.testing.assert_allclose(overlap, expected, rtol=1e-4)


def test_a_thick_word_has_cells_beside_its_centre_line():
    """60 pixels high: the strip of 12 around y = 51 lies in two rows; of 100, the one of 20 around 55 in three."""
    owners = owners_of([rectangle(10, 21, 150, 81)])
    assert cells_of(owners.owned[0]) == {(row, column) for row in (4, 5) for column in (6, 7, 8, 9)}
    owners = owners_of([rectangle(10, 5, 150, 105)])
    assert cells_of(owners.owned[0]) == {(row, column) for row in (4, 5, 6) for column in (6, 7, 8, 9)}


def test_a_tall_word_is_read_downwards():
    assert cells_of(owners_of([rectangle(37, 15, 53, 95)]).owned[0]) == {(4, 4), (5, 4), (6, 4)}


def by_search(outlines, image_size, grid_size):
    """(N, S, S) overlap and active cells, one sample after another, for outlines with as many points a side."""
    overlap = np.zeros((len(outlines), grid_size, grid_size))
    active = np.zeros((grid_size, grid_size), bool)
    for word, outline in enumerate(np.asarray(outlines, dtype=np.float64)):
        half = len(outline) // 2
        top, bottom = outline[:half], outline[half:][::-1]
        middle = np.array([(point(top, s) + point(bottom, s)) / 2 for s in np.linspace(0, 1, 20)])
        length = np.linalg.norm(np.diff(middle, axis=0), axis=1).sum()
        thickness = 0.2 * min(np.linalg.norm(top[0] - bottom[0]), np.linalg.norm(top[-1] - bottom[-1]))
        for along in range(320):
            share = (along + 0.5) / 320
            for across in (-0.08, -0.04, 0.0, 0.04, 0.08):
                x, y = point(top, share) * (0.5 - across) + point(bottom, share) * (0.5 + across)
                row, column = int(y * grid_size / image_size[0]), int(x * grid_size / image_size[1])
                overlap[word, row, column] += length * thickness / 1600
                active[row, column] |= 0.4 < share < 0.6
    return overlap, active


def point(line, share):
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    passed = np.concatenate([[0], lengths.cumsum()])
    return np.array([np.interp(share * passed[-1], passed, line[:, axis]) for axis in (0, 1)])


@pytest.mark.parametrize("seed", range(3))
def test_curved_words_equal_a_search(seed):
    """Of each active cell the owner is the word with most of it; a word without a cell gets its best unowned one."""
    rng = np.random.default_rng(seed)
    outlines = [curved_word(rng, 7) for _ in range(3)]
    overlap, active = by_search(outlines, (256, 256), 16)
    owners = owners_of(outlines, (256, 256))
    np.testing.assert_allclose(owners.overlap.reshape(-1, 16, 16), overlap, rtol=1e-3, atol=1e-3)
    expected = [set() for _ in outlines]
    for row, column in np.argwhere(active):
        expected[overlap[:, row, column].argmax()].add((row, column))
    for word, cells in enumerate(expected):
        if not cells:
            first = np.where(overlap.argmax(axis=0) == word, overlap[word], 0)
            cells.add(np.unravel_index(first.argmax(), first.shape))
    assert [cells_of(owned) for owned in owners.owned] == expected


def test_a_word_that_moves_by_a_cell_moves_its_cells_by_one():
    rng = np.random.default_rng(1)
    for _ in range(10):
        outline = curved_word(rng, 7, extent=300)
        here, right, down = (
            cells_of(owners_of([outline + move], (320, 320), 32).owned[0], 32) for move in ([0, 0], [10, 0], [0, 10])
        )
        assert len(here) > 0
        assert right == {(row, column + 1) for row, column in here}
        assert down == {(row + 1, column) for row, column in here}


def test_cells_do_not_depend_on_the_scale():
    outline = curved_word(np.random.default_rng(2), 7)
    full = owners_of([outline], (240, 320)).owned
    for scale in (0.3, 0.5, 0.8):
        assert torch.equal(owners_of([outline * scale], (240 * scale, 320 * scale)).owned, full)


def test_of_two_words_in_a_cell_the_larger_owns_it():
    large, small = rectangle(11, 41, 19, 49), rectangle(12, 42, 14, 44)
    owners = owners_of([small, large])
    assert cells_of(owners.owned[1]) == {(4, 1)} and not owners.owned[0].any()
    cells, weight = choose_cells(owners, 2, draw=False)
    assert weight.tolist() == [[0, 0], [1, 0]] and cells[1, 0] == 4 * 16 + 1


def test_of_equal_words_the_first_owns_the_cells():
    owners = owners_of([rectangle(15, 37, 95, 53)] * 2)
    assert cells_of(owners.owned[0]) == {(4, 4), (4, 5), (4, 6)} and not owners.owned[1].any()


def test_a_word_that_loses_its_middle_takes_what_is_left():
    """A long word's only active cells belong to two large words across it: it has one of the others, a full one."""
    line = rectangle(5, 44, 95, 46)
    across = [rectangle(x + 1, 5, x + 9, 85) for x in (40, 50)]
    owners = owners_of([line, *across])
    assert len(cells_of(owners.owned[0])) == 1
    assert cells_of(owners.owned[0]) <= {(4, column) for column in (1, 2, 3, 6, 7, 8)}
    assert {(4, 4)} <= cells_of(owners.owned[1]) and {(4, 5)} <= cells_of(owners.owned[2])


def test_dont_care_words_own_nothing_and_hinder_nobody():
    twice = [rectangle(15, 37, 95, 53)] * 2
    owners = owners_of(twice, ignored=(0,))
    assert not owners.owned[0].any() and cells_of(owners.owned[1]) == {(4, 4), (4, 5), (4, 6)}
    assert not owners_of(twice, ignored=(0, 1)).owned.any()
    assert owners_of([]).owned.shape == (0, 256)


def test_words_partly_outside_have_cells_inside():
    owners = owners_of([rectangle(-60, 30, 20, 50), rectangle(150, 150, 200, 180)])
    assert owners.owned.any(dim=1).all()


def test_chosen_cells_are_the_best_or_drawn():
    owned = torch.zeros(2, 9, dtype=torch.bool)
    owned[0, [2, 4, 6]] = True
    owned[1, 8] = True
    overlap = torch.arange(9.0).expand(2, -1).clone()
    cells, weight = choose_cells(CellOwners(owned, overlap), 2, draw=False)
    assert cells[0].tolist() == [6, 4] and cells[1, 0] == 8
    assert weight.tolist() == [[0.5, 0.5], [1, 0]]
    drawn = set()
    for _ in range(50):
        cells, weight = choose_cells(CellOwners(owned, overlap), 2, draw=True)
        assert weight.tolist() == [[0.5, 0.5], [1, 0]] and cells[1, 0] == 8
        drawn.add(frozenset(cells[0].tolist()))
    assert drawn == {frozenset(pair) for pair in ((2, 4), (2, 6), (4, 6))}
    assert choose_cells(CellOwners(owned, overlap), 20, draw=False)[0].shape == (2, 9)


def test_read_cells_are_those_of_training_without_the_draw():
    words = words_of([rectangle(15, 37, 95, 53), rectangle(20, 100, 60, 120)], ["a", None], (160, 160))
    _, trained = maker(cells_per_word=3).all_targets(words, (160, 160), (40, 40), draw=True)
    read = maker(cells_per_word=3).read_cells(words[:1], (160, 160))
    assert set(trained.cells[0].tolist()) == set(read.cells[0].tolist()) == {68, 69, 70}
    assert torch.equal(trained.weight, read.weight) and len(trained.cells) == 1
