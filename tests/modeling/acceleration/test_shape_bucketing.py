"""Batches filled up for cuDNN: the same numbers from fewer shapes."""

import copy

import pytest
import torch
import toy
from detectron2.layers import Conv2d
from detectron2.modeling import build_model
from detectron2.structures import ImageList
from torch import nn

from dld_spotter.modeling.acceleration.shape_bucketing import pad_images, round_batch_sizes, rounded_batch_size


def test_rounded_sizes():
    sizes = [rounded_batch_size(size) for size in (0, 1, 2, 3, 5, 8, 33, 64, 65, 129)]
    assert sizes == [0, 1, 2, 4, 8, 8, 64, 64, 128, 192]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Conv2d(3, 4, 3, padding=1, activation=nn.functional.relu)
        self.up = nn.ConvTranspose2d(4, 5, 2, stride=2)
        self.counting = Conv2d(5, 6, 1, norm=nn.BatchNorm2d(6))

    def forward(self, x):
        return self.counting(self.up(self.first(x)))


@pytest.mark.parametrize("size", [0, 1, 3, 70])
def test_outputs_and_gradients_stay_the_same(size):
    plain = Net()
    filled, seen = copy.deepcopy(plain), []
    round_batch_sizes(filled, everywhere=True)
    for module in (filled.first, filled.up, filled.counting):
        module.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    images = torch.randn(size, 3, 5, 6)
    results = []
    for net in (plain, filled):
        net.train(size > 0)  # of nothing there are no statistics
        output = net(images)
        net.zero_grad()
        (output**2).sum().backward()
        results.append([output, *(p.grad for p in net.parameters()), net.counting.norm.running_mean])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert seen == [rounded_batch_size(size), rounded_batch_size(size), size]


def test_on_a_cpu_nothing_is_filled_up():
    net, seen = Net(), []
    round_batch_sizes(net)
    net.first.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    net(torch.randn(3, 3, 5, 6))
    assert seen == [3]


def test_images_are_padded_to_a_multiple():
    tensor = torch.rand(2, 3, 64, 96).contiguous(memory_format=torch.channels_last)
    padded = pad_images(ImageList(tensor, [(60, 90), (64, 80)]), 128)
    assert padded.tensor.shape == (2, 3, 128, 128) and padded.image_sizes == [(60, 90), (64, 80)]
    assert torch.equal(padded.tensor[:, :, :64, :96], tensor) and padded.tensor[:, :, 64:].abs().sum() == 0
    assert padded.tensor.is_contiguous(memory_format=torch.channels_last)
    same = ImageList(tensor, [(60, 90), (64, 80)])
    assert pad_images(same, 32) is same and pad_images(same, 0) is same


@pytest.mark.parametrize("config", ["MaskRCNNSpotter_Light.yaml", ("TextPerceptron_R50.yaml", "Light.yaml")])
def test_spotters_pad_in_training_alone(config):
    model = build_model(toy.tiny_cfg("MODEL.PAD_MULTIPLE", 128, config=config))
    records = [{"image": torch.zeros(3, 130, 96, dtype=torch.uint8)}]
    shapes = [model.train(training).preprocess_image(records).tensor.shape[2:] for training in (True, False)]
    assert shapes == [(256, 128), (160, 96)]
