"""Which cells of the grid belong to which word.

A word's strip is its centre line, a fifth as thick as the word's shorter end. A cell is active where the middle fifth
of some word's strip passes through it. It belongs to the word whose whole strip covers it most, which is also how
predicted cells are given to predicted words (``post_processing``). A word that so gets none takes the cell that it
covers best among those which no other word covers more. What is left are words whose every cell another word covers
more: they have no cell, and are not read.

Shapes: N words of one image, P points of an outline, S cells a side of the grid, M cells kept a word.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from dld_spotter.modeling.mango.grid import cell_of
from dld_spotter.modeling.text_perceptron.reading_order import OrderedOutlines

MIDDLE = (0.4, 0.6)  # shares of the centre line's length
THICKNESS = 0.2  # of the word's shorter end
ALONG = 320  # samples along a strip: less than half a cell apart on any grid of up to 80 cells
ACROSS = 5
LENGTH_POINTS = 20  # by which a centre line is measured


class CellOwners(NamedTuple):
    """The cells of each word.

    Attributes:
        owned: (N, S * S) bool; a cell has one owner at most.
        overlap: (N, S * S) square pixels of the word's strip in the cell.
    """

    owned: Tensor
    overlap: Tensor


class CentreLines(NamedTuple):
    """The long sides of words and what lies between them.

    Attributes:
        top, bottom: (N, P, 2), in reading direction.
        length: (N,) of the centre line.
        thickness: (N,) of the shorter end.
    """

    top: Tensor
    bottom: Tensor
    length: Tensor
    thickness: Tensor

    def at(self, share: Tensor, across: float = 0.5) -> Tensor:
        """(N, T, 2) points at shares (T,) or (N, T) along, and a share across from the top to the bottom."""
        return along(self.top, share) * (1 - across) + along(self.bottom, share) * across


def centre_lines(outlines: OrderedOutlines) -> CentreLines:
    """The centre lines of outlines."""
    points, last = outlines.points, outlines.last_top[:, None]
    position = torch.arange(points.shape[1], device=points.device)
    top = _take(points, position.minimum(last))
    bottom = _take(points, (outlines.count[:, None] - 1 - position).maximum(last + 1))
    share = torch.linspace(0, 1, LENGTH_POINTS, device=points.device)
    middle = (along(top, share) + along(bottom, share)) / 2
    ends = torch.stack([(top[:, 0] - bottom[:, 0]).norm(dim=1), (top[:, -1] - bottom[:, -1]).norm(dim=1)])
    length = (middle[:, 1:] - middle[:, :-1]).norm(dim=2).sum(dim=1)
    return CentreLines(top, bottom, length, ends.amin(dim=0))


def along(line: Tensor, share: Tensor) -> Tensor:
    """Points at shares of the length of polylines.

    Args:
        line: (N, P, 2); points may repeat.
        share: (N, T) or (T,) in [0, 1]: 0 is the first point, 1 the last.

    Returns:
        (N, T, 2).
    """
    lengths = (line[:, 1:] - line[:, :-1]).norm(dim=2)
    passed = F.pad(lengths.cumsum(dim=1), (1, 0))  # (N, P), at each point
    wanted = (share.expand(len(line), -1) * passed[:, -1:]).contiguous()
    after = torch.searchsorted(passed, wanted).clamp(1, line.shape[1] - 1)
    low, high = passed.gather(1, after - 1), passed.gather(1, after)
    inside = ((wanted - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)[..., None]
    return _take(line, after - 1) * (1 - inside) + _take(line, after) * inside


def _take(points: Tensor, index: Tensor) -> Tensor:
    """(N, T, 2) points of (N, P, 2) by an (N, T) index."""
    return points.gather(1, index[..., None].expand(-1, -1, 2))


@torch.no_grad()
def assign_cells(lines: CentreLines, ignored: Tensor, image_size: tuple[int, int], grid_size: int) -> CellOwners:
    """The cells of the words of one image.

    Args:
        lines: in pixels.
        ignored: (N,) bool, don't-care regions, which get no cell.
        image_size: height and width in pixels, without padding.
        grid_size: S.
    """
    words, device = len(lines.length), lines.length.device
    cells = cell_of(_strips(lines), image_size, grid_size)  # (N, ACROSS, ALONG)
    area = lines.length * lines.thickness * (THICKNESS / (ACROSS * ALONG))
    area = area.clamp(min=1e-6) * ~ignored
    overlap = torch.zeros(words, grid_size**2, device=device)
    overlap.scatter_add_(1, cells.flatten(1), area[:, None].expand(-1, ACROSS * ALONG))
    start, end = (round(share * ALONG) for share in MIDDLE)
    active = torch.zeros(words, grid_size**2, dtype=torch.bool, device=device)
    active.scatter_(1, cells[..., start:end].flatten(1), True)
    active = (active & ~ignored[:, None]).any(dim=0)

    covers_most = (overlap > 0) & (overlap == overlap.amax(dim=0)) if words else overlap > 0
    covers_most &= covers_most.cumsum(dim=0) == 1  # of equals the first
    owned = covers_most & active
    spare = torch.where(covers_most, overlap, 0.0)
    best_spare = covers_most & (spare == spare.amax(dim=1, keepdim=True))
    best_spare &= best_spare.cumsum(dim=1) == 1
    return CellOwners(owned | (best_spare & ~owned.any(dim=1, keepdim=True)), overlap)


def _strips(lines: CentreLines) -> Tensor:
    """(N, ACROSS, ALONG, 2) points that fill the words' strips evenly."""
    device = lines.length.device
    share = (torch.arange(ALONG, device=device, dtype=torch.float32) + 0.5) / ALONG
    across = 0.5 + THICKNESS * ((torch.arange(ACROSS, device=device, dtype=torch.float32) + 0.5) / ACROSS - 0.5)
    top, bottom = along(lines.top, share)[:, None], along(lines.bottom, share)[:, None]
    return top + (bottom - top) * across[:, None, None]


@torch.no_grad()
def choose_cells(owners: CellOwners, number: int, draw: bool) -> tuple[Tensor, Tensor]:
    """The cells of each word that are read.

    Args:
        owners: which cells each word has.
        number: M.
        draw: at random; else those that the word covers most.

    Returns:
        (N, M) cells; (N, M) weights: equal for the word's cells, of which they add up to 1, and 0 where it has fewer
        than M.
    """
    score = torch.rand_like(owners.overlap) if draw else owners.overlap
    score = torch.where(owners.owned, score, -1.0)
    best, cells = score.topk(min(number, score.shape[1]), dim=1)
    counted = (best >= 0).float()
    return cells, counted / counted.sum(dim=1, keepdim=True).clamp(min=1)
