"""The whole spotter at a tiny size behind the Spotter seam: losses, finding, reading, costs, learning."""

import numpy as np
import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from helpers.tiny_perceptron import CHARSET, DETECTION, build, frozen_statistics, knowing, losses_of, tiny
from helpers.toy_words import toy_batch
from torch.nn import functional as F

from dld_spotter.analysis.flops import CostModel, count_multiply_adds
from dld_spotter.data.charset import PAD
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.modeling.spotter import readable_words
from dld_spotter.modeling.spotter_parts import Workload
from dld_spotter.predicted_words import instances_to_polygons, to_words
from dld_spotter.predictor import TextPredictor


@pytest.mark.parametrize("words_per_image", [(0, 0), (0, 3), (2, 1)])
@pytest.mark.parametrize("predicted", [False, True])
def test_losses_are_finite_and_reach_every_parameter(words_per_image, predicted):
    spotter = build("MODEL.TEXT_PERCEPTRON.PREDICTED_FIDUCIALS", predicted)
    losses = losses_of(spotter, toy_batch(words_per_image))
    assert losses.keys() == DETECTION | {"loss_text"}
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    gradients = {name: p.grad for name, p in spotter.named_parameters() if p.requires_grad}
    assert not [name for name, gradient in gradients.items() if gradient is None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    assert (losses["loss_text"] == 0) == (sum(words_per_image) == 0)


@pytest.mark.parametrize("predicted", [False, True])
def test_the_reading_loss_reaches_the_fiducials_by_the_option_only(predicted):
    spotter = build("MODEL.TEXT_PERCEPTRON.PREDICTED_FIDUCIALS", predicted)
    losses_of(spotter, toy_batch((2, 1)))["loss_text"].backward()
    head = [p.grad for name, p in spotter.named_parameters() if name.startswith("head.predict_geometry")]
    assert all((gradient is not None and gradient.abs().max() > 0) == predicted for gradient in head)
    assert spotter.head.predict_scores.weight.grad is None, "scores are not what words are sampled by"
    assert spotter.backbone.fpn_output2.weight.grad.abs().max() > 0


def test_images_with_only_dont_care_words_train():
    batch = toy_batch((2, 2))
    for record in batch:
        record["instances"].gt_ignore[:] = True
        record["instances"].gt_text[:] = PAD
    losses = losses_of(build(), batch)
    assert losses["loss_text"] == 0 and all(losses[f"loss_reg_{name}"] == 0 for name in ("head", "tail", "offset"))
    assert all(torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize("words_per_image", [(0, 0), (2, 1)])
def test_reading_only_trains_what_reads(words_per_image):
    spotter = build("MODEL.TEXT.READING_ONLY", True)
    losses = losses_of(spotter, toy_batch(words_per_image))
    assert losses.keys() == {"loss_text"}
    losses["loss_text"].backward()
    trained = {name: p.grad for name, p in spotter.named_parameters() if p.requires_grad}
    assert not [name for name, gradient in trained.items() if gradient is None], "distributed training would wait"
    assert {name.split(".")[0] for name in trained} == {"backbone", "text_head"}


def test_jitter_moves_what_is_read_in_training_and_nothing_else():
    moved = {}
    for jitter in (0.0, 0.3):
        torch.manual_seed(0)
        spotter = frozen_statistics(build("MODEL.ROI_TEXT_HEAD.JITTER", jitter))
        images, targets = spotter.preprocess_image(toy_batch((2, 1))), [x["instances"] for x in toy_batch((2, 1))]
        with EventStorage():
            _, roi = spotter.detection_losses(images, targets)
        moved[jitter] = (roi - spotter.pool(images, readable_words(targets))).abs().max().item()
    assert moved[0.0] < 1e-4 and moved[0.3] > 1e-2


def test_words_without_cells_are_read_in_their_true_places():
    spotter = frozen_statistics(build("MODEL.TEXT_PERCEPTRON.PREDICTED_FIDUCIALS", True))
    batch = toy_batch((2,))
    words = batch[0]["instances"]
    words.gt_masks.tensor[1] = words.gt_masks.tensor[1] * 0.01 + 50  # about a pixel
    images = spotter.preprocess_image(batch)
    with EventStorage():
        _, roi = spotter.detection_losses(images, [words])
    torch.testing.assert_close(roi[1], spotter.pool(images, [words])[1])
    assert not torch.allclose(roi[0], spotter.pool(images, [words])[0])


def test_reading_alone_equals_the_reading_of_the_training_pass():
    spotter = frozen_statistics(build())
    batch = toy_batch((2, 3))
    batch[1]["instances"].gt_text[1] = PAD  # found, not read
    images = spotter.preprocess_image(batch)
    targets = [record["instances"] for record in batch]
    with EventStorage():
        _, roi = spotter.detection_losses(images, targets)
    alone = spotter.read(images, readable_words(targets))
    torch.testing.assert_close(alone.roi, roi)
    assert alone.roi.shape == (4, 16, 8, 32) and alone.context.shape == (4, 33, 16)
    tokens, scores = spotter.beam_search(alone, 3)
    assert tokens.shape[:2] == (4, 3) and torch.all(scores[:, :-1] >= scores[:, 1:])
    torch.testing.assert_close(spotter.decode(alone.context, alone.target[:, :2]), alone.logits[:, :2])
    assert [len(words) for words in spotter.eval().read_words(batch)] == [2, 2]


def test_the_reading_branch_of_a_mask_rcnn_spotter_is_taken_over(tmp_path):
    source = build_model(toy.tiny_cfg())
    torch.save({"model": source.state_dict()}, tmp_path / "spotter.pth")
    expected = source.roi_heads.text_head.encoder.context[0].lstm.weight_hh_l0
    for architecture, parts in {
        "TextPerceptron": [""],
        "DLDSpotter": ["student", "teacher"],
        "PyramidFusionTrainer": ["spotter"],
    }.items():
        model = build("MODEL.META_ARCHITECTURE", architecture, "MODEL.DLD.SPOTTER", "TextPerceptron")
        TextCheckpointer(model).load(str(tmp_path / "spotter.pth"))
        for part in parts:
            taken = model.get_submodule(part).text_head.encoder.context[0].lstm.weight_hh_l0
            torch.testing.assert_close(taken, expected)


def test_found_words_are_those_of_the_maps_in_the_original_s_pixels():
    batch = toy_batch((2, 0, 3))
    for record in batch:
        record["height"], record["width"] = 192, 384
    spotter = knowing(build(), batch)
    for record, output in zip(batch, spotter(batch), strict=True):
        found, truth = output["instances"], record["instances"].gt_masks.tensor * torch.tensor([3.0, 2.0])
        assert found.image_size == (192, 384) and len(found) == len(truth) == len(found.pred_text)
        assert (found.scores > 0.99).all() and not found.pred_classes.any()
        corners = [polygon[[0, 6, 7, 13]] for polygon in instances_to_polygons(found)]
        for expected in truth.numpy():
            assert min(np.abs(corner - expected).max() for corner in corners) < 0.1
        assert len(to_words(found, CHARSET)) == len(truth)


def test_the_best_words_above_the_score_are_kept():
    batch = toy_batch((3,))
    scores = {}
    for opts in ((), ("TEST.DETECTIONS_PER_IMAGE", 2), ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.9999)):
        scores[opts] = len(knowing(build(*opts), batch)(batch)[0]["instances"])
    assert list(scores.values()) == [3, 2, 3]
    spotter = knowing(build("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 1.0), batch)
    nothing = spotter(batch)[0]["instances"]
    assert len(nothing) == 0 and nothing.has("pred_text") and nothing.has("pred_text_scores")


def test_training_and_spotting_under_autocast():
    batch = toy_batch((2, 1))
    spotter = build("MODEL.TEXT_PERCEPTRON.PREDICTED_FIDUCIALS", True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = losses_of(spotter, batch)
        assert len(spotter.eval()(batch)) == 2
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()


def test_only_the_pyramid_level_that_is_used_has_weights():
    spotter = build()
    names = {name.split(".")[1] for name, _ in spotter.named_parameters() if name.startswith("backbone.fpn")}
    assert names == {"fpn_output2", *(f"fpn_lateral{level}" for level in range(2, 6))}
    image = torch.randn(1, 3, 64, 96)
    torch.testing.assert_close(
        spotter.eval().backbone(image)["p2"], spotter.feature_map(type("Images", (), {"tensor": image}))
    )


def test_costs_are_those_of_a_run():
    """Five words of three steps: the dry run counts what reading that many words and segmenting the image take."""
    spotter, batch = build().eval(), toy_batch((5,))
    counted = CostModel(spotter, Workload(words=5, steps=3)).student((96, 128), 1.0)
    images = spotter.preprocess_image(batch)
    words = [record["instances"] for record in batch]
    tokens = torch.full((5, 3), 2)

    def run():
        feature = spotter.feature_map(images)
        spotter.head(feature)
        with torch.enable_grad():  # over the whole map
            spotter.recognize(spotter.pool(images, words, {"p2": feature}), tokens)

    real = count_multiply_adds(run, spotter, spotter.cost_parts)
    sampling = 5 * 256 * 14 * 2  # the spline of each word, a matrix product
    assert counted | {"recognition": 0} == real | {"recognition": 0}
    assert real["recognition"] - counted["recognition"] == sampling
    assert counted["segmentation"] > 0 and counted["other"] == 0


def test_the_head_and_the_reading_branch_learn_toy_words():
    spotter, batch = build(), toy_batch((2, 2), seed=1)
    optimizer = torch.optim.AdamW(spotter.parameters(), lr=5e-3)
    first = None
    for _ in range(60):
        losses = losses_of(spotter, batch)
        first = first or {name: loss.item() for name, loss in losses.items()}
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(spotter.parameters(), 5.0)
        optimizer.step()
    for name, loss in losses.items():
        assert loss.item() < 0.7 * first[name], name


def test_from_a_checkpoint_to_words(tmp_path):
    """TextPredictor builds it, loads it, and writes outlines as they are found."""
    batch, weights = toy_batch((2,)), tmp_path / "model.pth"
    spotter = build()
    torch.save({"model": spotter.state_dict()}, weights)
    predictor = TextPredictor(tiny(), weights, device="cpu", confidence_threshold=0.25)
    assert predictor.model.limits.min_score == 0.25
    knowing(predictor.model, batch)
    image = F.interpolate(batch[0]["image"][None].float(), scale_factor=2)[0].byte().permute(1, 2, 0).numpy()
    result = predictor(image)[0]
    assert len(result.words) == 2 and (result.height, result.width) == (192, 256)
    truth = batch[0]["instances"].gt_masks.tensor.numpy() * 2
    for word in result.words:
        assert len(word.polygon) == 14
        corners = np.array(word.polygon)[[0, 6, 7, 13]]
        assert min(np.abs(corners - expected).max() for expected in truth) < 0.1
    assert result.draw(image).shape == image.shape


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("MODEL.ROI_TEXT_HEAD.NAME", "AttentionTextHead", "'FiducialTextHead'"),
        ("MODEL.TEXT_PERCEPTRON.NUM_FIDUCIALS", 7, "NUM_FIDUCIALS is 7.*even"),
    ],
)
def test_options_that_clash_are_named(key, value, message):
    with pytest.raises(ValueError, match=message):
        build(key, value)
