"""Attention maps by dynamic convolution: a cell of the grid predicts the kernels that find its word on the feature map.

Shapes: B images, C channels of the feature map, D of the heads, H, W of the map, S cells a side of the grid, K cells,
L character slots.
"""

import torch
from torch import Tensor, nn

from dld_spotter.modeling.mango.attention_window import WINDOW_NUMBERS, initial_window, window_logits
from dld_spotter.modeling.mango.grid import MapGeometry, cell_positions, sample_at_cells
from dld_spotter.modeling.mango.mango_heads import ConvTower, normalised_conv

# 3 x 3 convolutions over the grid, before the kernels. They are cheap, and see how long words are.
KERNEL_CONVS = 4


class DynamicConvolution(nn.Module):
    """1 x 1 convolutions whose kernels are given with the input; no bias."""

    def forward(self, kernels: Tensor, feature: Tensor) -> Tensor:
        """Logits A[..., x, y] = sum_c kernels[..., c] * feature[c, x, y].

        Args:
            kernels: (..., D).
            feature: (D, H, W) of one image.

        Returns:
            (..., H, W).
        """
        return (kernels @ feature.flatten(1)).unflatten(-1, feature.shape[1:])


class KernelTower(nn.Module):
    """Features of the grid's cells, from which kernels are made for those cells alone that hold a word.

    Args:
        in_channels: C.
        channels: D.
        grid_size: S.
        kernels: numbers that a cell predicts.
    """

    def __init__(self, in_channels: int, channels: int, grid_size: int, kernels: int):
        super().__init__()
        self.grid_size = grid_size
        self.tower = ConvTower(in_channels + 2, channels, KERNEL_CONVS)
        # A 1 x 1 convolution, applied only where its output is used.
        self.predictor = nn.Linear(channels, kernels)
        nn.init.normal_(self.predictor.weight, std=0.01)
        nn.init.zeros_(self.predictor.bias)

    def forward(self, feature: Tensor, geometry: MapGeometry) -> Tensor:
        """(B, C, H, W) to (B, S * S, D)."""
        cells = sample_at_cells(feature, geometry.extent, self.grid_size)
        cells = self.tower(torch.cat([cells, cell_positions(self.grid_size, cells)], dim=1))
        return cells.flatten(2).transpose(1, 2)


class CharacterAttention(nn.Module):
    """One attention map for each character of a cell's word ("character mask attention").

    Args:
        in_channels: C.
        channels: D.
        depth: convolutions of the feature tower.
        grid_size: S.
        num_slots: L.
        windows: add a Gaussian window to each slot's logits, placed from the cell (see ``window``).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        depth: int,
        grid_size: int,
        num_slots: int,
        windows: bool = False,
    ):
        super().__init__()
        self.num_slots, self.channels, self.windows = num_slots, channels, windows
        numbers = channels + (WINDOW_NUMBERS if windows else 0)  # of a slot
        self.kernel_tower = KernelTower(in_channels, channels, grid_size, num_slots * numbers)
        if windows:
            bias = self.kernel_tower.predictor.bias.data.unflatten(0, (num_slots, numbers))
            bias[:, channels:] = initial_window()
        self.feature_tower = ConvTower(in_channels + 2, channels, depth)
        self.feature_tower.append(normalised_conv(channels, channels, (1, 1)))
        self.dynamic_convolution = DynamicConvolution()

    def features(self, feature: Tensor, geometry: MapGeometry) -> Tensor:
        """(B, D, H, W): what the kernels are applied to."""
        return self.feature_tower(torch.cat([feature, geometry.position.to(feature.dtype)], dim=1))

    def forward(
        self, cell_features: Tensor, cells: Tensor, features: Tensor, position: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The attention of chosen cells of one image.

        Args:
            cell_features: (S * S, D) from the kernel tower.
            cells: (...) counted row by row.
            features: (D, H, W) from the feature tower.
            position: (2, H, W) x and y of the map's positions; the image spans -1 to 1.

        Returns:
            (..., L, H, W) in [0, 1]; the windows (..., L, 6) of the slots, or (..., L, 0) without them.
        """
        predicted = self.kernel_tower.predictor(cell_features[cells]).unflatten(-1, (self.num_slots, -1))
        kernels, windows = predicted[..., : self.channels], predicted[..., self.channels :]
        logits = self.dynamic_convolution(kernels, features)
        if self.windows:
            logits = logits + window_logits(windows, cells, self.kernel_tower.grid_size, position)
        return logits.sigmoid(), windows
