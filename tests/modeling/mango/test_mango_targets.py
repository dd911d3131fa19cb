"""Target maps by hand, and against shapely's geometry one position at a time."""

import numpy as np
import pytest
import torch
from helpers.curved_words import curved_word
from helpers.mango_toys import equal_parts, maker, pieces, rectangle, words_of
from shapely.geometry import LineString, Point, Polygon

from dld_spotter.modeling.mango.cells import along, centre_lines
from dld_spotter.modeling.mango.mango_targets import (
    character_masks,
    character_regions,
    distance_to_line,
    inside,
    shrink_offset,
)
from dld_spotter.modeling.text_perceptron.reading_order import order_outlines
from dld_spotter.structures import WordPolygons


def targets_of(words, size, **kwargs):
    """Maps of (H, W) = size, for an image that fills them."""
    return maker(**kwargs).all_targets(words, (size[0] * 4, size[1] * 4), size, draw=False)


def lines_of(outlines, ordered=(10, 14)):
    return centre_lines(order_outlines(WordPolygons.from_list(outlines).tensor, ordered, 1.5))


def test_geometry_equals_shapely_s():
    rng = np.random.default_rng(0)
    outlines = [curved_word(rng, 7) for _ in range(4)]
    tensor = WordPolygons.from_list(outlines).tensor
    points = rng.uniform(0, 256, (200, 2)).astype(np.float32)
    contained = np.array([[Polygon(outline).contains(Point(p)) for p in points] for outline in outlines])
    np.testing.assert_array_equal(inside(tensor, torch.from_numpy(points)), contained)
    distances = np.array([[LineString(outline).distance(Point(p)) for p in points] for outline in outlines])
    np.testing.assert_allclose(distance_to_line(tensor, torch.from_numpy(points)), distances, rtol=1e-4, atol=1e-3)
    expected = [Polygon(o).area * (1 - 0.4**2) / Polygon(o).length for o in outlines]
    np.testing.assert_allclose(shrink_offset(tensor, 0.4), expected, rtol=1e-4)
    share = np.linspace(0, 1, 9)
    interpolated = [[LineString(o).interpolate(s, normalized=True).coords[0] for s in share] for o in outlines]
    np.testing.assert_allclose(along(tensor, torch.from_numpy(share).float()), interpolated, atol=2e-2)


@pytest.mark.parametrize("seed", range(4))
def test_a_centre_line_is_the_shrunk_outline(seed):
    """Every position lies in shapely's inward buffer, or within a position of the middle of the long sides."""
    outline = curved_word(np.random.default_rng(seed), 7)
    maps, _ = targets_of(words_of([outline], ["a"], (256, 256)), (64, 64))
    region = Polygon(outline)
    offset = region.area * (1 - 0.4**2) / region.length
    shrunk = region.buffer(-offset)
    top, bottom = LineString(outline[:7]), LineString(outline[7:][::-1])
    middle = LineString(
        [
            (np.array(top.interpolate(s, True).coords[0]) + np.array(bottom.interpolate(s, True).coords[0])) / 2
            for s in np.linspace(0.01, 0.99, 99)
        ]
    )
    for row, column in np.ndindex(64, 64):
        place = Point(4 * column + 2, 4 * row + 2)
        drawn = bool(maps.centre_line[row, column])
        if shrunk.buffer(-0.01).contains(place):
            assert drawn
        elif not shrunk.buffer(0.01).contains(place) and middle.distance(place) > 4:
            assert not drawn
    assert len(pieces(maps.centre_line.numpy())) == 1 and maps.centre_line_counted.all()


def test_a_rectangle_by_hand():
    """96 x 32: shrunk by 0.84 * 3072 / 256 = 10.08, to x from 22.08 to 97.92 and y from 26.08 to 37.92.

    The line at y = 32, as thick as a position, also takes the centres at x = 22 and 98.
    """
    maps, _ = targets_of(words_of([rectangle(12, 16, 108, 48)], ["a"], (64, 128)), (16, 32))
    expected = np.zeros((16, 32), bool)
    expected[7:9, 5:25] = True  # centres 30 and 34; 22, 26, ..., 98
    np.testing.assert_array_equal(maps.centre_line, expected)


