"""Target maps by hand, and against shapely's geometry one cell at a time."""

import numpy as np
import pytest
import torch
from helpers.curved_words import curved_word, targets_of
from shapely.geometry import LineString, Point, Polygon

from dld_spotter.modeling.text_perceptron.text_perceptron_targets import (
    BACKGROUND,
    BOUNDARY,
    CENTER,
    HEAD,
    TAIL,
    TargetMaker,
    keep_background,
)

MAKER = TargetMaker(background_ratio=0.0)


def test_a_rectangle_by_hand():
    """Corners (9, 8) and (57, 32): the shortest side 24 gives strips of 6 and a boundary of 2.16, the least is 4: so
    1.08 of it lies within, 2.92 beyond."""
    maps = MAKER([targets_of([[9, 8, 57, 8, 57, 32, 9, 32]], (48, 64))], (12, 16), 4)
    expected = np.zeros((12, 16), dtype=int)
    expected[2:8, 2:14] = CENTER
    expected[2:8, 2:4] = HEAD  # centres at x = 10 and 14
    expected[2:8, 13:14] = TAIL  # at 54
    expected[[1, 8], 2:14] = BOUNDARY  # y = 6 and 34: two pixels beyond the sides; those at 10 and 30 are within
    expected[[1, 2, 7, 8], 14] = BOUNDARY  # x = 58: one pixel beyond the corners, and two above or below them
    np.testing.assert_array_equal(maps.areas[0], expected)
    unit = 32.0
    x, y = 4 * 6 + 2, 4 * 4 + 2
    np.testing.assert_allclose(
        maps.geometry[0, :, 4, 6], [(x - 9) / unit, (y - 8) / unit, (x - 57) / unit, (y - 32) / unit]
    )
    np.testing.assert_allclose(maps.geometry[0, :, 4, 2], [1 / unit, 10 / unit, 1 / unit, -14 / unit])
    np.testing.assert_allclose(maps.geometry[0, :, 4, 13], [-3 / unit, 10 / unit, -3 / unit, -14 / unit])
    assert not maps.geometry[0, :, maps.areas[0] == BOUNDARY].any()
    assert ((maps.word[0] == 0) == (maps.areas[0] > 0)).all() and maps.counted.all()


@pytest.mark.parametrize(("top", "rows"), [(12, 1), (11, 1), (9, 2), (7, 2)])
def test_a_word_of_a_cell_or_two_keeps_its_centre(top, rows):
    """Heights of 3 to 8 pixels, down to y = 15: boundaries two pixels within would leave no centre."""
    maps = MAKER([targets_of([[11, top, 35, top, 35, 15, 11, 15]], (32, 48))], (8, 12), 4)
    column = maps.areas[0, :, 6]
    inside = [row for row in range(8) if top < 4 * row + 2 < 15]
    assert len(inside) == rows and all(column[inside] == CENTER)
    assert column[inside[0] - 1] == column[inside[-1] + 1] == BOUNDARY
    assert set(maps.areas[0, inside[0]].tolist()) >= {HEAD, TAIL}


def brute_force(polygon, corners, size, ratios=(0.25, 4.0, 0.09, (4.0, 12.0))):
    """Areas (H, W) and geometry (4, H, W) of one word, cell by cell; ``corners`` are indices of top left, top right."""
    n, (first, last) = len(polygon), corners
    turned = np.roll(polygon, -first, axis=0).astype(float)
    k = (last - first) % n
    top, bottom = LineString(turned[: k + 1]), LineString(turned[k + 1 :])
    ends = [LineString([turned[0], turned[-1]]), LineString([turned[k], turned[k + 1]])]
    shortest = min(line.length for line in (top, bottom, *ends))
    strip = max(ratios[0] * max(shortest, 12), ratios[1])
    within = min(ratios[2] * shortest, ratios[3][1]) / 2
    beyond = max(2 * within, ratios[3][0]) - within

    def along(start, towards):
        return start + strip * (towards - start) / np.linalg.norm(towards - start)

    head = Polygon([turned[0], along(turned[0], turned[1]), along(turned[-1], turned[-2]), turned[-1]])
    tail = Polygon([along(turned[k], turned[k - 1]), turned[k], turned[k + 1], along(turned[k + 1], turned[k + 2])])
    region, areas, geometry = Polygon(turned), np.zeros(size, int), np.zeros((4, *size))
    for row in range(size[0]):
        for column in range(size[1]):
            x, y = 4 * column + 2.0, 4 * row + 2.0
            here = Point(x, y)
            if region.contains(here):
                areas[row, column] = CENTER
                geometry[:, row, column] = crossings(region, x, y)
            for kind, area, pair in ((HEAD, head, (0, -1)), (TAIL, tail, (k, k + 1))):
                if area.contains(here):
                    areas[row, column] = kind
                    geometry[:, row, column] = [
                        *(here.x - turned[pair[0]][0], here.y - turned[pair[0]][1]),
                        *(here.x - turned[pair[1]][0], here.y - turned[pair[1]][1]),
                    ]
            if min(top.distance(here), bottom.distance(here)) <= (within if region.contains(here) else beyond):
                areas[row, column] = BOUNDARY
                geometry[:, row, column] = 0
    return areas, geometry / 32


