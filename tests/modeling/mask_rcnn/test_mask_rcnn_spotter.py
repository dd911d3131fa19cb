"""The whole spotter at a tiny size: losses, don't-care regions, the Spotter seam, and learning to read."""

import copy

import numpy as np
import pytest
import torch
import toy
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import build_backbone, build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from helpers.toy_words import CHARSET, target, toy_batch
from torch.nn import functional as F

from dld_spotter.config import load_cfg
from dld_spotter.data.charset import PAD
from dld_spotter.modeling.acceleration.specialized_convolutions import (
    FoldedConv2d,
    SubsampledConv2d,
    specialize_convolutions,
)
from dld_spotter.modeling.backbones.fpn_features import single_feature_map
from dld_spotter.modeling.mask_rcnn.dont_care_regions import inside_ignored, split_ignored
from dld_spotter.modeling.recognition.contextual_encoder import RecognitionEncoder
from dld_spotter.modeling.recognition.roi_feature_recogniser import text_loss
from dld_spotter.modeling.spotter import readable_words, target_tokens


@pytest.fixture
def spotter():
    return build_model(toy.tiny_cfg())


@pytest.mark.parametrize("words_per_image", [(0, 0), (0, 3), (2, 1)])
def test_losses_are_finite_and_reach_every_parameter(spotter, words_per_image):
    with EventStorage():
        losses = spotter.train()(toy_batch(words_per_image))
    assert set(losses) == {f"loss_{n}" for n in ("cls", "box_reg", "mask", "text", "rpn_cls", "rpn_loc")}
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    without = [n for n, p in spotter.named_parameters() if p.requires_grad and p.grad is None]
    assert not without, "DistributedDataParallel would wait for these"
    assert (losses["loss_text"] == 0) == (sum(words_per_image) == 0)


@pytest.mark.parametrize("words_per_image", [(2, 1), (0, 0)])
def test_reading_only_trains_what_reads(words_per_image):
    spotter = build_model(toy.tiny_cfg("MODEL.TEXT.READING_ONLY", True)).train()
    with EventStorage():
        losses = spotter(toy_batch(words_per_image))
    assert set(losses) == {"loss_text"}
    losses["loss_text"].backward()
    trained = {name for name, p in spotter.named_parameters() if p.requires_grad}
    without = [name for name in trained if spotter.get_parameter(name).grad is None]
    assert not without, "DistributedDataParallel would wait for these"
    assert {"backbone.fpn_output2.weight", "backbone.fpn_lateral5.weight"} <= trained
    assert "backbone.fpn_output3.weight" not in trained
    assert not any(name.startswith(("proposal_generator", "roi_heads.box", "roi_heads.mask")) for name in trained)


def test_jitter_moves_what_is_read_in_training_and_nothing_else():
    losses = {}
    for jitter in (0.0, 0.3):
        torch.manual_seed(0)
        spotter = build_model(toy.tiny_cfg("MODEL.ROI_TEXT_HEAD.JITTER", jitter)).train()
        images, targets = spotter.preprocess_image(toy_batch((2, 1))), [x["instances"] for x in toy_batch((2, 1))]
        with EventStorage():
            _, roi = spotter.detection_losses(images, targets)
        true = spotter.pool(images, readable_words(targets))
        losses[jitter] = (roi - true).abs().max().item()
    assert losses[0.0] < 1e-4 and losses[0.3] > 1e-2


def test_images_with_only_dont_care_words_train(spotter):
    batch = toy_batch((2, 2))
    for record in batch:
        record["instances"].gt_ignore[:] = True
        record["instances"].gt_text[:] = PAD
    with EventStorage():
        losses = spotter.train()(batch)
    assert losses["loss_text"] == 0 and losses["loss_mask"] == 0
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_text_loss_is_the_mean_over_characters_and_ends():
    logits, tokens = torch.randn(3, 4, 6), torch.tensor([[2, 3, 1, 0], [1, 0, 0, 0], [5, 5, 5, 5]])
    exponents = np.exp(logits.numpy().astype(np.float64))
    terms = [
        -np.log(exponents[r, t, tokens[r, t]] / exponents[r, t].sum())
        for r in range(3)
        for t in range(4)
        if tokens[r, t] != PAD
    ]
    with EventStorage() as storage:
        assert text_loss(logits, tokens).item() == pytest.approx(np.mean(terms), rel=1e-5)
        accuracy = storage.latest()["text/char_accuracy"][0]
    right = [(logits[r, t].argmax() == tokens[r, t]).item() for r in range(3) for t in range(4) if tokens[r, t] != PAD]
    assert float(accuracy) == pytest.approx(np.mean(right))


