"""From maps to words: hand-drawn maps, a search by flooding, and true maps of drawn, curved and photographed words."""

import csv

import cv2
import numpy as np
import pytest
from helpers.curved_words import curved_word
from helpers.mango_toys import maker, pieces, rectangle, words_of
from shapely.geometry import Point, Polygon

from dld_spotter.data.synthetic import draw_scene
from dld_spotter.modeling.mango.mango_post_processing import WordLocator


def locator(grid_size=4, **kwargs) -> WordLocator:
    return WordLocator(**{"grid_size": grid_size, "stride": 4, "score_threshold": 0.0, "min_pixels": 2} | kwargs)


def drawn(drawing: str) -> np.ndarray:
    """Probabilities from digits: tenths; . is 0."""
    return np.array([[0 if x == "." else int(x) / 10 for x in line] for line in drawing.split()], np.float32)


def test_words_cells_and_weights_by_hand():
    """A map of 8 x 8 with cells of 2 x 2; the second cell of the first row is not active."""
    lines = drawn("""
        98765...
        ....5...
        ........
        ....99..
        ....99.8
        .......8
        6.......
        .6......
        """)
    grid = np.full(16, 0.9)
    grid[1] = 0.4
    words = locator()(lines, grid, (32, 32))
    assert len(words.polygons) == 3, "two positions that touch at a corner are no word of two"
    by_word = [
        {int(cell): float(share) for cell, word, share in zip(words.cells, words.word, words.weight, strict=True)
         if word == index}
        for index in range(3)
    ]  # fmt: skip
    assert by_word == [{0: 0.5, 2: 0.5}, {6: 0.5, 10: 0.5}, {11: 0.5}]
    np.testing.assert_allclose(words.scores, [4.0 / 6, 0.9, 0.8], rtol=1e-5)
    np.testing.assert_allclose(words.polygons[2], rectangle(28, 16, 32, 24))
    np.testing.assert_allclose(words.polygons[1], rectangle(16, 12, 24, 20))


def test_a_shared_cell_belongs_to_the_word_with_most_of_it():
    lines = drawn("""
        9.999999
        ........
        9.......
        99......
        """)
    words = locator(grid_size=2, min_pixels=1)(lines, np.ones(4), (16, 32))
    assert words.cells.tolist() == [0, 1, 2] and words.word.tolist() == [0, 0, 1]
    np.testing.assert_allclose(words.weight, [2 / 8, 4 / 8, 3 / 8])
    assert len(words.polygons) == 2, "the first piece loses its only cell, 1 position to 2, and is left out"


def test_words_without_an_active_cell_small_ones_and_uncertain_ones_are_left_out():
    lines = drawn("""
        99.6....
        ...66...
        ........
        .....999
        """)
    everywhere, size = np.ones(16), (16, 32)
    assert len(locator()(lines, everywhere, size).polygons) == 3
    assert len(locator(min_pixels=3)(lines, everywhere, size).polygons) == 2
    assert len(locator(score_threshold=0.7)(lines, everywhere, size).polygons) == 2
    assert len(locator(centre_line_threshold=0.7)(lines, everywhere, size).polygons) == 2
    nothing = locator()(lines, np.zeros(16), size)
    assert nothing.polygons == [] and len(nothing.scores) == len(nothing.cells) == len(nothing.weight) == 0
    assert locator()(lines * 0, everywhere, size).polygons == []
    assert len(locator(grid_threshold=0.0)(lines, np.zeros(16), size).polygons) == 3


def test_padding_holds_no_words():
    """An image of 16 x 18 pixels: the fifth column's centre lies at x = 18, outside."""
    lines = np.full((6, 8), 0.9, np.float32)
    words = locator()(lines, np.ones(16), (16, 18))
    assert len(words.polygons) == 1
    np.testing.assert_allclose(words.polygons[0], rectangle(0, 0, 16, 16), atol=1e-5)
    assert words.weight.sum() == pytest.approx(4 * 4 * 16 * 16 / (16 * 18))


@pytest.mark.parametrize("seed", range(3))
def test_random_maps_equal_a_search(seed):
    rng = np.random.default_rng(seed)
    lines = cv2.GaussianBlur(rng.random((37, 45), dtype=np.float32), (0, 0), 1.5) * 2 - 0.5
    grid, image_size = rng.random(49), (148, 180)
    words = locator(grid_size=7, min_pixels=5)(lines, grid, image_size)
    expected = {}
    found = [piece for piece in pieces(lines >= 0.5) if len(piece) >= 5]
    for cell in np.flatnonzero(grid >= 0.5):
        inside = [
            sum((int((r + 0.5) * 4 / 148 * 7), int((c + 0.5) * 4 / 180 * 7)) == divmod(cell, 7) for r, c in piece)
            for piece in found
        ]
        if inside and max(inside) > 0:
            expected[cell] = sorted(inside)[-1] * 16 * 49 / (148 * 180), [i for i, n in enumerate(inside)
                                                                          if n == max(inside)]  # fmt: skip
    assert dict(zip(words.cells, words.weight, strict=True)) == pytest.approx({c: w for c, (w, _) in expected.items()})
    for cell, word in zip(words.cells, words.word, strict=True):
        means = [np.mean([lines[place] for place in found[i]]) for i in expected[cell][1]]
        assert min(abs(mean - words.scores[word]) for mean in means) < 1e-5


