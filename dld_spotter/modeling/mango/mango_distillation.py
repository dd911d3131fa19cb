"""What the maps of a MANGO teacher say of places, and how far its student's at another scale are from it.

The grid spans an image without its padding, so that its cells are those of any copy of the image.

Shapes: B images, H, W of the cells of the feature map that an image covers, S cells a side of the grid.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dld_spotter.modeling.dld.losses.output_losses import covered_cells, map_distance, resize_by_area


class PlaceOutputs(NamedTuple):
    """What the teacher says of one image.

    Attributes:
        centre_line: (H, W) probabilities, without padding.
        grid: (S * S,) probabilities.
        stride: pixels a cell of the feature map.
    """

    centre_line: Tensor
    grid: Tensor
    stride: int


def place_outputs(
    centre_line: Tensor, grid: Tensor, image_sizes: Sequence[tuple[int, int]], stride: int
) -> list[PlaceOutputs]:
    """What logits (B, ...) of the centre lines and of the grid (B, S * S) say of each image."""
    outputs = []
    for line, cells, image_size in zip(centre_line, grid, image_sizes, strict=True):
        rows, columns = covered_cells(image_size, stride)
        outputs.append(PlaceOutputs(line[:rows, :columns].float().sigmoid(), cells.float().sigmoid(), stride))
    return outputs


def place_distances(
    centre_line: Tensor,
    grid: Tensor,
    image_sizes: Sequence[tuple[int, int]],
    stride: int,
    factors: tuple[float, float],
    taught: Sequence[PlaceOutputs],
) -> dict[str, Tensor]:
    """See ``DetectionOutputSpotter.detection_distances``.

    Args:
        centre_line: (B, ...) logits of the student.
        grid: (B, S * S) logits of the student.
        image_sizes: of the student's images.
        stride: pixels a cell of the feature map.
        factors: on height and width, from the teacher's images.
        taught: what the teacher says.
    """
    logits, wanted = [], []
    for line, image_size, given in zip(centre_line, image_sizes, taught, strict=True):
        size = covered_cells(image_size, stride)
        on_map = factors[0] * given.stride / stride, factors[1] * given.stride / stride
        logits.append(line[: size[0], : size[1]].flatten())
        wanted.append(resize_by_area(given.centre_line[None], size, on_map).flatten())
    return {
        "centre_line": map_distance(torch.cat(logits), torch.cat(wanted)),
        "grid": map_distance(grid, torch.stack([given.grid for given in taught])),
    }