def test_dont_care_regions_are_no_negatives(spotter):
    words = target([[0, 0, 60, 0, 60, 30, 0, 30], [64, 40, 128, 40, 128, 96, 64, 96]], ["abc", None], (96, 128), (1,))
    anchors = Boxes(torch.tensor([[1.0, 1.0, 60.0, 30.0], [70.0, 45.0, 120.0, 90.0], [0.0, 60.0, 40.0, 90.0]]))
    rpn = spotter.proposal_generator
    rpn.batch_size_per_image = 100
    labels, _ = rpn.label_and_sample_anchors([anchors], [words])
    assert labels[0].tolist() == [1, -1, 0]

    proposals = Instances((96, 128), proposal_boxes=anchors, objectness_logits=torch.zeros(3))
    with EventStorage():
        sampled = spotter.roi_heads.label_and_sample_proposals([proposals], [words])[0]
    background = sampled.proposal_boxes.tensor[sampled.gt_classes == 1]
    assert background.tolist() == [[0.0, 60.0, 40.0, 90.0]]
    assert (sampled.gt_classes == 0).sum() == 2, "the proposal on the word, and the word itself"


def test_share_of_a_candidate_inside_a_dont_care_region():
    boxes = Boxes(torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 30.0]]))
    region = Boxes(torch.tensor([[0.0, 0.0, 10.0, 12.0]]))
    assert inside_ignored(boxes, region, 0.5).tolist() == [True, False]
    assert inside_ignored(boxes, region[:0], 0.5).tolist() == [False, False]
    plain = Instances((4, 4), gt_boxes=boxes)
    assert split_ignored([plain])[0][0] is plain, "targets without the flag all count"


def test_words_that_are_not_read_still_count_as_found():
    words = target([[0, 0, 9, 0, 9, 9, 0, 9]] * 3, ["ab", None, "c"], (96, 128))
    assert [len(w) for w in readable_words([words])] == [2]
    assert target_tokens(readable_words([words, words[:0]])).shape == (2, 3)


def test_reading_alone_equals_the_reading_of_the_training_pass(spotter):
    batch = toy_batch((2, 3))
    spotter.train()
    for module in spotter.modules():  # the same normalisation in both passes
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    images = spotter.preprocess_image(batch)
    targets = [record["instances"] for record in batch]
    with EventStorage():
        _, roi = spotter.detection_losses(images, targets)
    alone = spotter.read(images, readable_words(targets))
    torch.testing.assert_close(alone.roi, roi)
    assert alone.roi.shape == (5, 16, 8, 32) and alone.context.shape == (5, 33, 16)


def test_other_tokens_can_be_fed_in(spotter):
    batch = toy_batch((2,))
    words = readable_words([batch[0]["instances"]])
    images = spotter.eval().preprocess_image(batch)
    own = spotter.read(images, words)
    other = spotter.decode(own.context, own.target[:, :2])
    torch.testing.assert_close(other, own.logits[:, :2])
    assert not torch.allclose(spotter.decode(own.context, own.target.flip(0)[:, :2])[:, 1:], other[:, 1:])
    tokens, scores = spotter.beam_search(own, 3)
    assert tokens.shape[:2] == (2, 3) and torch.all(scores[:, :-1] >= scores[:, 1:])


@pytest.mark.parametrize("name", ["p2", "p4", "p6"])
def test_a_single_feature_equals_the_whole_pyramid(spotter, name):
    image = torch.randn(2, 3, 64, 96)
    backbone = spotter.backbone.eval()
    feature = single_feature_map(backbone, image, name)
    assert len(feature.pending_convs) == (name != "p6")
    torch.testing.assert_close(feature.finished(), backbone(image)[name])


def test_folded_normalisation_changes_no_output_and_no_gradient():
    cfg = toy.tiny_cfg("MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone")
    cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 18, 64
    plain = build_backbone(cfg).double()
    for module in plain.modules():
        if isinstance(module, FrozenBatchNorm2d):
            for value in (module.weight, module.running_var):
                value.uniform_(0.5, 2.0)
            for value in (module.bias, module.running_mean):
                value.uniform_(-1.0, 1.0)
    folded = copy.deepcopy(plain)
    specialize_convolutions(folded)
    assert sum(isinstance(m, FoldedConv2d) for m in folded.modules()) == 20
    assert folded.state_dict().keys() == plain.state_dict().keys()
    image = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    outputs = [backbone(image) for backbone in (plain, folded)]
    for output in outputs:
        output["p2"].square().mean().backward()
    torch.testing.assert_close(outputs[0]["p5"], outputs[1]["p5"])
    for (name, expected), parameter in zip(plain.named_parameters(), folded.parameters(), strict=True):
        if expected.grad is not None:
            torch.testing.assert_close(parameter.grad, expected.grad, msg=name)


