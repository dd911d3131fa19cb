"""Boxes between graphs, against Detectron2's own functions."""

import numpy as np
import pytest
import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.proposal_generator.proposal_utils import find_top_rpn_proposals
from detectron2.modeling.roi_heads.fast_rcnn import fast_rcnn_inference_single_image

from dld_spotter.runtime import boxes as ours

SIZE = (96, 128)


def random_boxes(rng, count, size=SIZE):
    corners = rng.uniform(-10, max(size), (count, 2))
    return np.concatenate([corners, corners + rng.uniform(1, 80, (count, 2))], axis=1).astype(np.float32)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_anchors_are_those_of_detectron2(offset):
    sizes, ratios, strides = [[16.0], [32.0, 48.0]], [[0.2, 1.0, 1.6]], [4, 8]
    theirs = DefaultAnchorGenerator(sizes=sizes, aspect_ratios=ratios, strides=strides, offset=offset)
    maps = [torch.zeros(1, 1, 5, 7), torch.zeros(1, 1, 3, 2)]
    for i, (anchors, level) in enumerate(zip(theirs(maps), maps, strict=True)):
        level_anchors = ours.AnchorLevel(ours.cell_anchors(sizes[i], ratios[0]), strides[i], offset)
        count = len(level_anchors.cells)
        places = np.indices((*level.shape[2:], count)).reshape(3, -1)
        grid = level_anchors.at(*places)
        np.testing.assert_allclose(grid, anchors.tensor.numpy(), rtol=1e-6)


def test_deltas_move_boxes_as_in_detectron2():
    rng = np.random.default_rng(0)
    boxes, deltas = random_boxes(rng, 50), rng.normal(0, 3, (50, 4)).astype(np.float32)
    theirs = Box2BoxTransform((10.0, 10.0, 5.0, 5.0)).apply_deltas(torch.from_numpy(deltas), torch.from_numpy(boxes))
    np.testing.assert_allclose(ours.apply_deltas(deltas, boxes, (10, 10, 5, 5)), theirs.numpy(), rtol=1e-5, atol=1e-4)


def test_a_box_is_never_stretched_beyond_the_clamp():
    box, deltas = np.float32([[0, 0, 16, 16]]), np.float32([[0, 0, 50, 50]])
    assert np.isclose(np.diff(ours.apply_deltas(deltas, box, (1, 1, 1, 1)).reshape(2, 2), axis=0), 1000).all()


def test_suppression_keeps_the_best_of_each_heap():
    heap = np.float32([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [0, 0, 10, 3]])
    assert ours.suppress(heap, np.float32([-5.0, -4.0, -9.0, -4.5]), 0.5).tolist() == [1, 3, 2]
    assert ours.suppress(heap[:0], np.zeros(0, np.float32), 0.5).tolist() == []


@pytest.mark.parametrize(("before", "after", "threshold"), [(1000, 1000, 0.7), (40, 30, 0.7), (1000, 10, 0.01)])
def test_proposals_are_those_of_detectron2(before, after, threshold):
    rng = np.random.default_rng(1)
    generator = DefaultAnchorGenerator(sizes=[[16.0], [40.0]], aspect_ratios=[[0.5, 1.0]], strides=[8, 16], offset=0.5)
    shapes = [(12, 16), (6, 8)]
    anchors = [a.tensor for a in generator([torch.zeros(1, 1, *shape) for shape in shapes])]
    logits = [rng.normal(size=(2, *shape)).astype(np.float32) for shape in shapes]
    deltas = [rng.normal(0, 0.5, size=(8, *shape)).astype(np.float32) for shape in shapes]
    logits[0][0, 0, 0], deltas[1][0, 1, 1] = np.nan, np.inf
    transform = Box2BoxTransform((1.0, 1.0, 1.0, 1.0))
    flat_logits = [torch.from_numpy(x).permute(1, 2, 0).reshape(1, -1) for x in logits]
    decoded = [
        transform.apply_deltas(torch.from_numpy(d).view(2, 4, *d.shape[1:]).permute(2, 3, 0, 1).reshape(-1, 4), a)[None]
        for d, a in zip(deltas, anchors, strict=True)
    ]
    (theirs,) = find_top_rpn_proposals(decoded, flat_logits, [SIZE], threshold, before, after, 0, False)
    levels = [
        (
            x.transpose(1, 2, 0),
            d.transpose(1, 2, 0),
            ours.AnchorLevel(ours.cell_anchors([side], [0.5, 1.0]), stride, 0.5),
        )
        for x, d, side, stride in zip(logits, deltas, (16, 40), (8, 16), strict=True)
    ]
    found = ours.propose(levels, SIZE, before, after, threshold, (1, 1, 1, 1))
    np.testing.assert_allclose(found, theirs.proposal_boxes.tensor.numpy(), rtol=1e-5, atol=1e-4)


def test_worse_boxes_are_looked_at_where_the_best_ones_suppress_each_other():
    """Eight anchors of a row move to the first one's place; the two after them are worse, and lie by themselves."""
    level = ours.AnchorLevel(np.float32([[-8, -8, 8, 8]]), 8, 1.0)
    logits = np.float32([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).reshape(1, 10, 1)
    deltas = np.zeros((1, 10, 4), np.float32)
    deltas[0, :8, 0] = -np.arange(8) * 8 / 16
    found = ours.propose([(logits, deltas, level)], (16, 96), 10, 3, 0.7, (1, 1, 1, 1))
    assert found.tolist() == [[0, 0, 16, 16], [64, 0, 80, 16], [72, 0, 88, 16]]


def test_maps_without_a_finite_number_propose_nothing():
    level = ours.AnchorLevel(ours.cell_anchors([16], [1.0]), 8, 0.5)
    logits, deltas = np.full((2, 3, 1), np.nan, np.float32), np.zeros((2, 3, 4), np.float32)
    assert ours.propose([(logits, deltas, level)], SIZE, 4, 4, 0.7, (1, 1, 1, 1)).shape == (0, 4)


def test_detections_are_those_of_detectron2():
    rng = np.random.default_rng(2)
    proposals, deltas = random_boxes(rng, 60), rng.normal(0, 1, (60, 4)).astype(np.float32)
    probabilities = rng.dirichlet((1, 1), 60).astype(np.float32)
    deltas[3, 0] = np.nan
    decoded = Box2BoxTransform((10.0, 10.0, 5.0, 5.0)).apply_deltas(
        torch.from_numpy(deltas), torch.from_numpy(proposals)
    )
    theirs, _ = fast_rcnn_inference_single_image(decoded, torch.from_numpy(probabilities), SIZE, 0.3, 0.5, 50)
    boxes, scores = ours.detections(
        proposals, probabilities, deltas, SIZE, weights=(10, 10, 5, 5), least=0.3, threshold=0.5, most=50
    )
    whole = theirs[theirs.pred_boxes.nonempty()]
    assert len(whole) > 10
    np.testing.assert_allclose(boxes, whole.pred_boxes.tensor.numpy(), rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(scores, whole.scores.numpy())
