import numpy as np
import pytest
import torch
from detectron2.structures import Boxes
from torch import nn
from torch.nn import functional as F

from dld_spotter.modeling.backbones.fpn_features import FeatureMap
from dld_spotter.modeling.recognition.masked_pooler import MaskedRoIPooler, WordUpsampler, mask_coverage
from dld_spotter.structures import WordPolygons

SIZE = (8, 32)
STRIDE = 4
IMAGE = (160, 240)


@pytest.fixture
def pooler():
    """A pooler that sees the feature map as it is: its convolution is switched off."""
    pooler = MaskedRoIPooler(in_channels=2, out_channels=2, output_size=SIZE, stride=STRIDE, margin=0.0)
    pooler.conv = nn.Identity()
    return pooler


def ramps():
    """Feature map whose two channels hold the x and y of each cell's centre, in pixels."""
    y, x = torch.meshgrid(torch.arange(IMAGE[0] // STRIDE), torch.arange(IMAGE[1] // STRIDE), indexing="ij")
    return (torch.stack([x, y])[None] + 0.5) * STRIDE


def rectangle(x1, y1, x2, y2):
    return WordPolygons.from_list([[x1, y1, x2, y1, x2, y2, x1, y2]])


def pool(pooler, polygons, features=None):
    features = ramps() if features is None else features
    return pooler(FeatureMap(features), [polygons.get_bounding_boxes()], [IMAGE], polygons=[polygons])


def test_a_horizontal_word_is_sampled_at_its_bin_centres(pooler):
    word = pool(pooler, rectangle(40, 20, 168, 52))[0]
    x = 40 + (np.arange(32) + 0.5) * 4
    y = 20 + (np.arange(8) + 0.5) * 4
    np.testing.assert_allclose(word[0], np.tile(x, (8, 1)), atol=1e-3)
    np.testing.assert_allclose(word[1], np.tile(y[:, None], (1, 32)), atol=1e-3)


def test_a_vertical_word_is_turned_so_that_its_top_comes_first(pooler):
    word = pool(pooler, rectangle(100, 10, 116, 138))[0]
    # Columns run from top to bottom of the image; the first row is its right edge (turned counter-clockwise).
    y = 10 + (np.arange(32) + 0.5) * 4
    x = 116 - (np.arange(8) + 0.5) * 2
    np.testing.assert_allclose(word[1], np.tile(y, (8, 1)), atol=1e-3)
    np.testing.assert_allclose(word[0], np.tile(x[:, None], (1, 32)), atol=1e-3)


def test_the_background_is_zero_and_the_word_is_kept(pooler):
    triangle = WordPolygons.from_list([[40.0, 20.0, 168.0, 20.0, 40.0, 52.0]])
    word = pool(pooler, triangle, torch.ones(1, 2, IMAGE[0] // STRIDE, IMAGE[1] // STRIDE))[0]
    assert word[:, 0, 0].tolist() == [1, 1] and word[:, -1, -1].tolist() == [0, 0]
    assert word[0].mean().item() == pytest.approx(0.5, abs=0.02)


def test_the_margin_is_cut_at_the_border_of_the_image():
    pooler = MaskedRoIPooler(in_channels=2, out_channels=2, output_size=SIZE, stride=STRIDE, margin=1.0)
    pooler.conv = nn.Identity()
    word = pool(pooler, rectangle(0, 0, 60, 16))[0]
    # Region after the margin: x 0 to 64, y 0 to 20; the word covers 60 of 64 columns.
    assert word[0, 0, 0].item() == pytest.approx(max(0.5 * 64 / 32, 0.5 * STRIDE), abs=0.6)
    assert word[0, 0, -1].item() == 0, "the margin is background"
    assert word[0, 0, 28].item() == pytest.approx(28.5 * 2, abs=1e-3)


def test_predicted_masks_give_what_their_outlines_give(pooler):
    polygon = WordPolygons.from_list([[42.0, 20.0, 168.0, 30.0, 160.0, 52.0, 40.0, 45.0]])
    boxes = polygon.get_bounding_boxes()
    probs = polygon.crop_and_resize(boxes.tensor, 64).float()[:, None]
    ones = torch.ones(1, 2, IMAGE[0] // STRIDE, IMAGE[1] // STRIDE)
    from_mask = pooler(FeatureMap(ones), [boxes], [IMAGE], mask_probs=probs)
    assert (from_mask - pool(pooler, polygon, ones)).abs().mean() < 0.02


def test_mask_coverage_is_zero_outside_the_box():
    boxes, regions = torch.tensor([[10.0, 10.0, 30.0, 20.0]]), torch.tensor([[0.0, 0.0, 40.0, 40.0]])
    coverage = mask_coverage(torch.ones(1, 1, 28, 28), boxes, regions, (40, 40), 1)[0]
    expected = torch.zeros(40, 40)
    expected[10:20, 10:30] = 1
    assert torch.equal(coverage, expected)


def test_words_of_a_batch_come_from_their_own_images(pooler):
    features = torch.stack([torch.full((2, 40, 60), 1.0), torch.full((2, 40, 60), 5.0)])
    polygons = [rectangle(0, 0, 80, 30), WordPolygons.cat([rectangle(10, 0, 80, 30), rectangle(0, 1, 160, 40)])]
    boxes = [p.get_bounding_boxes() for p in polygons]
    words = pooler(FeatureMap(features), boxes, [IMAGE, IMAGE], polygons=polygons)
    assert words.amax(dim=(1, 2, 3)).tolist() == [1.0, 5.0, 5.0]


def test_features_get_a_gradient_only_inside_the_word(pooler):
    features = ramps().requires_grad_()
    pool(pooler, rectangle(40, 20, 168, 52), features).sum().backward()
    gradient = features.grad[0, 0]
    assert gradient[5:13, 10:42].min() > 0
    assert gradient[:4].abs().max() == 0 and gradient[:, 44:].abs().max() == 0


def test_no_words():
    pooler = MaskedRoIPooler(in_channels=2, out_channels=3, output_size=(16, 64), stride=STRIDE)
    empty = WordPolygons.from_list([])
    words = pooler(FeatureMap(ramps()), [Boxes(torch.zeros(0, 4))], [IMAGE], polygons=[empty])
    assert words.shape == (0, 3, 16, 64)


def test_one_sample_a_bin_is_crop_times_mask_then_bilinear_resize():
    """With one sample a bin, RoIAlign of a whole-cell box is the plain crop resized bilinearly (the authors' way)."""
    pooler = MaskedRoIPooler(in_channels=2, out_channels=2, output_size=SIZE, stride=STRIDE, margin=0.0)
    pooler.align.sampling_ratio = 1
    pooler.conv = nn.Identity()
    features = torch.rand(1, 2, 40, 60)
    word = pool(pooler, rectangle(40, 20, 168, 60), features)
    crop = F.interpolate(features[:, :, 5:15, 10:42], SIZE, mode="bilinear", align_corners=False)
    torch.testing.assert_close(word[..., 1:-1, 1:-1], crop[..., 1:-1, 1:-1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("norm", ["BN", ""])
def test_the_deconvolution_starts_as_a_copy_of_each_cell(norm):
    roi = torch.rand(3, 5, 8, 32)
    doubled = WordUpsampler(5, norm).eval()(roi)
    torch.testing.assert_close(doubled, roi.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), rtol=1e-4, atol=0)


def test_the_deconvolution_is_one_matrix_for_each_of_four_neighbours():
    upsampler = WordUpsampler(3, "").eval()
    nn.init.normal_(upsampler.deconv.weight)
    nn.init.normal_(upsampler.deconv.bias)
    roi, weight = torch.randn(2, 3, 4, 6), upsampler.deconv.weight
    doubled = upsampler(roi)
    assert doubled.shape == (2, 3, 8, 12)
    for row in range(2):
        for column in range(2):
            mixed = torch.einsum("rchw,cd->rdhw", roi, weight[:, :, row, column])
            expected = (mixed + upsampler.deconv.bias[:, None, None]).clamp(min=0)
            torch.testing.assert_close(doubled[:, :, row::2, column::2], expected)


def test_upsampled_words_have_twice_the_size_in_both_orientations():
    pooler = MaskedRoIPooler(in_channels=2, out_channels=3, output_size=SIZE, stride=STRIDE, upsample=True).eval()
    plain = MaskedRoIPooler(in_channels=2, out_channels=3, output_size=SIZE, stride=STRIDE).eval()
    assert plain.load_state_dict(pooler.state_dict(), strict=False).missing_keys == []
    words = WordPolygons.cat([rectangle(40, 20, 168, 52), rectangle(100, 10, 116, 138)])
    torch.testing.assert_close(pool(pooler, words)[:, :, ::2, 1::2], pool(plain, words), rtol=1e-4, atol=1e-6)
    assert pooler.word_size == (16, 64) and plain.word_size == SIZE
    assert pool(pooler.train(), WordPolygons.from_list([])).shape == (0, 3, 16, 64)
