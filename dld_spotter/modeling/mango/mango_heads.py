"""Where words are: segmentation of their centre lines, and the cells of the grid that hold one.

Shapes: B images, C channels of the feature map, H, W of it, S cells a side of the grid.
"""

from detectron2.layers import Conv2d
from torch import Tensor, nn
from torch.nn import functional as F

# Channels a group of every group normalisation: 32 groups of the 256 channels of the published heads.
GROUP_CHANNELS = 8


class ConvTower(nn.Sequential):
    """3 x 3 convolutions, each with group normalisation and ReLU.

    Args:
        in_channels: of the input.
        channels: of every convolution.
        depth: number of them.
    """

    def __init__(self, in_channels: int, channels: int, depth: int):
        super().__init__(
            *(normalised_conv(in_channels if place == 0 else channels, channels, (3, 3)) for place in range(depth))
        )


def normalised_conv(in_channels: int, out_channels: int, kernel: tuple[int, int]) -> Conv2d:
    """A convolution with group normalisation and ReLU, drawn from N(0, 0.01) as the method's public code does."""
    padding = tuple(side // 2 for side in kernel)
    norm = nn.GroupNorm(out_channels // GROUP_CHANNELS, out_channels)
    conv = Conv2d(in_channels, out_channels, kernel, padding=padding, bias=False, norm=norm, activation=F.relu)
    nn.init.normal_(conv.weight, std=0.01)
    return conv


class CentreLineHead(nn.Module):
    """Logits of the words' centre lines: sums of square and of wide kernels, which see a whole word.

    The convolutions are normalised, which they are not in the method's public code: there, a few large steps saturate
    the maps, and the Dice loss has no gradient left.

    Args:
        in_channels: C.
        channels: of its convolutions.
    """

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.square = normalised_conv(in_channels, channels, (3, 3))
        self.wide = normalised_conv(channels, channels, (1, 7))
        self.wide_input = normalised_conv(in_channels, channels, (1, 7))
        self.merge = normalised_conv(channels, channels, (3, 3))
        self.predictor = Conv2d(channels, 1, 1)
        nn.init.xavier_normal_(self.predictor.weight)
        nn.init.zeros_(self.predictor.bias)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) to (B, H, W) logits."""
        square = self.square(feature)
        merged = self.merge(square + self.wide(square) + self.wide_input(feature))
        return self.predictor(merged)[:, 0]


class GridHead(nn.Module):
    """Logits of the cells that hold a word.

    Args:
        in_channels: C.
        channels: of its convolutions.
    """

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.tower = ConvTower(in_channels, channels, 2)
        self.predictor = Conv2d(channels, 1, 3, padding=1)
        nn.init.normal_(self.predictor.weight, std=0.01)
        nn.init.zeros_(self.predictor.bias)

    def forward(self, cells: Tensor) -> Tensor:
        """(B, C, S, S), the feature map at the cells, to (B, S * S) logits."""
        return self.predictor(self.tower(cells)).flatten(1)
