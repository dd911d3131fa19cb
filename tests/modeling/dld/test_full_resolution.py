"""Words that are found in a small image and read in the large one."""

import pytest
import torch
from detectron2.structures import Boxes
from detectron2.utils.events import EventStorage
from helpers.toy_crops import CROP, TINY
from helpers.toy_dld import build
from helpers.toy_words import toy_batch

from dld_spotter.engine.selector_fitting import measure_scale_losses
from dld_spotter.modeling.dld.rescaling import RescaledImages, rescale_images, rescale_words
from dld_spotter.modeling.spotter import readable_words

FULL = ("MODEL.PP_LCNET_READER.FULL_RESOLUTION", True)
ALL_FOUND = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, "TEST.DETECTIONS_PER_IMAGE", 6)
RANDOM = ("MODEL.DLD.SELECTION", "random")


def rescaled_batch(model, scale, words_per_image=(2, 1)):
    batch = toy_batch(words_per_image, size=(96, 136))  # padded by the network
    images = model.student.preprocess_image(batch)
    return batch, images, rescale_images(images, scale)


def test_a_rescaled_batch_remembers_what_it_was_made_of():
    model = build(*CROP, *TINY)
    _, images, small = rescaled_batch(model, 0.3)
    assert isinstance(small, RescaledImages) and small.original is images
    assert images.tensor.shape[-2:] == (96, 160)
    assert small.factors == (29 / 96, 48 / 160), "0.3 of 96 are 28.8 rows"
    assert rescale_images(images, 1.0) is images


@pytest.mark.parametrize("scale", [0.3, 0.75])
def test_true_places_are_read_in_the_large_image(scale):
    model = build(*CROP, *TINY, *FULL).eval()
    batch, images, small = rescaled_batch(model, scale)
    words = readable_words([record["instances"] for record in batch])
    placed = rescale_words(words, images, small, scale)
    with torch.no_grad():
        expected = model.student.pool(images, words)
        # Features of an untrained network reach hundreds: float32 rounds by a share of the largest, not of each.
        rounding = 2e-4 * expected.abs().max()
        torch.testing.assert_close(model.student.pool(small, placed), expected, rtol=0, atol=rounding.item())
        model.student.roi_heads.text_head.full_resolution = False
        assert not torch.allclose(model.student.pool(small, placed), expected, rtol=0.1, atol=0.1)


def test_detections_are_read_in_the_large_image():
    model = build(*CROP, *TINY, *FULL, *ALL_FOUND, *RANDOM).eval()
    _, images, small = rescaled_batch(model, 0.5)
    found = model.student.spot(small)
    assert sum(map(len, found)) > 0
    head = model.student.roi_heads.text_head
    large = [Boxes(2 * instances.pred_boxes.tensor) for instances in found]
    masks = torch.cat([instances.pred_masks for instances in found])
    tokens, scores = head.greedy(head.pooler(images.tensor, large, mask_probs=masks))
    torch.testing.assert_close(torch.cat([i.pred_text for i in found]), tokens)
    torch.testing.assert_close(torch.cat([i.pred_text_scores for i in found]), scores, rtol=1e-3, atol=1e-4)


def test_a_step_at_random_scales_compares_readings_at_full_resolution():
    """Teacher and student start alike, so that nothing is lost where both read the same pixels."""
    model = build(*CROP, *TINY, *FULL, *RANDOM, "MODEL.DLD.SCALES", (0.3, 0.5))
    with EventStorage():
        losses = model(toy_batch((2, 0, 1)))
    assert losses["loss_skd_roi"] < 1e-3 and losses["loss_skd_context"] < 1e-3
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.student.parameters() if p.requires_grad)


def test_a_selector_cannot_learn_from_such_readings():
    model = build(*CROP, *TINY, *FULL)
    with EventStorage(), pytest.raises(ValueError, match="FULL_RESOLUTION"):
        model(toy_batch((1,)))
    with pytest.raises(ValueError, match="--by spotting"):
        measure_scale_losses(model, [])