def test_outlines_follow_their_piece():
    region = Polygon(cv2.boxPoints(((32, 32), (44, 14), 30)))
    lines = np.array([[region.contains(Point(x + 0.5, y + 0.5)) for x in range(64)] for y in range(64)], np.float32)
    for outline in ("rectangle", "contour"):
        found = Polygon(locator(outline=outline)(lines, np.ones(16), (256, 256)).polygons[0] / 4)
        assert found.intersection(region).area / found.union(region).area > 0.8
        assert found.exterior.is_ccw, "clockwise on screen, where y runs down"


def locate_truth(outlines, image_size, grid_size, min_pixels=1, **kwargs):
    """What true maps of words give, and the true cells of each word."""
    words = words_of(outlines, ["a"] * len(outlines), image_size)
    map_size = tuple(-(-side // 32) * 8 for side in image_size)
    maps, cells = maker(grid_size=grid_size, cells_per_word=50).all_targets(words, image_size, map_size, draw=False)
    find = locator(grid_size=grid_size, min_pixels=min_pixels, **kwargs)
    return find(maps.centre_line.numpy().astype(np.float32), maps.grid.numpy(), image_size), cells, maps


def matched(found, outlines) -> list[int]:
    """For each found word the true one that it covers most."""
    result = []
    for polygon in found.polygons:
        region = Polygon(polygon)
        result.append(int(np.argmax([region.intersection(Polygon(o).buffer(0)).area for o in outlines])))
    return result


def test_true_maps_give_every_curved_word_once():
    rng = np.random.default_rng(0)
    for points_a_side in (5, 7, 8, 12):
        for _ in range(8):
            outline = curved_word(rng, points_a_side)
            found, cells, _ = locate_truth([outline], (256, 256), 16, outline="contour")
            assert len(found.polygons) == 1 and found.scores[0] == 1
            true = set(cells.cells[0][cells.weight[0] > 0].tolist())
            assert set(found.cells.tolist()) == true, "the cells that are trained are those that read"
            region, truth = Polygon(found.polygons[0]).buffer(0), Polygon(outline).buffer(0)
            assert region.intersection(truth).area > 0.9 * region.area, "the word's inner strip"
            assert region.area > 0.15 * truth.area


def test_true_maps_give_every_drawn_word_once():
    rng = np.random.default_rng(0)
    for _ in range(8):
        outlines = draw_scene(rng, ["ab", "cdefg", "hij", "kmnopq"], (192, 256)).polygons
        for outline in ("rectangle", "contour"):
            found, *_ = locate_truth(outlines, (192, 256), 40, outline=outline)
            assert sorted(matched(found, outlines)) == [0, 1, 2, 3]
            for polygon, word in zip(found.polygons, matched(found, outlines), strict=True):
                region, truth = Polygon(polygon), Polygon(outlines[word])
                assert region.intersection(truth).area / region.union(truth).area > 0.1


def photographed_words(folder, number):
    """The outlines of the annotated words of photos of 1280 x 720 pixels."""
    for index in range(1, number + 1):
        with open(folder / f"icdar2015_dev/gt/gt_img_{index}.txt", encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, quoting=csv.QUOTE_NONE) if row]
        yield [np.array(row[:8], np.float32).reshape(4, 2).clip(0, (1280, 720)) for row in rows if row[8] != "###"]


LEAST = WordLocator(grid_size=1, stride=4).min_pixels


def test_true_maps_of_photos_give_every_word_once_that_the_method_can_show(real_data):
    """Words fail that have too few positions, or that share every cell with a word that covers it more."""
    words = too_small = without_cell = found_words = 0
    for outlines in photographed_words(real_data, 25):
        found, cells, maps = locate_truth(outlines, (720, 1280), 60, min_pixels=LEAST)
        areas = [len(piece) for piece in pieces(maps.centre_line.numpy())]
        assert len(areas) == len(outlines), "each word is one piece, and no two join"
        words += len(outlines)
        too_small += sum(area < LEAST for area in areas)
        without_cell += int((cells.weight.sum(dim=1) == 0).sum())
        found_words += len(found.polygons)
        assert len(set(matched(found, outlines))) == len(found.polygons), "no word twice"
    assert words > 100 and words - too_small - without_cell <= found_words <= words - too_small
    assert found_words > 0.98 * words


@pytest.mark.parametrize(("short_side", "share"), [(360, 0.95), (216, 0.8)])
def test_true_maps_of_small_photos_give_most_words(real_data, short_side, share):
    """Half and 0.3 of the resolution: a word has few positions there."""
    words, recovered = 0, 0
    for photographed in photographed_words(real_data, 25):
        outlines = [outline * (short_side / 720) for outline in photographed]
        found, *_ = locate_truth(outlines, (short_side, short_side * 16 // 9), 60, min_pixels=LEAST)
        words += len(outlines)
        recovered += len(set(matched(found, outlines)))
    assert recovered > share * words
