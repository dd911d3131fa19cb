"""RoIAlign as a product of matrices, by hand and against Detectron2's."""

import numpy as np
import pytest
import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels
from detectron2.structures import Boxes

from dld_spotter.runtime.pooling import levels_of, pool, pool_levels


def random_boxes(rng, count, largest=400):
    """Some lie partly or wholly outside a map of 120 x 200 pixels, some are far longer than high."""
    corners = rng.uniform(-60, (240, 160), (count, 2))
    return np.concatenate([corners, corners + np.exp(rng.uniform(0, np.log(largest), (count, 2)))], axis=1).astype(
        np.float32
    )


def test_a_bin_is_the_mean_of_its_samples():
    features = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    # One bin of two samples, at x 1.5 and 2.5 and y 1.25 of the map: 4 * 1.25 + 1.5 and 4 * 1.25 + 2.5.
    pooled = pool(features, np.float32([[1.5, 1.25, 3.5, 2.25]]), 1, (1, 1))
    np.testing.assert_allclose(pooled, [[[[7.0]]]])


@pytest.mark.parametrize("size", [(7, 7), (14, 14), (4, 16), (16, 4)])
def test_features_are_those_of_roi_align(size):
    rng = np.random.default_rng(0)
    boxes = random_boxes(rng, 120)
    boxes[:3] = [[-50, -50, -20, -20], [30, 30, 30, 60], [0, 0, 200, 120]]
    features = rng.normal(size=(30, 50, 5)).astype(np.float32)
    regions = torch.from_numpy(np.pad(boxes, ((0, 0), (1, 0))))
    theirs = ROIAlign(size, 0.25, 0, aligned=True)(torch.from_numpy(features).permute(2, 0, 1)[None], regions)
    np.testing.assert_allclose(pool(features, boxes, 4, size), theirs.permute(0, 2, 3, 1).numpy(), atol=1e-4)
    assert pool(features, boxes[:0], 4, size).shape == (0, *size, 5)


def test_a_map_of_one_position_is_the_same_everywhere():
    pooled = pool(np.full((1, 1, 2), 3, np.float32), np.float32([[0, 0, 32, 32]]), 32, (2, 2))
    np.testing.assert_allclose(pooled, np.full((1, 2, 2, 2), 3))


def test_boxes_go_to_the_levels_that_detectron2_takes():
    rng = np.random.default_rng(3)
    boxes = torch.from_numpy(random_boxes(rng, 80, 1500))
    theirs = assign_boxes_to_levels([Boxes(boxes)], 2, 5, 224, 4).numpy() + 2
    assert len(set(theirs)) == 4
    np.testing.assert_array_equal(levels_of(boxes.numpy(), 2, 5), theirs)


def test_boxes_are_pooled_from_their_levels():
    rng = np.random.default_rng(4)
    boxes = random_boxes(rng, 50, 1500)
    maps = {level: rng.normal(size=(512 >> level, 768 >> level, 3)).astype(np.float32) for level in (2, 3, 4, 5)}
    pooler = ROIPooler(7, [2.0**-level for level in maps], 0, "ROIAlignV2")
    theirs = pooler(
        [torch.from_numpy(m).permute(2, 0, 1)[None] for m in maps.values()], [Boxes(torch.from_numpy(boxes))]
    )
    np.testing.assert_allclose(pool_levels(maps, boxes, (7, 7)), theirs.permute(0, 2, 3, 1).numpy(), atol=2e-4)