@pytest.mark.parametrize("height", [1.5, 3, 6])
@pytest.mark.parametrize("angle", [0, 0.3, 0.8, 1.57])
def test_thin_words_are_one_piece(height, angle):
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    outline = (rectangle(-40, -height / 2, 40, height / 2) @ turn + [64.7, 63.1]).astype(np.float32)
    maps, _ = targets_of(words_of([outline], ["a"], (128, 128)), (32, 32))
    found = pieces(maps.centre_line.numpy())
    assert len(found) == 1 and len(found[0]) >= 15, "a line of 70 pixels or more"


def test_words_that_touch_do_not_join():
    """Side by side, one upon the other, and crossing at a corner: as many pieces as words."""
    rows = [rectangle(8, 8 + 7 * i, 120, 15 + 7 * i) for i in range(6)]
    columns = [rectangle(8 + 18 * i, 60, 26 + 18 * i, 80) for i in range(6)]
    for outlines in (rows, columns, rows + columns):
        maps, _ = targets_of(words_of(outlines, ["a"] * len(outlines), (128, 128)), (32, 32))
        assert len(pieces(maps.centre_line.numpy())) == len(outlines)


def test_dont_care_words_are_neither_targets_nor_background():
    outlines = [rectangle(8, 8, 72, 40), rectangle(61, 61, 119, 99), rectangle(8, 90, 50, 110)]
    maps, cells = targets_of(words_of(outlines, ["a", None, None], (128, 128), ignored=(1,)), (32, 32))
    alone, _ = targets_of(words_of([outlines[0], outlines[2]], ["a", None], (128, 128)), (32, 32))
    assert torch.equal(maps.centre_line, alone.centre_line) and torch.equal(maps.grid, alone.grid)
    x, y = np.meshgrid(np.arange(32) * 4 + 2, np.arange(32) * 4 + 2)
    np.testing.assert_array_equal(~maps.centre_line_counted, (x > 61) & (x < 119) & (y > 61) & (y < 99))
    x, y = np.meshgrid(np.arange(16) * 8 + 4, np.arange(16) * 8 + 4)
    hidden = (x > 61) & (x < 119) & (y > 61) & (y < 99)
    np.testing.assert_array_equal(~maps.grid_counted.reshape(16, 16), hidden)
    assert len(cells.cells) == 1 and maps.grid.sum() > len(cells.cells), "the word that is only found has cells too"
    nothing, cells = targets_of(words_of(outlines, [None] * 3, (128, 128), ignored=(0, 1, 2)), (32, 32))
    assert not nothing.centre_line.any() and not nothing.grid.any() and len(cells.cells) == 0


def test_no_words_at_all():
    maps, cells = targets_of(words_of([], [], (128, 128)), (32, 32))
    assert not maps.centre_line.any() and not maps.grid.any()
    assert maps.centre_line_counted.all() and maps.grid_counted.all()
    assert cells.cells.shape == cells.weight.shape == (0, 2)


def test_character_masks_by_hand():
    """Three characters of 16 x 16 pixels are 4 x 4 positions each; slot 3 is empty; slot 4 does not count."""
    outline = rectangle(8, 16, 56, 32)
    words = words_of([outline, outline], ["abc", "ab"], (48, 64), characters=[equal_parts(outline, 3), None])
    regions = character_regions(words, lines_of([outline, outline]), 5, slice_words=False)
    assert regions.count.tolist() == [3, 2] and regions.known.tolist() == [True, False]
    masks, counted = character_masks(regions, (12, 16), 4)
    expected = np.zeros((5, 12, 16), bool)
    for slot in range(3):
        expected[slot, 4:8, 2 + 4 * slot : 6 + 4 * slot] = True
    np.testing.assert_array_equal(masks[0], expected)
    assert counted.tolist() == [[True] * 4 + [False], [False] * 5] and not masks[1].any()


