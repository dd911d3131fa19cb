"""The steps between graphs, against the PyTorch modules that they stand for."""

import numpy as np
import pytest
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, ImageList, Instances

from dld_spotter.data.charset import Charset
from dld_spotter.modeling.backbones.fpn_features import FeatureMap
from dld_spotter.modeling.dld.rescaling import rescale_images
from dld_spotter.modeling.recognition import word_rectifier
from dld_spotter.modeling.recognition.ctc_decoder import CTCDecoder
from dld_spotter.modeling.recognition.masked_pooler import MASK_SAMPLES, MaskedRoIPooler
from dld_spotter.modeling.recognition.word_rectifier import WordRectifier
from dld_spotter.modeling.score_threshold import WordScoring
from dld_spotter.network_size import NetworkSize
from dld_spotter.predicted_words import instances_to_polygons
from dld_spotter.runtime.images import NetworkImage, rescale, rescaled_factors, shown_part, to_network
from dld_spotter.runtime.masks import outlines
from dld_spotter.runtime.sampling import sample
from dld_spotter.runtime.texts import combine, ctc_texts
from dld_spotter.runtime.word_maps import MapSettings, word_features
from dld_spotter.runtime.word_pictures import PictureSettings, word_pictures


def masks_and_boxes(rng, count, size=(120, 200)):
    """Random slanted bars as masks (count, 28, 28), and boxes (count, 4) of many shapes."""
    y, x = np.mgrid[:28, :28] / 14 - 1
    angle = rng.uniform(0, np.pi, (count, 1, 1))
    across = np.abs(x * np.sin(angle) - y * np.cos(angle))
    masks = 1 / (1 + np.exp(12 * (across - rng.uniform(0.2, 0.6, (count, 1, 1)))))
    corner = rng.uniform(0, (size[1] - 10, size[0] - 10), (count, 2))
    extent = rng.uniform(4, (size[1] - 20, size[0] - 20), (count, 2))
    return masks.astype(np.float32), np.concatenate([corner, corner + extent], axis=1).astype(np.float32)


