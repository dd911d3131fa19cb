"""The grid of cells over each image, and places on the feature map in terms of it.

The grid spans an image without its padding, and so do the coordinates that the attention heads see: both are the same
for the image in any batch, and for a copy of it at another scale. Shapes: B images, H, W of the feature map, S cells
a side of the grid.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class MapGeometry(NamedTuple):
    """What a feature map's positions are in each image.

    Attributes:
        position: (B, 2, H, W) x and y of the positions' centres; the image spans -1 to 1, and its padding lies beyond.
        valid: (B, H, W) bool, whether the centre lies in the image.
        extent: (B, 2) width and height of each image as shares of the padded frame.
    """

    position: Tensor
    valid: Tensor
    extent: Tensor


def map_geometry(
    map_size: tuple[int, int], image_sizes: Sequence[tuple[int, int]], stride: int, device: torch.device
) -> MapGeometry:
    """The geometry of feature maps of H, W positions, ``stride`` pixels each, of images of (height, width) pixels."""
    height, width = map_size
    sizes = torch.tensor(list(image_sizes), dtype=torch.float32, device="cpu").to(device, non_blocking=True)
    points = map_points((height, width), stride, device)  # (H, W, 2)
    wide_high = sizes.flip(1)
    share = points / wide_high[:, None, None]  # (B, H, W, 2)
    frame = torch.stack([wide_high[:, 0] / (width * stride), wide_high[:, 1] / (height * stride)], dim=1)
    return MapGeometry((2 * share - 1).permute(0, 3, 1, 2), (share < 1).all(dim=3), frame)


def map_points(size: tuple[int, int], stride: int, device: torch.device) -> Tensor:
    """(H, W, 2) x and y in pixels of the centres of a feature map's positions."""
    y, x = ((torch.arange(side, device=device, dtype=torch.float32) + 0.5) * stride for side in size)
    return torch.stack([x[None].expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=2)


def sample_at_cells(feature: Tensor, extent: Tensor, grid_size: int) -> Tensor:
    """(B, C, S, S): a feature map (B, C, H, W), bilinear at the centres of the cells.

    Of an image that fills the map it is ``F.interpolate(feature, (S, S), mode="bilinear")``.
    """
    share = (torch.arange(grid_size, device=feature.device, dtype=torch.float32) + 0.5) / grid_size
    x, y = share * extent[:, :1], share * extent[:, 1:]  # (B, S), shares of the padded frame
    places = torch.stack([x[:, None].expand(-1, grid_size, -1), y[:, :, None].expand(-1, -1, grid_size)], dim=3)
    places = (2 * places - 1).to(feature.dtype)
    return F.grid_sample(feature, places, mode="bilinear", padding_mode="border", align_corners=False)


def cell_positions(grid_size: int, like: Tensor) -> Tensor:
    """(B, 2, S, S): x and y of the cells' centres, in -1 to 1, for the images of ``like`` (B, ...)."""
    share = (torch.arange(grid_size, device=like.device, dtype=torch.float32) + 0.5) / grid_size * 2 - 1
    x, y = share[None].expand(grid_size, -1), share[:, None].expand(-1, grid_size)
    return torch.stack([x, y])[None].expand(len(like), -1, -1, -1).to(like.dtype)


def cell_of(points: Tensor, image_size: tuple[int, int], grid_size: int) -> Tensor:
    """(...) long: the cells, counted row by row, of points (..., 2) in pixels of an image of (height, width)."""
    height, width = image_size
    column = (points[..., 0] / width * grid_size).floor().clamp(0, grid_size - 1)
    row = (points[..., 1] / height * grid_size).floor().clamp(0, grid_size - 1)
    return (row * grid_size + column).long()
