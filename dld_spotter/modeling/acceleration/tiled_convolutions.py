"""Convolutions computed only where they are looked at.

Recognition needs the feature map around the words alone, and words cover a small part of most photos.

Shapes: B images, C channels, H and W of a feature map, n tiles.
"""

from collections.abc import Callable, Sequence

import torch
from detectron2.layers import Conv2d
from detectron2.structures import Boxes
from torch import Tensor
from torch.nn import functional as F

from dld_spotter.modeling.backbones.fpn_features import map_size

# Cells of a tile a side: smaller ones follow the words more closely, but share more of their borders' work.
TILE = 16


def needed_tiles(boxes: Sequence[Boxes], reach: float, stride: int, size: tuple[int, int]) -> Tensor:
    """The tiles of a feature map that words touch.

    Args:
        boxes: of the words of each image, in pixels.
        reach: pixels around a box that are looked at, too.
        stride: of the feature map, in pixels.
        size: H, W of the feature map.

    Returns:
        (B, tile rows, tile columns) bool.
    """
    rows, columns = (-(-side // TILE) for side in size)
    extent = TILE * stride
    tiles = []
    for box in boxes:
        low, high = box.tensor[:, :2] - reach, box.tensor[:, 2:] + reach
        left, top = (torch.arange(count, device=low.device) * extent for count in (columns, rows))
        in_column = (left < high[:, :1]) & (left + extent > low[:, :1])  # (R, columns)
        in_row = (top < high[:, 1:]) & (top + extent > low[:, 1:])  # (R, rows)
        tiles.append((in_row[:, :, None] & in_column[:, None, :]).any(dim=0))
    return torch.stack(tiles)


def worthwhile(needed: Tensor, num_convs: int) -> bool:
    """Whether the tiles, with the borders they share, are less work than the whole map. Waits for the device."""
    overhead = ((TILE + num_convs) / TILE) ** 2
    return needed.float().mean().item() * overhead < 0.8


def convolve_around(
    features: Tensor, convs: Sequence[Conv2d], boxes: Callable[[], Sequence[Boxes]], reach: float, stride: int
) -> Tensor:
    """A chain of 3 x 3 convolutions; without gradients on a CPU only around words, if that is less work.

    Args:
        features: (B, C, H, W).
        convs: as ``convolve_tiles`` takes them.
        boxes: gives those of the words of each image, in pixels.
        reach: pixels around a box that are looked at, too.
        stride: of the feature map, in pixels.

    Returns:
        (B, C', H, W), equal to the chain on the whole map within the reach of the words.
    """
    depends_on_batch = any(conv.training for conv in convs)
    if features.device.type == "cpu" and not (depends_on_batch or torch.is_grad_enabled()):
        needed = needed_tiles(boxes(), reach, stride, map_size(features))
        if worthwhile(needed, len(convs)):
            return convolve_tiles(features, convs, needed)
    for conv in convs:
        features = conv(features)
    return features


def convolve_tiles(features: Tensor, convs: Sequence[Conv2d], needed: Tensor) -> Tensor:
    """A chain of 3 x 3 convolutions of stride 1 and padding 1, in the needed tiles only.

    Args:
        features: (B, C, H, W).
        convs: with their normalisation, which must not depend on the batch, and activation.
        needed: (B, tile rows, tile columns) bool.

    Returns:
        (B, C', H, W), equal to the chain on the whole map inside the needed tiles, and zero elsewhere.
    """
    height, width = features.shape[-2:]
    rows, columns = needed.shape[1:]
    halo = len(convs)
    padding = (halo, columns * TILE - width + halo, halo, rows * TILE - height + halo)
    patches = _cut(F.pad(features, padding), halo, needed)
    # Each convolution pads with zeros what lies outside the map, also where an earlier one gave a value there.
    inside = _cut(F.pad(features.new_ones(len(features), 1, height, width), padding), halo, needed)
    for conv in convs:
        patches = F.conv2d(patches, conv.weight, conv.bias)
        patches = conv.norm(patches) if conv.norm is not None else patches
        patches = conv.activation(patches) if conv.activation is not None else patches
        inside = inside[..., 1:-1, 1:-1]
        patches = patches * inside
    result = patches.new_zeros(len(features), rows, columns, patches.shape[1], TILE, TILE)
    result[needed] = patches
    result = result.permute(0, 3, 1, 4, 2, 5).reshape(len(features), -1, rows * TILE, columns * TILE)
    return result[:, :, :height, :width]


def _cut(padded: Tensor, halo: int, needed: Tensor) -> Tensor:
    """(n, C, TILE + 2 halo, TILE + 2 halo) windows of a padded map around the needed tiles."""
    side = TILE + 2 * halo
    windows = padded.unfold(2, side, TILE).unfold(3, side, TILE)
    return windows.permute(0, 2, 3, 1, 4, 5)[needed]
