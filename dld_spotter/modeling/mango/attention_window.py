"""A Gaussian window in front of each character slot, placed relative to the cell that reads.

Not part of the published method, whose kernels are linear in the features and in x and y: it takes long until such a
function is high at one place of an image only (SOLOv2, whose dynamic convolution it is, trains for 36 epochs of COCO).
The logarithm of a Gaussian around a place is the simplest function of x and y that is.

Shapes: H, W of the feature map, S cells a side of the grid.
"""

import math
from contextlib import nullcontext

import torch
from torch import Tensor

# Of a slot: the middle's x and y from the cell's centre, in cells; logarithms of the steepness along x and y, and the
# slant, in 1 / cells; the logit in the middle.
WINDOW_NUMBERS = 6
FIRST_DEVIATION = 2.0  # cells: wide enough to reach the ends of most words
STEEPEST = 4.0


def initial_window() -> Tensor:
    """(6,): round, over the cell itself."""
    steepness = -math.log(FIRST_DEVIATION)
    return torch.tensor([0.0, 0.0, steepness, steepness, 0.0, 0.0])


def window_logits(window: Tensor, cells: Tensor, grid_size: int, position: Tensor) -> Tensor:
    """h - |U (p - m)|**2 / 2 at each position p, with m the middle, U = [[a, s], [0, c]] and h the middle's logit.

    Args:
        window: (..., L, 6): middle x, y; log a, log c; s; h.
        cells: (...) counted row by row.
        grid_size: S.
        position: (2, H, W) x and y of the map's positions; the image spans -1 to 1.

    Returns:
        (..., L, H, W) float32.
    """
    device = window.device.type
    # Differences of large numbers, for which float16 is too coarse. (Where only sizes are known there is no autocast.)
    with nullcontext() if device == "meta" else torch.autocast(device, enabled=False):
        x, y = position.float().flatten(1) * (grid_size / 2)  # in cells, from the image's middle
        shapes = torch.stack([x * x, x * y, y * y, x, y, torch.ones_like(x)])
        logits = _coefficients(window.float(), cells, grid_size) @ shapes
    return logits.unflatten(-1, position.shape[1:])


def _coefficients(window: Tensor, cells: Tensor, grid_size: int) -> Tensor:
    """(..., L, 6) of x**2, xy, y**2, x, y and 1 in the window's logits: one matrix product makes all maps of them."""
    middle_x, middle_y = _middles(window, cells, grid_size).unbind(-1)
    steep_x, steep_y = window[..., 2:4].clamp(-STEEPEST, STEEPEST).exp().unbind(-1)
    slant, height = window[..., 4:].unbind(-1)
    shift_x, shift_y = steep_x * middle_x + slant * middle_y, steep_y * middle_y
    squares = [
        steep_x**2,
        2 * steep_x * slant,
        slant**2 + steep_y**2,
        -2 * steep_x * shift_x,
        -2 * (slant * shift_x + steep_y * shift_y),
        shift_x**2 + shift_y**2 - 2 * height,
    ]
    return torch.stack(squares, dim=-1) / -2


def _middles(window: Tensor, cells: Tensor, grid_size: int) -> Tensor:
    """(..., L, 2) x and y of the windows' middles, in cells from the image's middle."""
    own = torch.stack([cells % grid_size, cells // grid_size], dim=-1) + (0.5 - grid_size / 2)
    return window[..., :2] + own[..., None, :]


def places_of(points: Tensor, position: Tensor, stride: int) -> Tensor:
    """(..., 2): where points (..., 2) in pixels are in the image, which spans -1 to 1.

    ``position`` is (2, H, W), of the positions of a map, ``stride`` pixels each; H and W are 2 at least.
    """
    first, last = position[:, 0, 0], position[:, -1, -1]
    height, width = position.shape[1:]
    per_pixel = torch.stack([(last - first)[0] / (width - 1), (last - first)[1] / (height - 1)]) / stride
    return first + (points - stride / 2) * per_pixel


def window_sums(window: Tensor, cells: Tensor, grid_size: int, places: Tensor, counted: Tensor) -> Tensor:
    """The distances of windows' middles from where they should be, along x and y, so that parts of a batch add up.

    Args:
        window: as ``window_logits`` takes them.
        cells: likewise.
        grid_size: likewise.
        places: (..., L, 2) in the image, which spans -1 to 1.
        counted: (..., L) bool.

    Returns:
        (2,) float32: the sum of the distances in cells, and how many windows count.
    """
    distance = (_middles(window.float(), cells, grid_size) - places * (grid_size / 2)).abs().sum(dim=-1)
    return torch.stack([torch.where(counted, distance, 0.0).sum(), counted.sum().float()])