def test_character_masks_equal_shapely_s():
    rng = np.random.default_rng(0)
    quads = rectangle(0, 0, 12, 20) + rng.uniform(-4, 4, (6, 4, 2)) + rng.uniform(10, 80, (6, 1, 2))
    words = words_of([rectangle(0, 0, 128, 128)], ["abcdef"], (128, 128), characters=[quads])
    masks, _ = character_masks(character_regions(words, lines_of([rectangle(0, 0, 128, 128)]), 8, False), (32, 32), 4)
    for slot, row, column in np.ndindex(6, 32, 32):
        contained = Polygon(quads[slot]).contains(Point(4 * column + 2, 4 * row + 2))
        assert masks[0, slot, row, column] == contained


def test_a_character_smaller_than_a_position_has_the_one_that_it_lies_in():
    outline = rectangle(8.5, 16.5, 13, 17.5)
    words = words_of([outline], ["abc"], (48, 64), characters=[equal_parts(outline, 3)])
    masks, _ = character_masks(character_regions(words, lines_of([outline]), 5, False), (12, 16), 4)
    assert [tuple(np.argwhere(mask.numpy())[0]) for mask in masks[0, :3]] == [(4, 2), (4, 2), (4, 3)]
    assert masks.sum() == 3


def test_boxes_that_do_not_fit_the_word_are_not_used():
    outline = rectangle(8, 16, 56, 32)
    characters = [equal_parts(outline, 2), equal_parts(outline, 3), equal_parts(outline, 3)]
    words = words_of([outline] * 3, ["abc", "abc", None], (48, 64), characters=characters)
    known = character_regions(words, lines_of([outline] * 3), 5, slice_words=False).known
    assert known.tolist() == [False, True, False]
    assert character_regions(words, lines_of([outline] * 3), 3, slice_words=True).known.tolist() == [False] * 3, (
        "three characters and their end take four slots"
    )


def test_sliced_words_are_equal_parts_and_true_boxes_are_kept():
    outline, own = rectangle(8, 16, 56, 32), equal_parts(rectangle(8, 16, 32, 32), 3)
    words = words_of([outline, outline], ["abc", "abc"], (48, 64), characters=[None, own])
    regions = character_regions(words, lines_of([outline] * 2), 5, slice_words=True)
    np.testing.assert_allclose(regions.quads[0, :3], equal_parts(outline, 3), atol=1e-4)
    np.testing.assert_allclose(regions.quads[1, :3], own, atol=1e-4)
    assert regions.known.all()
    downwards = character_regions(
        words_of([rectangle(16, 8, 32, 56)], ["abc"], (64, 48)), lines_of([rectangle(16, 8, 32, 56)]), 5, True
    )
    np.testing.assert_allclose(downwards.quads[0, :3].mean(dim=1)[:, 1], [16, 32, 48], atol=1e-3)


def test_the_parts_of_a_curved_word_follow_it():
    outline = curved_word(np.random.default_rng(3), 7)
    words = words_of([outline], ["abcd"], (256, 256))
    quads = character_regions(words, lines_of([outline]), 6, slice_words=True).quads[0, :4].numpy()
    np.testing.assert_allclose(quads[0, [0, 3]], outline[[0, 13]], atol=1e-3)
    np.testing.assert_allclose(quads[3, [1, 2]], outline[[6, 7]], atol=1e-3)
    np.testing.assert_allclose(quads[:-1, [1, 2]], quads[1:, [0, 3]], atol=1e-3)
    lengths = np.linalg.norm(quads[:, 1] - quads[:, 0], axis=1)
    assert lengths.max() < 1.1 * lengths.min()


def test_targets_are_drawn_at_the_size_that_is_trained():
    """At every scale a word is one piece of at least a position, and lies at the scale's place."""
    outline = np.array(rectangle(20, 40, 220, 90))
    for scale in (1.0, 0.5, 0.3):
        maps, _ = targets_of(words_of([outline * scale], ["a"], (256, 256)), (64, 64))
        assert len(pieces(maps.centre_line.numpy())) == 1
        rows, columns = np.nonzero(maps.centre_line.numpy())
        np.testing.assert_allclose([columns.mean() * 4 + 2, rows.mean() * 4 + 2], [120 * scale, 65 * scale], atol=2.5)
