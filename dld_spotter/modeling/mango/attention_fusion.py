"""What each character slot sees: the feature map, weighted by the slot's attention.

Shapes: C channels of the feature map, D of the head, H, W of the map.
"""

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from dld_spotter.modeling.mango.mango_heads import ConvTower

# An attention over a smaller share of the image than this fades, so that an empty slot differs from a filled one.
FAINTEST = 1e-4


class AttentionFusion(nn.Module):
    """The attended mean of a tower's features.

    The method's public code takes the sum, which grows with the area of the image: a student at half the scale would
    see a quarter of its teacher's features. The mean does not depend on the scale.

    Args:
        in_channels: C.
        channels: D.
        depth: convolutions of the tower.
    """

    def __init__(self, in_channels: int, channels: int, depth: int):
        super().__init__()
        self.values = ConvTower(in_channels, channels, depth)
        self.channels = channels

    def forward(self, attention: Tensor, values: Tensor, valid: Tensor) -> Tensor:
        """Collect features; padding takes no part.

        Args:
            attention: (..., H, W) in [0, 1].
            values: (D, H, W), what ``self.values`` makes of one image's map.
            valid: (H, W) bool, the positions within the image.

        Returns:
            (..., D) float32.
        """
        device = attention.device.type
        # Sums over a whole map leave the range of float16. Where only sizes are known there is no autocast to turn off.
        with nullcontext() if device == "meta" else torch.autocast(device, enabled=False):
            weights = (attention.float() * valid).flatten(-2)
            collected = weights @ values.float().flatten(1).T
            return collected / (weights.sum(dim=-1) + FAINTEST * valid.sum())[..., None]
