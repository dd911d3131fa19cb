"""WordPolygons against shapely and matplotlib."""

import numpy as np
import pytest
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Instances
from matplotlib.path import Path as OutlinePath
from shapely.geometry import Polygon, box

from dld_spotter.predicted_words import instances_to_polygons
from dld_spotter.structures import CharacterBoxes, PolygonBoxes, WordPolygons, grid_points

CONCAVE = np.array([[2, 1], [30, 4], [28, 20], [16, 8], [3, 18]], dtype=np.float32)
TRIANGLE = np.array([[5, 5], [25, 9], [10, 30]], dtype=np.float32)


def test_padding_repeats_the_last_point_and_cat_joins_different_widths():
    short, long = WordPolygons.from_list([TRIANGLE]), WordPolygons.from_list([CONCAVE.ravel()])
    joined = WordPolygons.cat([short, long])
    assert joined.tensor.shape == (2, 5, 2)
    assert torch.equal(joined.tensor[0, 3:], torch.tensor(TRIANGLE[-1:]).expand(2, 2))
    assert torch.equal(joined[1].tensor, long.tensor)
    assert torch.equal(joined[torch.tensor([False, True])].tensor, long.tensor)


def test_contain_equals_matplotlib():
    points = np.random.default_rng(0).uniform(0, 34, (2000, 2)).astype(np.float32)
    polygons = WordPolygons.from_list([CONCAVE, TRIANGLE])
    inside = polygons.contain(torch.tensor(points).expand(2, -1, -1))
    for row, outline in zip(inside.numpy(), (CONCAVE, TRIANGLE), strict=True):
        np.testing.assert_array_equal(row, OutlinePath(outline).contains_points(points))


def test_coverage_approaches_the_exact_share_of_each_bin():
    boxes = torch.tensor([[0.0, 0.0, 32.0, 24.0]])
    coverage = WordPolygons.from_list([CONCAVE]).coverage(boxes, (6, 8), samples=16)[0].numpy()
    for row in range(6):
        for column in range(8):
            cell = box(column * 4, row * 4, column * 4 + 4, row * 4 + 4)
            assert coverage[row, column] == pytest.approx(Polygon(CONCAVE).intersection(cell).area / 16, abs=0.05)


def test_crop_and_resize_is_true_where_the_bin_centre_is_inside():
    boxes = torch.tensor([[2.0, 1.0, 30.0, 20.0]])
    mask = WordPolygons.from_list([CONCAVE]).crop_and_resize(boxes, 7)
    centres = grid_points(boxes, (7, 7))[0].reshape(-1, 2).numpy()
    np.testing.assert_array_equal(mask[0].flatten().numpy(), OutlinePath(CONCAVE).contains_points(centres))
    assert mask.dtype == torch.bool


def test_scale_and_boxes():
    scaled = WordPolygons.from_list([TRIANGLE]).scale(2.0, 0.5)
    np.testing.assert_allclose(scaled.tensor[0], TRIANGLE * [2.0, 0.5])
    assert scaled.get_bounding_boxes().tensor.tolist() == [[10.0, 2.5, 50.0, 15.0]]


def test_no_words():
    empty = WordPolygons.from_list([])
    assert len(empty) == 0
    assert empty.get_bounding_boxes().tensor.shape == (0, 4)
    assert empty.coverage(torch.zeros(0, 4), (8, 32)).shape == (0, 8, 32)
    assert len(WordPolygons.cat([empty, WordPolygons.from_list([TRIANGLE])])) == 1


def test_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        WordPolygons(torch.zeros(3, 4))


def test_postprocessing_brings_outlines_to_the_original_pixels_with_their_boxes():
    """As a spotter's predictions go: some are picked, then scaled by (2, 3), clipped, and empty ones dropped."""
    outside = TRIANGLE + [200, 0]
    found = Instances(
        (100, 50), pred_boxes=PolygonBoxes(WordPolygons.from_list([TRIANGLE, CONCAVE, outside, TRIANGLE]))
    )
    found.scores = torch.arange(4.0)
    result = detector_postprocess(found[torch.tensor([1, 2, 3])], 300, 100)
    assert result.scores.tolist() == [1, 3] and result.image_size == (300, 100)
    outlines = instances_to_polygons(result)
    np.testing.assert_allclose(outlines[0], CONCAVE * [2, 3])
    np.testing.assert_allclose(outlines[1], TRIANGLE * [2, 3])
    assert result.pred_boxes.tensor[1].tolist() == [10, 15, 50, 90]
    cut = detector_postprocess(
        Instances((100, 20), pred_boxes=PolygonBoxes(WordPolygons.from_list([TRIANGLE]))), 100, 20
    )
    np.testing.assert_allclose(instances_to_polygons(cut)[0], np.minimum(TRIANGLE, [20, 100]))


def test_polygon_boxes_keep_their_outlines():
    boxes = PolygonBoxes(WordPolygons.from_list([TRIANGLE, CONCAVE]))
    joined = PolygonBoxes.cat([boxes[1], boxes.clone().to("cpu")])
    assert joined.tensor.tolist() == [[2, 1, 30, 20], [5, 5, 25, 30], [2, 1, 30, 20]]
    torch.testing.assert_close(joined.polygons.tensor[1, :3], torch.tensor(TRIANGLE))
    assert len(PolygonBoxes(WordPolygons.from_list([]))) == 0


def test_character_boxes_keep_what_is_missing():
    quads = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    boxes = CharacterBoxes.from_list([quads[:1], None, quads])
    assert boxes.tensor.shape == (3, 3, 4, 2) and len(boxes) == 3
    assert boxes.tensor.isfinite().all(dim=3).all(dim=2).sum(dim=1).tolist() == [1, 0, 3]
    larger = boxes.scale(2.0, 10.0)[torch.tensor([True, False, True])]
    np.testing.assert_array_equal(larger.tensor[1, 2].numpy(), quads[2] * [2, 10])
    assert boxes[2].tensor.shape == (1, 3, 4, 2)
    assert CharacterBoxes.from_list([]).tensor.shape == (0, 1, 4, 2)
    with pytest.raises(ValueError, match=r"\(N, M, 4, 2\); got \(3, 2\)"):
        CharacterBoxes(torch.zeros(3, 2))