def crossings(region, x, y):
    """Place minus the nearest points of the outline on the scan lines through it: left, top, right, bottom."""
    row = region.exterior.intersection(LineString([(-1e3, y), (1e3, y)]))
    column = region.exterior.intersection(LineString([(x, -1e3), (x, 1e3)]))
    xs, ys = np.unique(coordinates(row)[:, 0]), np.unique(coordinates(column)[:, 1])
    return [x - xs[xs <= x].max(), y - ys[ys <= y].max(), x - xs[xs > x].min(), y - ys[ys > y].min()]


def coordinates(geometry):
    parts = getattr(geometry, "geoms", [geometry])
    return np.concatenate([np.asarray(part.coords) for part in parts])


@pytest.mark.parametrize("seed", range(4))
def test_curved_words_equal_a_search_cell_by_cell(seed):
    word = curved_word(np.random.default_rng(seed), 7)
    size = (64, 64)
    maps = MAKER([targets_of([word], (256, 256))], size, 4)
    areas, geometry = brute_force(word, (0, 6), size)
    np.testing.assert_array_equal(maps.areas[0], areas)
    np.testing.assert_allclose(maps.geometry[0], geometry, atol=1e-4)
    assert {HEAD, TAIL, CENTER, BOUNDARY} <= set(np.unique(areas))


def test_words_of_several_images_do_not_mix_and_the_last_word_owns_a_cell():
    first, second = [8, 8, 56, 8, 56, 32, 8, 32], [40, 12, 88, 12, 88, 36, 40, 36]
    alone = [MAKER([targets_of([word], (48, 96))], (12, 24), 4) for word in (first, second)]
    batch = [targets_of([], (48, 96)), targets_of([first, second], (48, 96)), targets_of([second], (48, 96))]
    maps = MAKER(batch, (12, 24), 4)
    assert not maps.areas[0].any() and (maps.word[0] == -1).all()
    assert torch.equal(maps.areas[2], alone[1].areas[0]) and torch.equal(maps.geometry[2], alone[1].geometry[0])
    assert set(maps.word[2].unique().tolist()) == {-1, 2}
    covered = alone[1].areas[0] > 0
    assert torch.equal(maps.areas[1], torch.where(covered, alone[1].areas[0], alone[0].areas[0]))
    assert torch.equal(maps.geometry[1], torch.where(covered, alone[1].geometry[0], alone[0].geometry[0]))


def test_dont_care_words_and_those_without_ends_are_not_counted():
    word, triangle = [8, 8, 56, 8, 56, 32, 8, 32], [70, 8, 90, 8, 80, 40]
    maps = MAKER([targets_of([word, triangle], (48, 96), ignored=(0,))], (12, 24), 4)
    assert not maps.areas.any()
    uncounted = ~maps.counted[0]
    assert uncounted[2:8, 2:14].all() and uncounted.sum() > 6 * 12
    inside_box = uncounted[:, 16:]
    assert inside_box[2:10, 2:6].all(), "what stands for the triangle is its box"


def test_words_beyond_the_map_and_no_words_at_all():
    outside = [[-40, -40, -8, -40, -8, -20, -40, -20], [300, 8, 340, 8, 340, 30, 300, 30]]
    for polygons in (outside, []):
        maps = MAKER([targets_of(polygons, (48, 96))], (12, 24), 4)
        assert not maps.areas.any() and maps.counted.all() and not maps.geometry.any()
    cut = MAKER([targets_of([[-20, 8, 40, 8, 40, 40, -20, 40]], (48, 96))], (12, 24), 4)
    assert (cut.areas[0] == TAIL).any() and not (cut.areas[0] == HEAD).any()


def test_background_is_thinned_as_the_rule_says():
    """0.4 of 10000 - 600 background cells and 600 more are left: 0.6 * 9400 - 600 = 5040 of 9400 are taken away."""
    areas = torch.zeros(2, 100, 100, dtype=torch.long)
    areas[0, :6] = BOUNDARY
    kept = keep_background(areas, 0.6)
    assert kept[0, :6].all()
    assert kept[0, 6:].sum().item() == pytest.approx(9400 - 5040, abs=250)
    assert kept[1].sum().item() == pytest.approx(4000, abs=250)
    crowded = torch.full((1, 10, 10), CENTER)
    crowded[0, 0] = BACKGROUND
    assert keep_background(crowded, 0.6).all()


def test_a_smaller_image_gets_targets_of_its_own():
    """Drawn anew at the scale, with thicknesses in its own pixels: a boundary never thinner than a cell."""
    word = np.array([[20, 40], [220, 40], [220, 90], [20, 90]], dtype=np.float32)
    for scale in (1.0, 0.5, 0.3):
        maps = MAKER([targets_of([word * scale], (256, 256))], (64, 64), 4)
        column = int(120 * scale // 4)
        boundary = (maps.areas[0, :, column] == BOUNDARY).nonzero().flatten()
        rows = {round(40 * scale // 4), round(90 * scale // 4)}
        assert len(boundary) >= 2 and all(min(abs(int(b) - r) for r in rows) <= 1 for b in boundary)
