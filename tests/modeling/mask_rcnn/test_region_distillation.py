"""What the heads of teacher and student say of the same regions, against NumPy."""

import numpy as np
import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.structures import Boxes, ImageList, Instances
from helpers.toy_words import toy_batch

from dld_spotter.modeling.dld.rescaling import rescale_images
from dld_spotter.modeling.mask_rcnn.region_distillation import (
    PROPOSALS,
    RegionOutputs,
    region_distances,
    region_outputs,
)


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class FixedHeads:
    """Heads that say what they were given, and note which boxes they were asked about."""

    def __init__(self, scores, deltas, masks):
        self.output, self.masks, self.asked = (scores, deltas), masks, []

    def box_outputs(self, features, boxes):
        self.asked.append([b.tensor.clone() for b in boxes])
        return self.output

    def mask_logits(self, features, boxes):
        self.asked.append([b.tensor.clone() for b in boxes])
        return self.masks


def proposals_of(*boxes):
    return [Instances((64, 96), proposal_boxes=Boxes(b)) for b in boxes]


BOXES = torch.tensor([[8.0, 4, 40, 20], [0, 0, 96, 64], [50, 30, 70, 60]])
# Two proposals of the first image, the first a word, and one of the second, a word.
TEACHER = (torch.tensor([[2.0, -1], [-1.0, 1], [0.1, 0]]), random(3, 4), random(2, 1, 5, 5))


def taught():
    return region_outputs(FixedHeads(*TEACHER), {}, proposals_of(BOXES[:2], BOXES[2:]))


def test_what_a_teacher_says():
    first, second = taught()
    assert torch.equal(first.boxes, BOXES[:2]) and torch.equal(second.boxes, BOXES[2:])
    assert torch.equal(first.scores, TEACHER[0][:2]) and torch.equal(second.deltas, TEACHER[1][2:])
    assert first.words.tolist() == [0] and second.words.tolist() == [0]
    assert torch.equal(first.masks, TEACHER[2][:1]) and torch.equal(second.masks, TEACHER[2][1:])


def test_masks_are_asked_for_words_and_only_the_best_proposals_count():
    heads = FixedHeads(*TEACHER)
    region_outputs(heads, {}, proposals_of(BOXES[:2], BOXES[2:]))
    assert torch.equal(torch.cat(heads.asked[1]), BOXES[[0, 2]])
    many = torch.arange(4.0 * (PROPOSALS + 9)).reshape(-1, 4)
    heads = FixedHeads(random(PROPOSALS, 2), random(PROPOSALS, 4), random(0, 1, 5, 5))
    heads.mask_logits = lambda _, boxes: random(sum(map(len, boxes)), 1, 5, 5)
    assert torch.equal(region_outputs(heads, {}, proposals_of(many))[0].boxes, many[:PROPOSALS])


def test_distances_by_hand():
    own = random(3, 2, seed=3), random(3, 4, seed=4), random(2, 1, 5, 5, seed=5)
    images = ImageList(torch.zeros(2, 3, 64, 96), [(64, 96)] * 2)
    found = region_distances(FixedHeads(*own), images, {}, taught())
    p, q = (softmax(part[0].double().numpy()) for part in (TEACHER, own))
    by_hand = {"box_class": (p * np.log(p / q)).sum(axis=1).mean()}
    error = np.abs(own[1].numpy() - TEACHER[1].numpy())
    smooth = np.where(error < 1, error**2 / 2, error - 0.5).mean(axis=1)
    assert p[:, 0].sum() > 1
    by_hand["box_delta"] = (p[:, 0] * smooth).sum() / p[:, 0].sum()
    p, q = (1 / (1 + np.exp(-part[2].double().numpy())) for part in (TEACHER, own))
    by_hand["mask"] = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()
    assert {name: loss.item() for name, loss in found.items()} == pytest.approx(by_hand, rel=1e-4)
    assert all(loss > 0.01 for loss in by_hand.values())


def test_the_student_looks_at_the_same_places_in_its_images():
    full = ImageList(torch.zeros(2, 3, 64, 96), [(64, 96), (60, 90)])
    small = rescale_images(full, 0.35)
    heads, given = FixedHeads(*TEACHER), taught()
    region_distances(heads, small, {}, given)
    factors = torch.tensor([34 / 96, 22 / 64] * 2)
    torch.testing.assert_close(torch.cat(heads.asked[0]), BOXES * factors)
    torch.testing.assert_close(torch.cat(heads.asked[1]), BOXES[[0, 2]] * factors)
    assert torch.equal(given[0].boxes, BOXES[:2]), "the teacher's places stay where they are"


def test_features_that_show_the_scene_at_half_size_say_the_same_of_a_region():
    """Smooth maps that depend on the place in the image alone: pooled at the scaled places they hardly differ."""
    torch.manual_seed(0)
    spotter = build_model(toy.tiny_cfg()).eval()
    heads = spotter.roi_heads

    def features(scale, moved=0.0):
        maps = {}
        for level in (2, 3, 4, 5):
            stride = 2**level / scale
            y, x = ((torch.arange(int(n * scale) // 2**level) + 0.5) * stride + moved for n in (256, 384))
            wave = torch.sin(y / 60)[:, None] + torch.cos(x / 80)
            maps[f"p{level}"] = 10 * wave * torch.linspace(-1, 1, 16)[:, None, None].expand(1, 16, 1, 1)
        return maps

    for layer in (heads.box_predictor.cls_score, heads.box_predictor.bbox_pred, heads.mask_head.predictor):
        layer.weight.data.normal_(std=0.2)
    boxes = torch.tensor([[40.0, 50, 150, 120], [200, 60, 330, 130], [120, 140, 220, 220]])
    full = ImageList(torch.zeros(1, 3, 256, 384), [(256, 384)])
    with torch.no_grad():
        given = region_outputs(heads, features(1.0), proposals_of(boxes))
        small = rescale_images(full, 0.5)
        found = region_distances(heads, small, features(0.5), given)
        moved = region_distances(heads, small, features(0.5, 40.0), given)
    assert len(given[0].words) > 0
    for name, loss in found.items():
        assert loss < 0.1 * moved[name] and moved[name] > 1e-3, name


def test_images_without_proposals_keep_the_losses_in_the_graph():
    spotter = build_model(toy.tiny_cfg()).train()
    images = spotter.preprocess_image(toy_batch((1, 0)))
    features = spotter.backbone(images.tensor)
    nothing = RegionOutputs(
        *(torch.zeros(0, *s) for s in ((4,), (2,), (4,))), torch.zeros(0).long(), random(0, 1, 28, 28)
    )
    losses = region_distances(spotter.roi_heads, images, features, [nothing, nothing])
    assert [loss.item() for loss in losses.values()] == [0, 0, 0]
    sum(losses.values()).backward()
    parts = ("box_head", "box_predictor", "mask_head")
    assert all(p.grad is not None for n, p in spotter.roi_heads.named_parameters() if n.startswith(parts))
