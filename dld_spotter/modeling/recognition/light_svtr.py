"""LightSVTR, the neck of PP-OCRv6's recognisers: context along the columns of a word by two attention blocks.

The architecture is that of the network that PaddleOCR distributes (Apache-2.0), as the graph of its small recogniser
shows it; ``tools/convert_pp_ocr.py`` turns such a graph's weights into ours, batch normalisation folded.

Shapes: R words, N columns, C channels, D of the context.
"""

from detectron2.layers import Conv2d
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = 8
BLOCKS = 2
# Columns that the depthwise convolution before the blocks sees.
KERNEL = 7


class LightSVTR(nn.Module):
    """Reduce the channels, mix neighbouring columns, then all columns; the reduced channels are added at the end.

    Args:
        in_channels: C.
        hidden_size: D, a multiple of ``HEADS``.
        epsilon: of the blocks' layer normalisation, and of the last one.
    """

    def __init__(self, in_channels: int, hidden_size: int, epsilon: tuple[float, float] = (1e-5, 1e-6)):
        super().__init__()
        self.shortcut = Conv2d(in_channels, hidden_size, 1, activation=F.silu)
        self.reduce = Conv2d(in_channels, hidden_size, 1, activation=F.silu)
        self.mix = Conv2d(
            hidden_size, hidden_size, (1, KERNEL), padding=(0, KERNEL // 2), groups=hidden_size, activation=F.silu
        )
        self.blocks = nn.Sequential(*(MixingBlock(hidden_size, epsilon[0]) for _ in range(BLOCKS)))
        self.norm = nn.LayerNorm(hidden_size, epsilon[1])

    def forward(self, columns: Tensor) -> Tensor:
        """(R, C, 1, N) to (R, N, D)."""
        shortcut, reduced = self.shortcut(columns), self.reduce(columns)
        mixed = (reduced + self.mix(reduced))[:, :, 0].transpose(1, 2)
        return self.norm(self.blocks(mixed)) + shortcut[:, :, 0].transpose(1, 2)


class MixingBlock(nn.Module):
    """Self-attention and two linear layers, each after a layer normalisation and beside a shortcut."""

    def __init__(self, size: int, epsilon: float):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size, epsilon), nn.LayerNorm(size, epsilon)
        self.attend, self.project = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.expand, self.compress = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)

    def forward(self, x: Tensor) -> Tensor:
        """(R, N, D) to the same."""
        words, columns, size = x.shape
        parts = self.attend(self.norm1(x)).view(words, columns, 3, HEADS, size // HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)  # (R, heads, N, D / heads)
        x = x + self.project(mixed.transpose(1, 2).flatten(2))
        return x + self.compress(F.silu(self.expand(self.norm2(x))))