def test_subsampled_convolutions_equal_strided_ones(spotter):
    """Also no memory is corrupted: batches of three with few channels made torch's own backward pass do so."""
    found = [m for m in spotter.backbone.modules() if isinstance(m, SubsampledConv2d)]
    assert len(found) == 3, "the shortcuts of three stages"
    for conv in found:
        features = torch.randn(3, conv.in_channels, 13, 18).contiguous(memory_format=torch.channels_last)
        strided = F.conv2d(features, conv.weight, conv.bias, stride=conv.stride)
        torch.testing.assert_close(conv.eval()(features), conv.norm(strided))
        conv(features).sum().backward()


@pytest.mark.parametrize("size, positions", [((8, 32), 33), ((16, 64), 3 * 65)])
def test_positions_of_the_context(size, positions):
    encoder = RecognitionEncoder(8, 6).eval()
    shapes = []
    for layer in encoder.convs:
        layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[2:])))
    assert encoder(torch.randn(2, 8, *size)).shape == (2, positions, 6)
    if size == (8, 32):
        assert shapes == [(8, 32)] * 4 + [(4, 33), (2, 34), (1, 33)]


def test_a_taller_grid_reads_in_the_whole_spotter():
    spotter = build_model(toy.tiny_cfg("MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", (16, 64)))
    with EventStorage():
        assert torch.isfinite(spotter.train()(toy_batch((2,)))["loss_text"])


def test_words_and_boxes_stay_paired_at_the_border(spotter):
    """Detections at the very corner, and images without any, do not shift the words of the others."""
    boxes = [[[0, 0, 30, 20], [1, 1, 60, 90]], [], [[2, 2, 50, 20]]]
    detected = []
    for rows in boxes:
        found = Instances((96, 128))
        found.pred_boxes = Boxes(torch.tensor(rows, dtype=torch.float32).reshape(-1, 4))
        found.pred_classes = torch.zeros(len(rows), dtype=torch.long)
        detected.append(found)
    spotter.eval()
    batch = [{"image": torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8)} for _ in boxes]
    together = spotter.inference(batch, copy.deepcopy(detected), do_postprocess=False)
    for index, rows in enumerate(boxes):
        alone = spotter.inference(batch[index : index + 1], detected[index : index + 1], do_postprocess=False)[0]
        assert len(together[index].pred_text) == len(rows)
        width = min(alone.pred_text.shape[1], together[index].pred_text.shape[1])
        assert torch.equal(alone.pred_text[:, :width], together[index].pred_text[:, :width])
        torch.testing.assert_close(alone.pred_text_scores, together[index].pred_text_scores)


def test_inference_on_noise_and_with_nothing_found(spotter):
    spotter.eval()
    spotter.roi_heads.box_predictor.test_score_thresh = 0.0
    record = {"image": torch.zeros(3, 96, 128, dtype=torch.uint8), "height": 192, "width": 256}
    found = spotter([record])[0]["instances"]
    assert len(found) > 0 and found.pred_masks.shape == (len(found), 192, 256)
    assert found.pred_text.shape[0] == len(found) == len(found.pred_text_scores)
    spotter.roi_heads.box_predictor.test_score_thresh = 1.0
    nothing = spotter([record, record])[1]["instances"]
    assert len(nothing) == 0 and nothing.has("pred_text") and nothing.has("pred_text_scores")


def test_training_and_reading_under_autocast(spotter):
    batch = toy_batch((2, 1))
    with torch.autocast("cpu", dtype=torch.bfloat16), EventStorage():
        losses = spotter.train()(batch)
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert [len(words) for words in spotter.eval().read_words(batch)] == [2, 1]


def test_the_reading_branch_learns_toy_words(spotter):
    """From polygon to character: without a right crop, mask, token row and feedback this cannot be learnt."""
    batch = toy_batch((3, 3), seed=1)
    spotter.train()
    images = spotter.preprocess_image(batch)
    words = readable_words([record["instances"] for record in batch])
    optimizer = torch.optim.AdamW(spotter.parameters(), lr=5e-3)
    for _ in range(250):
        reading = spotter.read(images, words)
        loss = F.cross_entropy(reading.logits.flatten(0, 1), reading.target.flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(spotter.parameters(), 5.0)
        optimizer.step()
    read = [CHARSET.decode(tokens) for tokens in spotter.read_words(batch)]
    truth = [CHARSET.decode(record["instances"].gt_text) for record in batch]
    assert read == truth


def test_the_paper_size_spotter_trains_and_infers_at_s448():
    cfg = load_cfg(str(toy.ROOT / "configs/MaskRCNNSpotter_R50.yaml"), ["MODEL.DEVICE", "cpu"])
    spotter = build_model(cfg)
    batch = toy_batch((3,), size=(448, 796))
    with EventStorage():
        losses = spotter.train()(batch)
    sum(losses.values()).backward()
    gradients = [p.grad for p in spotter.parameters() if p.requires_grad]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    with torch.no_grad():
        found = spotter.eval()(batch)[0]["instances"]
    assert found.image_size == (448, 796) and found.has("pred_text")
