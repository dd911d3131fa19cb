"""What the order-aware segmentation head should say: areas of words, and from each cell the way to the outline.

The cell in row h and column w of the feature map stands for its centre, (w + 1/2, h + 1/2) times the stride. All is
computed from the outlines at that place, not from a drawn canvas, for all words of a batch at once and on their device;
of a GPU only the number of cells to look at is asked. What is drawn is that of Text Perceptron's code, but for measures
that do not depend on how densely an outline is annotated, and a cell's geometry, which is that of one word.

Shapes: B images, H and W of the feature map, N words, P points of an outline, M pairs of a word and a cell near it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances
from torch import Tensor

from dld_spotter.modeling.text_perceptron.fiducials import UNIT, AreaCells
from dld_spotter.modeling.text_perceptron.reading_order import OrderedOutlines, order_outlines
from dld_spotter.structures import WordPolygons

BACKGROUND, CENTER, HEAD, TAIL, BOUNDARY = range(5)

_LEAST_SIDE = 12.0  # pixels: a shorter side counts as this long where the ends are measured


class TargetMaps(NamedTuple):
    """Targets of a batch.

    Attributes:
        areas: (B, H, W) long: background, centre, head, tail or boundary.
        counted: (B, H, W) bool: where segmentation counts.
        geometry: (B, 4, H, W) in units of 32 pixels. In centre cells: cell minus outline to the left, above, to the
            right, below. In head cells: cell minus top left corner, x and y, and minus bottom left corner. In tail
            cells likewise with the right corners. Zero elsewhere.
        word: (B, H, W) long: index of the word in the batch, -1 in the background.
    """

    areas: Tensor
    counted: Tensor
    geometry: Tensor
    word: Tensor

    def cells(self, area: int, geometry: Tensor, stride: int) -> AreaCells:
        """The cells of one kind of area, with what a map (B, 4, H, W) says there. Asks the device how many."""
        image, row, column = (self.areas == area).nonzero().unbind(dim=1)
        center = (torch.stack([column, row], dim=1) + 0.5) * stride
        return AreaCells(self.word[image, row, column], center, geometry[image, :, row, column])


@dataclass(frozen=True)
class TargetMaker:
    """Draws the targets of a batch. The defaults are the authors', but for the least pixels.

    Attributes:
        ordered_points, vertical_ratio: see ``order_outlines``.
        end_ratio, min_end_length: length of the strips at a word's ends: share of its shortest side (the authors have
            0.35 for CTW1500), least pixels (they have 3; below the stride of 4 some strips have no cell).
        boundary_ratio, boundary_thickness: likewise the thickness of the boundary, with both limits (for CTW1500 0.15;
            they have 3 pixels at least; thinner than the stride of 4, the boundary has gaps). Half of it lies within
            the word. What the least thickness adds lies beyond it, where the authors' lies half within: a word that is
            two cells high would keep no centre, and without one it cannot be found.
        background_ratio: rho of ``keep_background``.
    """

    ordered_points: tuple[int, ...] = (10, 14)
    vertical_ratio: float = 1.5
    end_ratio: float = 0.25
    min_end_length: float = 4.0
    boundary_ratio: float = 0.09
    boundary_thickness: tuple[float, float] = (4.0, 12.0)
    background_ratio: float = 0.6

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "TargetMaker":
        return cls(tuple(cfg.INPUT.TEXT.ORDERED_POINTS), cfg.MODEL.ROI_TEXT_HEAD.VERTICAL_RATIO)

    def order(self, polygons: Tensor) -> OrderedOutlines:
        """Outlines (N, P, 2) from the start of the reading on."""
        return order_outlines(polygons, self.ordered_points, self.vertical_ratio)

    @torch.no_grad()
    def __call__(self, targets: Sequence[Instances], size: tuple[int, int], stride: int) -> TargetMaps:
        """Targets on a feature map of H, W = ``size`` cells of ``stride`` pixels.

        Words marked ``gt_ignore`` and words whose ends cannot be told count neither for nor against the segmentation.
        A cell in several words belongs to the last of them.
        """
        polygons = WordPolygons.cat([words.gt_masks for words in targets])
        device = polygons.device
        counts = torch.tensor([len(words) for words in targets], device="cpu")
        image = torch.repeat_interleave(torch.arange(len(targets), device="cpu"), counts).to(device)
        outlines = self.order(polygons.tensor)
        ignored = torch.cat([words.gt_ignore for words in targets]) | ~outlines.usable

        end_length, reach = self._measure(outlines)
        word, row, column = _cells_nearby(outlines.points, reach[:, 0], size, stride)
        place = (torch.stack([column, row], dim=1) + 0.5) * stride
        inside, offsets = _scan(outlines.points[word], place)
        area, geometry = _describe(outlines, word, place, inside, offsets, end_length, reach)
        cell = (image[word] * size[0] + row) * size[1] + column

        shape = (len(targets), *size)
        hidden = _last_pair(cell, inside & ignored[word], shape) >= 0
        pair = _last_pair(cell, (area != BACKGROUND) & ~ignored[word], shape)
        areas = _with_none(area, BACKGROUND)[pair]
        return TargetMaps(
            areas,
            ~hidden & keep_background(areas, self.background_ratio),
            _with_none(geometry, 0.0)[pair].permute(0, 3, 1, 2),
            _with_none(word, -1)[pair],
        )

    def _measure(self, outlines: OrderedOutlines) -> tuple[Tensor, Tensor]:
        """Pixels: (N,) length of the strips at the ends; (N, 2) how far a boundary reaches beyond and within."""
        sides = (outlines.points.roll(-1, dims=1) - outlines.points).norm(dim=2)
        top, bottom = _chains(outlines)
        corners = outlines.corners()
        shortest = torch.stack(
            [
                (sides * top).sum(dim=1),
                (sides * bottom).sum(dim=1),
                (corners[:, 0] - corners[:, 3]).norm(dim=1),
                (corners[:, 1] - corners[:, 2]).norm(dim=1),
            ]
        ).amin(dim=0)
        end_length = (self.end_ratio * shortest.clamp(min=_LEAST_SIDE)).clamp(min=self.min_end_length)
        least, most = self.boundary_thickness
        thickness = (self.boundary_ratio * shortest).clamp(max=most)
        return end_length, torch.stack([thickness.clamp(min=least) - thickness / 2, thickness / 2], dim=1)


def keep_background(areas: Tensor, ratio: float) -> Tensor:
    """(B, H, W) bool: all cells of words, and a random part of each image's background.

    With n background and m word cells, (1 - ratio) n + m background cells are kept on average, at most all.

    Args:
        areas: (B, H, W).
        ratio: rho.
    """
    background = areas == BACKGROUND
    number = background.flatten(1).float().sum(dim=1)
    words = areas[0].numel() - number
    left_out = ((ratio * number - words) / number.clamp(min=1))[:, None, None]
    return ~background | (torch.rand(areas.shape, device=areas.device) >= left_out)


def _chains(outlines: OrderedOutlines) -> tuple[Tensor, Tensor]:
    """(N, P) bool each: the edges, by the point that they start from, along the top and along the bottom."""
    position = torch.arange(outlines.points.shape[1], device=outlines.points.device)
    last = outlines.last_top[:, None]
    return position < last, (position > last) & (position < outlines.count[:, None] - 1)


def _cells_nearby(points: Tensor, margin: Tensor, size: tuple[int, int], stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """(M,) word, row and column of the cells in each word's box, which is larger by a margin (N,) in pixels."""
    limit = torch.tensor((size[1], size[0]), device=points.device)
    first = ((points.amin(dim=1) - margin[:, None]) / stride - 0.5).ceil().clamp(min=0).long()
    last = ((points.amax(dim=1) + margin[:, None]) / stride - 0.5).floor().long().minimum(limit - 1)
    columns, rows = (last - first + 1).clamp(min=0).unbind(dim=1)
    number = columns * rows
    word = torch.repeat_interleave(torch.arange(len(points), device=points.device), number)
    position = torch.arange(len(word), device=points.device) - (number.cumsum(dim=0) - number)[word]
    return word, first[word, 1] + position // columns[word], first[word, 0] + position % columns[word]


