"""From maps of areas to words: hand-drawn maps, and true maps of curved words."""

from collections import Counter
from operator import itemgetter

import numpy as np
import pytest
import torch
from helpers.curved_words import curved_word, targets_of
from shapely.geometry import Polygon

from dld_spotter.evaluation.ground_truth import read_ground_truth
from dld_spotter.geometry import clockwise
from dld_spotter.modeling.text_perceptron.fiducial_recogniser import to_fiducials
from dld_spotter.modeling.text_perceptron.fiducials import AreaCells, predicted_fiducials
from dld_spotter.modeling.text_perceptron.text_perceptron_post_processing import WordFinder
from dld_spotter.modeling.text_perceptron.text_perceptron_targets import TargetMaker


def areas(drawing: str) -> np.ndarray:
    """A map drawn with . for background, c, h, t, b."""
    return np.array([[".chtb".index(cell) for cell in line.strip()] for line in drawing.split()], dtype=np.uint8)


def cells(array) -> set:
    """(word, row, column) of each cell."""
    return {tuple(row) for row in array[:, 1:].tolist()}


def test_words_and_their_cells():
    found = WordFinder()(
        areas("""
        .bbbbbb....
        .hccctb....
        .hccctt....
        .bbbbb.....
        ...........
        .....bbbbbb
        .....hccccc
        .....hcccct
        .....bbbbbb
        """)
    )
    assert found.number == 2
    assert cells(found.center) == {
        *((0, row, column) for row in (1, 2) for column in (2, 3, 4)),
        *((1, row, column) for row in (6, 7) for column in (6, 7, 8, 9)),
        (1, 6, 10),
    }, "cells beyond the border are no neighbours: the second word is not open there"
    assert cells(found.head) == {(0, 1, 1), (0, 2, 1), (1, 6, 5), (1, 7, 5)}
    assert cells(found.tail) == {(0, 1, 5), (0, 2, 5), (0, 2, 6), (1, 7, 10)}


def test_open_pieces_and_those_without_an_end_are_no_words():
    """Around the first piece 5 of 8 neighbours enclose it, around the second 4; the third has no tail."""
    drawing = areas("""
        .bbb........
        hccct..bb...
        .......hcct.
        ............
        .bbb........
        hcccb.......
        .bbb........
        """)
    found = WordFinder(min_enclosed=0.625)(drawing)
    assert found.number == 1 and cells(found.center) == {(0, 1, 1), (0, 1, 2), (0, 1, 3)}
    assert WordFinder(min_enclosed=0.5)(drawing).number == 2


def test_the_largest_touching_end_counts_and_corners_do_not_touch():
    found = WordFinder()(
        areas("""
        bbbbbbbh
        hcccctbb
        bcccctbb
        hcccctbt
        hbbbbbbt
        bbbbbbbt
        """)
    )
    assert cells(found.head) == {(0, 3, 0), (0, 4, 0)}
    assert cells(found.tail) == {(0, 1, 5), (0, 2, 5), (0, 3, 5)}


def test_two_pieces_may_share_an_end():
    found = WordFinder()(
        areas("""
        bbbbbbb
        hccthcc
        bbbbbbb
        hccthcc
        bbbbbbb
        """).repeat(1, axis=0)
    )
    assert found.number == 2, "the pieces on the right have no tail"
    shared = WordFinder()(areas("bbbbbbb tcchcct bbbbbbb"))
    assert shared.number == 2 and cells(shared.head) == {(0, 1, 3), (1, 1, 3)}


def test_nothing_and_everything():
    for value in range(5):
        found = WordFinder()(np.full((6, 7), value, np.uint8))
        assert found.number == 0 and len(found.center) == len(found.head) == len(found.tail) == 0
    noise = np.random.default_rng(0).integers(0, 5, (60, 80)).astype(np.uint8)
    found = WordFinder()(noise)
    for part in (found.center, found.head, found.tail):
        assert set(part[:, 1]) == set(range(found.number))


