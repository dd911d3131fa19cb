"""Words cut out of images: against rectangles whose place is known."""

import math

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes

from dld_spotter.modeling.recognition.word_rectifier import MARGIN, MASK_SIZE, WordRectifier, word_frames
from dld_spotter.structures import WordPolygons, grid_points

SIZE = (32, 128)
IMAGE = (300, 400)


def ramps(size=IMAGE):
    """(1, 2, H, W): the x and y of each pixel's centre."""
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    return torch.stack([x, y])[None] + 0.5


def rectangle(centre, length, height, degrees):
    """The outline of a word, clockwise from where reading starts."""
    along = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    down = np.array([-along[1], along[0]])
    corners = [(-length, -height), (length, -height), (length, height), (-length, height)]
    return WordPolygons.from_list([np.array([centre + (u * along + v * down) / 2 for u, v in corners])])


def cut(polygons, images=None, size=SIZE, heights=0.0):
    rectifier = WordRectifier(size, heights=heights)
    return rectifier(ramps() if images is None else images, [polygons.get_bounding_boxes()], polygons=[polygons])


def test_a_level_word_is_sampled_on_its_grid_and_keeps_its_proportions():
    word = cut(WordPolygons.from_list([[40, 50, 120, 50, 120, 82, 40, 82]]))[0]
    margin = MARGIN * 32
    length, height = 80 + 2 * margin, 32 + 2 * margin
    step = height / 32
    filled = int(length / step)  # columns whose centre lies left of the word's end
    x = 40 - margin + (np.arange(128) + 0.5) * step
    y = 50 - margin + (np.arange(32) + 0.5) * step
    np.testing.assert_allclose(word[0, :, :filled], np.tile(x[:filled], (32, 1)), atol=1e-2)
    np.testing.assert_allclose(word[1, :, :filled], np.tile(y[:, None], (1, filled)), atol=1e-2)
    assert not word[:, :, filled + 1 :].any(), "the rest is the mean colour"


def test_a_long_word_is_compressed():
    word = cut(WordPolygons.from_list([[40, 50, 360, 50, 360, 82, 40, 82]]))[0]
    assert word[0, 16, -1].item() == pytest.approx(360 + MARGIN * 32, abs=3)
    assert word[0].min() > 30


def test_a_coarser_picture_of_other_proportions_may_show_the_same():
    polygons = WordPolygons.from_list([[40, 50, 120, 50, 120, 82, 40, 82]])
    fine, coarse = cut(polygons)[0, 0], cut(polygons, size=(16, 96), heights=4)[0, 0]
    margin = MARGIN * 32
    step = 4 * (32 + 2 * margin) / 96  # 96 columns over four heights, as 128 are in the finer one
    filled = int((80 + 2 * margin) / step)
    np.testing.assert_allclose(coarse[8, :filled], 40 - margin + (np.arange(filled) + 0.5) * step, atol=1e-2)
    assert not coarse[:, filled + 1 :].any()
    assert abs(coarse[8].max() - fine[16].max()) < step


@pytest.mark.parametrize("degrees", [-70, -45, -30, -10, 0, 15, 30, 50, 80, 90])
def test_the_frame_of_a_turned_word(degrees):
    """Within what 28 points a side of the box can tell."""
    centre, length, height = np.array([200.0, 150.0]), 160, 40
    polygon = rectangle(centre, length, height, degrees)
    box = polygon.get_bounding_boxes().tensor
    points = grid_points(box, (MASK_SIZE, MASK_SIZE)).flatten(1, 2)
    cell = (box[:, 2:] - box[:, :2]) / MASK_SIZE
    frame = word_frames(points, polygon.contain(points), cell, 1.5)[0].numpy()
    along = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    assert frame[2:4] @ along > math.cos(math.radians(3))
    room = MARGIN * height + 1.5 * cell.max().item()
    assert frame[4] == pytest.approx(length, abs=2 * room) and frame[5] == pytest.approx(height, abs=2 * room)
    start = polygon.tensor[0, 0].numpy()
    assert np.abs(frame[:2] - start).max() < 2 * room


@pytest.mark.parametrize("degrees, downwards", [(-85, True), (-95, True), (85, True), (-65, False)])
def test_steep_words_are_read_downwards(degrees, downwards):
    polygon = rectangle(np.array([200.0, 150.0]), 160, 40, degrees)
    word = cut(polygon)[0]
    first, last = word[1, 16, 4].item(), word[1, 16, 90].item()
    assert (first < last) == downwards


def test_a_short_word_lies_level():
    for polygon in (rectangle(np.array([200.0, 150.0]), 30, 30, 0), rectangle(np.array([200.0, 150.0]), 32, 30, 20)):
        word = cut(polygon)[0]
        assert word[1, 0, 2].item() == pytest.approx(word[1, 0, 20].item(), abs=2.5)
    taller = cut(WordPolygons.from_list([[100, 100, 130, 100, 130, 140, 100, 140]]))[0]
    assert taller[0, 16, 1] < taller[0, 16, 20] and taller[1, 2, 4] < taller[1, 30, 4]


def test_predicted_masks_give_what_their_outlines_give():
    polygon = rectangle(np.array([200.0, 150.0]), 160, 40, 12)
    boxes = polygon.get_bounding_boxes()
    probs = polygon.crop_and_resize(boxes.tensor, 28).float()[:, None]
    by_mask = WordRectifier(SIZE)(ramps(), [boxes], mask_probs=probs)
    assert (by_mask - cut(polygon)).abs().max() < 1


def test_an_empty_mask_leaves_the_box():
    boxes = Boxes(torch.tensor([[40.0, 50.0, 120.0, 82.0]]))
    word = WordRectifier(SIZE)(ramps(), [boxes], mask_probs=torch.zeros(1, 1, 28, 28))
    expected = cut(WordPolygons.from_list([[40, 50, 120, 50, 120, 82, 40, 82]]))
    torch.testing.assert_close(word, expected)


def test_large_words_are_averaged_not_skipped():
    stripes = (torch.arange(1024) % 2).float().expand(1, 1, 400, 1024).clone()
    word = cut(WordPolygons.from_list([[0, 60, 1024, 60, 1024, 316, 0, 316]]), stripes)
    assert word[0, 0, 4:-4, 4:108].sub(0.5).abs().max() < 1e-4


def test_each_word_comes_from_its_own_image():
    images = torch.stack([torch.full((1, 60, 200), value) for value in (1.0, 2.0)])
    words = WordPolygons.from_list([[20, 20, 84, 20, 84, 36, 20, 36]] * 3)
    boxes = words.get_bounding_boxes()
    pictures = WordRectifier(SIZE)(images, [boxes[:1], boxes[1:]], polygons=[words[0], words[1:]])
    assert [p[0, 16, 10].item() for p in pictures] == [1, 2, 2]


def test_no_words_give_no_pictures():
    none = WordPolygons(torch.zeros(0, 4, 2))
    assert cut(none).shape == (0, 2, *SIZE)