def _scan(points: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Whether places (M, 2) lie inside outlines (M, P, 2), and how far from the outline along their row and column.

    Returns:
        (M,) bool (even-odd rule); (M, 4) pixels: place minus outline to the left, above, to the right, below.
    """
    start, end = points, points.roll(-1, dims=1)
    reached, rays = [], []
    for axis in (0, 1):  # along the row, along the column
        own, across = place[:, None, axis], place[:, None, 1 - axis]
        rise = end[..., 1 - axis] - start[..., 1 - axis]
        crosses = (start[..., 1 - axis] > across) != (end[..., 1 - axis] > across)
        along = (end[..., axis] - start[..., axis]) / torch.where(rise == 0, 1.0, rise)
        crossing = start[..., axis] + (across - start[..., 1 - axis]) * along
        before = crosses & (crossing <= own)
        after = crosses & (crossing > own)
        rays.append(after)
        reached.append(crossing.masked_fill(~before, -torch.inf).amax(dim=1))
        reached.append(crossing.masked_fill(~after, torch.inf).amin(dim=1))
    left, right, top, bottom = reached
    offsets = place.repeat(1, 2) - torch.stack([left, top, right, bottom], dim=1)
    inside = rays[0].sum(dim=1) % 2 == 1
    return inside, torch.where(torch.isfinite(offsets), offsets, 0.0)


def _describe(
    outlines: OrderedOutlines,
    word: Tensor,
    place: Tensor,
    inside: Tensor,
    offsets: Tensor,
    end_length: Tensor,
    reach: Tensor,
) -> tuple[Tensor, Tensor]:
    """Area (M,) and geometry (M, 4) of each pair, as its own word has it: centre under ends under boundary.

    ``end_length`` and ``reach`` are those of ``TargetMaker._measure``, ``inside`` and ``offsets`` those of ``_scan``.
    """
    corners = outlines.corners()
    top_left, top_right, bottom_right, bottom_left = corners.unbind(dim=1)
    area = torch.where(inside, CENTER, BACKGROUND)
    geometry = offsets * inside[:, None]
    for kind, strip, ends in (
        (HEAD, _head_strip(outlines, end_length), torch.cat([top_left, bottom_left], dim=1)),
        (TAIL, _tail_strip(outlines, end_length), torch.cat([top_right, bottom_right], dim=1)),
    ):
        in_strip = _scan(strip[word], place)[0]
        area = torch.where(in_strip, kind, area)
        geometry = torch.where(in_strip[:, None], place.repeat(1, 2) - ends[word], geometry)
    on_boundary = _distance(outlines, word, place) <= reach[word, inside.long()]
    area = torch.where(on_boundary, BOUNDARY, area)
    return area, torch.where(on_boundary[:, None], 0.0, geometry) / UNIT


def _head_strip(outlines: OrderedOutlines, length: Tensor) -> Tensor:
    """(N, 4, 2) quadrilateral at the start of each word, ``length`` (N,) pixels along both sides."""
    top_left, _, _, bottom_left = outlines.corners().unbind(dim=1)
    along_top = _unit(outlines.points[:, 1] - top_left)
    along_bottom = _unit(_point(outlines, outlines.count - 2) - bottom_left)
    length = length[:, None]
    return torch.stack([top_left, top_left + length * along_top, bottom_left + length * along_bottom, bottom_left], 1)


def _tail_strip(outlines: OrderedOutlines, length: Tensor) -> Tensor:
    """Likewise at the end of each word."""
    _, top_right, bottom_right, _ = outlines.corners().unbind(dim=1)
    along_top = _unit(top_right - _point(outlines, outlines.last_top - 1))
    along_bottom = _unit(bottom_right - _point(outlines, outlines.last_top + 2))
    length = length[:, None]
    return torch.stack(
        [top_right - length * along_top, top_right, bottom_right, bottom_right - length * along_bottom], 1
    )


def _distance(outlines: OrderedOutlines, word: Tensor, place: Tensor) -> Tensor:
    """(M,) pixels from places to the top or bottom of their words, whichever is nearer."""
    top, bottom = _chains(outlines)
    start, edge = outlines.points, outlines.points.roll(-1, dims=1) - outlines.points
    square = (edge * edge).sum(dim=2)
    from_start = place[:, None] - start[word]
    share = ((from_start * edge[word]).sum(dim=2) / square.clamp(min=1e-6)[word]).clamp(0, 1)
    squared = (from_start - share[..., None] * edge[word]).square().sum(dim=2)
    return squared.masked_fill(~(top | bottom)[word], torch.inf).amin(dim=1).sqrt()


def _point(outlines: OrderedOutlines, index: Tensor) -> Tensor:
    """(N, 2) points by their index (N,)."""
    return outlines.points[torch.arange(len(index), device=index.device), index]


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-6)


def _last_pair(cell: Tensor, taken: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Of each cell of a map the last pair that takes it, -1 without one.

    Args:
        cell: (M,) index into the flattened map.
        taken: (M,) bool.
        shape: B, H, W.
    """
    pair = torch.where(taken, torch.arange(len(cell), device=cell.device), -1)
    nobody = pair.new_full((shape[0] * shape[1] * shape[2],), -1)
    return nobody.scatter_reduce(0, cell, pair, "amax").view(shape)


def _with_none(values: Tensor, none: float) -> Tensor:
    """Values of the pairs, and one more at the end, which index -1 means."""
    return torch.cat([values, values.new_full((1, *values.shape[1:]), none)])