def recovered(words) -> list[tuple[int, np.ndarray]]:
    """The outlines that post-processing finds in the true maps of an image, and the words that they are of."""
    size = tuple(-(-side // 32) * 8 for side in words.image_size)
    maps = TargetMaker()([words], size, 4)
    found = WordFinder()(maps.areas[0].to(torch.uint8).numpy())
    parts = []
    for part in (found.center, found.head, found.tail):
        _, word, row, column = torch.as_tensor(part).unbind(dim=1)
        place = (torch.stack([column, row], dim=1) + 0.5) * 4
        parts.append(AreaCells(word, place, maps.geometry[0, :, row, column].T))
    outlines = to_fiducials(predicted_fiducials(*parts, words=found.number, number=14)).numpy()
    owners = [maps.word[0, row, column].item() for _, word, row, column in found.center[_first_of(found.center[:, 1])]]
    return list(zip(owners, outlines, strict=True))


def _first_of(words: np.ndarray) -> np.ndarray:
    """Where each word's first cell stands."""
    return np.unique(words, return_index=True)[1]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union."""
    region, truth = Polygon(one).buffer(0), Polygon(other).buffer(0)
    return region.intersection(truth).area / region.union(truth).area


def test_true_maps_give_every_curved_word_back():
    """One word an image, by every number of points, in every direction: IoU above 0.85 and the right reading order."""
    rng = np.random.default_rng(0)
    for points_a_side in (5, 7, 8, 12):
        for word in (curved_word(rng, points_a_side) for _ in range(15)):
            ((owner, outline),) = recovered(targets_of([word], (256, 256)))
            assert owner == 0 and overlap(outline, word) > 0.85
            half = points_a_side
            np.testing.assert_allclose(outline[[0, 6, 7, 13]], word[[0, half - 1, half, 2 * half - 1]], atol=1e-2)


def recover_photos(photos) -> Counter:
    """How the words of photos fare: all ("words"), found ("found"), and why others are not.

    Of those found, "turned" do not begin at the annotation's first point.

    Args:
        photos: outlines of each one's words in the network's pixels, which of them are don't care, the photo's size.
    """
    outcome = Counter()
    for polygons, ignored, size in photos:
        best = dict.fromkeys(range(len(polygons)), (0.0, None))
        for owner, outline in recovered(targets_of(polygons, size, ignored)):
            best[owner] = max(best[owner], (overlap(outline, polygons[owner]), outline), key=itemgetter(0))
        for index in set(best) - ignored:
            polygon, (share, outline) = polygons[index], best[index]
            others = [Polygon(other).buffer(0) for i, other in enumerate(polygons) if i != index and i not in ignored]
            outcome["words"] += 1
            if share > 0.85:
                outcome["found"] += 1
                outcome["turned"] += int(np.linalg.norm(polygon - outline[0], axis=1).argmin() != 0)
            elif any(Polygon(polygon).buffer(TOUCHING).intersects(other) for other in others):
                outcome["touching"] += 1
            elif Polygon(polygon).buffer(-LOW / 2).is_empty:
                outcome["low"] += 1
            else:
                outcome["unexplained"] += 1
    return outcome


TOUCHING = 8.0  # pixels: two cells, in which boundaries run into each other
LOW = 12.0  # pixels: three cells, without which there may be no room for head, centre and tail beside each other


@pytest.mark.parametrize("short_side, found", [(896, 0.98), (448, 0.95), (269, 0.8)])
def test_real_straight_words(real_data, short_side, found):
    """ICDAR 2015: all words but low and touching ones come back; tall ones alone are turned, to be read downwards."""
    scale = short_side / 720
    photos, tall = [], 0
    for path in sorted((real_data / "icdar2015_dev" / "gt").glob("*.txt"))[:60]:
        lines = [line.split(",", 8) for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
        polygons = [np.array(line[:8], dtype=np.float32).reshape(4, 2).clip(0, (1280, 720)) * scale for line in lines]
        ignored = {index for index, line in enumerate(lines) if line[8].strip() == "###"}
        sides = [np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1) for polygon in polygons]
        tall += sum(s[1] + s[3] > 1.5 * (s[0] + s[2]) for i, s in enumerate(sides) if i not in ignored)
        photos.append((polygons, ignored, (short_side, round(1280 * scale))))
    outcome = recover_photos(photos)
    assert outcome["unexplained"] == 0 and outcome["turned"] <= tall, outcome
    assert outcome["words"] > 200 and outcome["found"] > found * outcome["words"], outcome


def test_real_curved_words(real_data):
    """Total-Text, whose outlines have any number of points: of those with more than four the ends are a guess."""
    photos = []
    for image in read_ground_truth(real_data / "eval" / "gt" / "total-text-gt.zip").images[:60]:
        polygons = [clockwise(word.polygon).astype(np.float32).clip(0) for word in image.words]
        ignored = {index for index, word in enumerate(image.words) if word.ignore}
        width, height = np.concatenate(polygons).max(axis=0)
        photos.append((polygons, ignored, (int(height) + 1, int(width) + 1)))
    outcome = recover_photos(photos)
    assert outcome["unexplained"] == 0 and outcome["turned"] < 0.1 * outcome["words"], outcome
    assert outcome["words"] > 200 and outcome["found"] > 0.97 * outcome["words"], outcome