@pytest.mark.parametrize(("scale", "size"), [(0.25, (90, 150)), (0.7, (96, 160)), (1.0, (96, 160)), (1.25, (64, 33))])
def test_images_are_rescaled_as_by_the_model(scale, size):
    rng = np.random.default_rng(0)
    pixels = np.zeros((3, -(-size[0] // 32) * 32, -(-size[1] // 32) * 32), np.float32)
    pixels[:, : size[0], : size[1]] = rng.normal(size=(3, *size))
    theirs = rescale_images(ImageList(torch.from_numpy(pixels)[None], [size]), scale)
    image = NetworkImage(pixels, size)
    rescaled = rescale(image, scale)
    # torch sums its weights in single precision, Pillow in double.
    np.testing.assert_allclose(rescaled.pixels, theirs.tensor[0].numpy(), atol=1e-4)
    assert rescaled.size == theirs.image_sizes[0]
    expected = tuple(reversed(theirs.factors)) if scale != 1 else (1.0, 1.0)
    assert rescaled_factors(image, scale) == expected


def test_a_photo_is_normalised_and_padded():
    photo = np.full((10, 20, 3), (10, 20, 30), np.uint8)
    seen = to_network(photo, NetworkSize(0, 100, 32), (1, 2, 3), (2, 2, 2))
    assert seen.padded == (32, 32) and seen.size == (10, 20)
    np.testing.assert_array_equal(seen.pixels[:, 0, 0], np.float32([4.5, 9, 13.5]))
    assert not seen.pixels[:, 10:].any() and not seen.pixels[:, :, 20:].any()
    red_first = to_network(photo, NetworkSize(0, 100, 32), (1, 2, 3), (2, 2, 2), "RGB")
    np.testing.assert_array_equal(red_first.pixels[:, 0, 0], np.float32([14.5, 9, 3.5]))


def test_the_shown_part_of_a_map_is_never_empty():
    assert (shown_part(8, 30, 32), shown_part(8, 1, 500), shown_part(8, 32, 32)) == (8, 1, 8)


def test_samples_between_pixels_and_outside():
    image = np.float32([[0, 10], [20, 30]])
    x, y = np.float32([0.5, 1.0, 2.0, -5.0]), np.float32([0.5, 1.0, 1.5, 0.5])
    np.testing.assert_allclose(sample(image, x, y), [0, 15, 15, 0])


def test_word_pictures_are_those_of_the_rectifier():
    rng = np.random.default_rng(1)
    pixels = rng.normal(size=(3, 129, 201)).astype(np.float32)
    masks, boxes = masks_and_boxes(rng, 60)
    masks[0] = 0  # says nothing
    boxes[1] = (0, 0, 3, 120)
    for heights in (0.0, 4.0):
        rectifier = WordRectifier((12, 32), 1.5, heights)
        theirs = rectifier(
            torch.from_numpy(pixels)[None],
            [Boxes(torch.from_numpy(boxes))],
            mask_probs=torch.from_numpy(masks)[:, None],
        )
        constants = (word_rectifier.MARGIN, word_rectifier.LEVEL, word_rectifier.TELLING, word_rectifier.STEEPEST_RISE)
        settings = PictureSettings(
            (12, 32), 1.5, rectifier.heights, word_rectifier.MASK_SIZE, word_rectifier.HALVINGS, *constants
        )
        np.testing.assert_allclose(word_pictures(pixels, boxes, masks, settings), theirs.numpy(), atol=2e-3)


def test_outlines_are_those_of_masks_pasted_into_the_image():
    rng = np.random.default_rng(2)
    masks, boxes = masks_and_boxes(rng, 40)
    boxes[0] = (30, 30, 30, 60)
    found = Instances((120, 200), pred_boxes=Boxes(torch.from_numpy(boxes.copy())), row=torch.arange(40))
    found.pred_masks = torch.from_numpy(masks)[:, None]
    pasted = detector_postprocess(found, 240, 300)
    ours = outlines(boxes * np.float32([1.5, 2, 1.5, 2]), masks, (240, 300))
    assert ours[0] is None and 0 not in pasted.row.tolist()
    for row, polygon in zip(pasted.row.tolist(), instances_to_polygons(pasted), strict=True):
        if polygon is None:
            assert ours[row] is None
        else:
            np.testing.assert_allclose(ours[row], polygon, atol=1e-3)


def test_texts_of_columns_by_hand_and_as_the_decoder_reads_them():
    charset = Charset("abc")
    decoder = CTCDecoder(3, 4)
    decoder.classify = torch.nn.Identity()
    classes = torch.tensor([[1, 1, 0, 1, 2, 2], [0, 0, 0, 0, 0, 0], [3, 0, 3, 3, 1, 1]])
    logits = 5.0 * torch.nn.functional.one_hot(classes, 4).float() + torch.rand(3, 6, 4)
    texts, scores = ctc_texts(logits.log_softmax(dim=2).numpy(), charset, 24)
    assert texts == ["aab", "", "cca"]
    tokens, sure = decoder.greedy(logits, 25)
    assert charset.decode(tokens) == texts
    np.testing.assert_allclose(scores, sure.numpy(), rtol=1e-5)
    assert ctc_texts(logits.log_softmax(dim=2).numpy(), charset, 2)[0] == ["aa", "", "cc"]


def test_scores_are_combined_as_in_the_model():
    det, text = np.float32([0.2, 1.0, 0.0]), np.float32([0.9, 0.5, 1.0])
    theirs = WordScoring(powers=(0.3, 0.7)).combine(torch.from_numpy(det), torch.from_numpy(text))
    np.testing.assert_allclose(combine(det, text, (0.3, 0.7)), theirs.numpy(), rtol=1e-6)


def test_word_features_are_those_of_the_pooler():
    rng = np.random.default_rng(3)
    masks, boxes = masks_and_boxes(rng, 12)
    pooler = MaskedRoIPooler(in_channels=2, out_channels=2, output_size=(4, 16), stride=4).eval()
    features = torch.from_numpy(rng.normal(size=(1, 2, 30, 50)).astype(np.float32))
    with torch.no_grad():
        theirs = pooler(
            FeatureMap(features),
            [Boxes(torch.from_numpy(boxes))],
            [(120, 200)],
            mask_probs=torch.from_numpy(masks)[:, None],
        )
        text_map = pooler.conv(features)[0].permute(1, 2, 0).numpy()
    settings = MapSettings((4, 16), 4, pooler.margin, pooler.vertical_ratio, MASK_SAMPLES)
    ours = word_features(text_map, boxes, masks, (120, 200), settings)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)
