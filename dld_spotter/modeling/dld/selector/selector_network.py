"""The Dynamic Resolution Selector: which of a few scales suits each image (section 3 of the DLD method).

Shapes: B images, k candidate scales.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, get_norm
from detectron2.structures import ImageList
from detectron2.utils.registry import Registry
from fvcore.nn import weight_init
from torch import Tensor, nn
from torch.nn import functional as F

RESOLUTION_SELECTOR_REGISTRY = Registry("RESOLUTION_SELECTOR")
RESOLUTION_SELECTOR_REGISTRY.__doc__ = """
Image -> logits over the candidate scales. Called as ``obj(cfg)``; the object takes a normalised, padded ImageList and
returns (B, k). It may not change its answer for an image with what else is in the batch. tools/fit_selector.py needs
two methods, too: ``shift(offsets)`` adds (k,) to the logits of every image, ``restrict(scales)`` keeps those of some
scales.
"""


def build_resolution_selector(cfg: CfgNode) -> nn.Module:
    """The selector that ``MODEL.RESOLUTION_SELECTOR.NAME`` names."""
    return RESOLUTION_SELECTOR_REGISTRY.get(cfg.MODEL.RESOLUTION_SELECTOR.NAME)(cfg)


class ScaleClassifier(nn.Module):
    """What selectors share whose last layer, ``classify``, is linear."""

    classify: nn.Linear

    @torch.no_grad()
    def shift(self, offsets: Tensor) -> None:
        """Add the same (k,) to the logits of every image from now on."""
        self.classify.bias.add_(offsets.to(self.classify.bias))

    @torch.no_grad()
    def restrict(self, scales: Sequence[int]) -> None:
        """Keep the logits of these scales, by index, and no others."""
        rows = torch.as_tensor(scales, device=self.classify.weight.device)
        kept = nn.Linear(self.classify.in_features, len(rows)).to(self.classify.weight)
        kept.weight.copy_(self.classify.weight[rows])
        kept.bias.copy_(self.classify.bias[rows])
        self.classify = kept


@RESOLUTION_SELECTOR_REGISTRY.register()
class ResidualSelector(ScaleClassifier):
    """Ten convolutions in a residual network, global average pooling, one linear layer.

    The image is folded first: each square of ``fold`` x ``fold`` pixels becomes the channels of one position. No detail
    is lost to the network, which costs ``fold**2`` times less than one of the same widths on the pixels. The ten
    convolutions are a stem, four residual blocks of two, and a last one of 1 x 1; shortcuts have no weights (they
    average 2 x 2 positions and pad new channels with zeros).

    Args:
        num_scales: k.
        width: channels of the stem and the first block; each later block has twice as many.
        fold: see above.
        norm: normalisation.
    """

    @configurable
    def __init__(self, *, num_scales: int, width: int = 32, fold: int = 4, norm: str = "BN"):
        super().__init__()
        self.fold = fold
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        self.stem = _conv(3 * fold**2, width, norm, stride=2)
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(inside, outside, stride=1 if index == 0 else 2, norm=norm)
                for index, (inside, outside) in enumerate(pairwise(widths))
            )
        )
        self.last = _conv(widths[-1], widths[-1], norm, kernel=1)
        self.classify = nn.Linear(widths[-1], num_scales)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        selector = cfg.MODEL.RESOLUTION_SELECTOR
        return {
            "num_scales": len(cfg.MODEL.DLD.SCALES),
            "width": selector.WIDTH,
            "norm": selector.NORM,
        }

    def forward(self, images: ImageList) -> Tensor:
        """(B, k) logits."""
        height, width = images.tensor.shape[-2:]
        padding = (0, -width % self.fold, 0, -height % self.fold)
        features = F.pixel_unshuffle(F.pad(images.tensor, padding), self.fold)
        features = self.last(self.blocks(self.stem(features)))
        return self.classify(masked_mean(features, images.image_sizes, (height + padding[3], width + padding[1])))


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without weights."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: str):
        super().__init__()
        self.first = _conv(in_channels, out_channels, norm, stride=stride)
        self.second = _conv(out_channels, out_channels, norm, activation=None)
        self.new_channels = out_channels - in_channels
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        shortcut = features
        if self.stride > 1:
            shortcut = F.avg_pool2d(shortcut, self.stride, ceil_mode=True)
        shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))
        return F.relu(self.second(self.first(features)) + shortcut)


def masked_mean(features: Tensor, image_sizes: Sequence[tuple[int, int]], padded: tuple[int, int]) -> Tensor:
    """Mean over the positions that show the image rather than its padding.

    Features are (B, C, H, W), of images that were padded to ``padded`` (height, width).

    Returns:
        (B, C).
    """
    means = []
    for feature, size in zip(features, image_sizes, strict=True):
        means.append(crop_to_image(feature, size, padded).mean(dim=(1, 2)))
    return torch.stack(means)


def crop_to_image(feature: Tensor, size: tuple[int, int], padded: tuple[int, int]) -> Tensor:
    """The part of one image's (C, H, W) map that shows the image of a (height, width) rather than its padding."""
    rows, columns = feature.shape[-2:]
    return feature[:, : _share(rows, size[0], padded[0]), : _share(columns, size[1], padded[1])]


def _share(positions: int, size: int, padded: int) -> int:
    return max(1, min(positions, round(positions * size / padded)))


def _conv(
    in_channels: int,
    out_channels: int,
    norm: str,
    kernel: int = 3,
    stride: int = 1,
    activation: Callable[[Tensor], Tensor] | None = F.relu,
) -> Conv2d:
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=kernel // 2,
        bias=not norm,
        norm=get_norm(norm, out_channels),
        activation=activation,
    )
    weight_init.c2_msra_fill(conv)
    return conv
