"""The selector's network: its layers, and what it sees of an image."""

import numpy as np
import pytest
import torch
import toy
from detectron2.layers import Conv2d
from detectron2.structures import ImageList
from torch import nn

from dld_spotter.modeling.dld.selector.selector_network import ResidualSelector, build_resolution_selector, masked_mean


def batch_of(*sizes):
    return ImageList.from_tensors([torch.rand(3, *size) for size in sizes], 32)


@pytest.mark.parametrize("scales", [(0.5, 1.0), (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)])
def test_the_selector_has_ten_convolutions_and_one_output_a_scale(scales):
    selector = build_resolution_selector(toy.tiny_cfg("MODEL.DLD.SCALES", scales))
    assert sum(isinstance(m, Conv2d) for m in selector.modules()) == 10
    assert sum(isinstance(m, nn.Linear) for m in selector.modules()) == 1
    assert selector(batch_of((64, 96), (33, 50))).shape == (2, len(scales))


def test_the_selector_sees_every_pixel():
    selector = ResidualSelector(num_scales=2, width=32).eval()
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    selector(ImageList(image, [(32, 32)]))[0, 0].backward()
    assert (image.grad.abs().sum(dim=1) > 0).float().mean() > 0.95


def test_padding_hardly_changes_the_answer():
    """The mean leaves out positions that show padding; what is left is the border's reach of the convolutions."""
    selector = ResidualSelector(num_scales=3, width=8).eval()
    small = torch.rand(3, 128, 192)
    alone = selector(ImageList.from_tensors([small], 32))
    together = selector(ImageList.from_tensors([small, torch.rand(3, 256, 320)], 32))
    spread = selector(ImageList.from_tensors([torch.rand(3, 128, 192) * i for i in range(1, 9)], 32)).std(dim=0)
    assert ((alone[0] - together[0]).abs() < 0.5 * spread).all()


def test_mean_over_the_image_only():
    features = torch.arange(24, dtype=torch.float32).reshape(1, 1, 4, 6).repeat(2, 1, 1, 1)
    means = masked_mean(features, [(64, 96), (32, 48)], (64, 96))
    assert means[0].item() == pytest.approx(np.arange(24).mean())
    assert means[1].item() == pytest.approx(np.arange(24).reshape(4, 6)[:2, :3].mean())
