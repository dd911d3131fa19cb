"""The order-aware segmentation head: where words, their ends and boundaries are, and where the outline runs.

Shapes: B images, C channels, H and W of the feature map.
"""

from typing import NamedTuple

import torch
from detectron2.layers import Conv2d
from fvcore.nn import weight_init
from torch import Tensor, nn
from torch.nn import functional as F


class SegmentationMaps(NamedTuple):
    """What the head says.

    Attributes:
        scores: (B, 4, H, W) logits of centre, head, tail and boundary.
        geometry: (B, 12, H, W) in units of 32 pixels; see ``regression``.
    """

    scores: Tensor
    geometry: Tensor

    def regression(self) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 4, H, W) each: corners in head cells, corners in tail cells, offsets in centre cells."""
        return self.geometry.split(4, dim=1)


class OrderAwareHead(nn.Module):
    """Convolutions of 3 x 3, and of 1 x 7 along the line of text, then one branch for areas and one for geometry.

    a = conv3x3(x); f = conv3x3(a + conv1x7(a) + conv1x7(x)). The authors' code sends both branches through one
    convolution and leaves another without use; here each has its own, as their paper draws it. The seven predictors of
    1 x 1 are two convolutions with as many channels.

    Args:
        in_channels: of the feature map.
        channels: of every convolution.
    """

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.near = _conv(in_channels, channels, (3, 3))
        self.near_wide = _conv(channels, channels, (1, 7))
        self.wide = _conv(in_channels, channels, (1, 7))
        self.merge = _conv(channels, channels, (3, 3))
        self.segmentation = _conv(channels, channels, (3, 3))
        self.regression = _conv(channels, channels, (3, 3))
        self.predict_scores = nn.Conv2d(channels, 4, 1)
        self.predict_geometry = nn.Conv2d(channels, 12, 1)
        # Small, as Detectron2's RPN: with larger weights scores can start at 0 or 1, where Dice has no gradient.
        for predictor in (self.predict_scores, self.predict_geometry):
            nn.init.normal_(predictor.weight, std=0.01)
            if predictor.bias is not None:
                nn.init.zeros_(predictor.bias)

    def forward(self, features: Tensor) -> SegmentationMaps:
        """(B, C, H, W) feature map to maps of the same size."""
        near = self.near(features)
        merged = self.merge(near + self.near_wide(near) + self.wide(features))
        return SegmentationMaps(
            self.predict_scores(self.segmentation(merged)), self.predict_geometry(self.regression(merged))
        )


def _conv(in_channels: int, out_channels: int, kernel: tuple[int, int]) -> Conv2d:
    padding = (kernel[0] // 2, kernel[1] // 2)
    conv = Conv2d(in_channels, out_channels, kernel, padding=padding, activation=F.relu)
    weight_init.c2_msra_fill(conv)
    return conv


@torch.no_grad()
def label_areas(scores: Tensor, center: float, end: float, boundary: float) -> Tensor:
    """(B, H, W) uint8 areas where scores reach their thresholds: boundary over tail over head over centre.

    Scores are (B, 4, H, W) in [0, 1]: centre, head, tail, boundary.
    """
    thresholds = scores.new_tensor([center, end, end, boundary])[:, None, None]
    number = torch.arange(1, 5, device=scores.device, dtype=torch.uint8)[:, None, None]
    return ((scores >= thresholds) * number).amax(dim=1)
