"""Where a word begins and ends: its outline, turned so that it starts at the reading's start.

Shapes: N words, P points at most.
"""

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class OrderedOutlines(NamedTuple):
    """Outlines clockwise on screen from the start of the reading.

    Points 0 to ``last_top`` run along the top from the start to the end, the others back along the bottom. Top and
    bottom are the word's own: of one read downwards the top is its right side.

    Attributes:
        points: (N, P, 2) x and y; the last point repeated after ``count``.
        count: (N,) number of points.
        last_top: (N,) index of the last point of the top.
        usable: (N,) bool; without, an outline has no recognisable ends, and its bounding box stands here.
    """

    points: Tensor
    count: Tensor  # type: ignore[assignment]  # a tuple has a method of this name
    last_top: Tensor
    usable: Tensor

    def corners(self) -> Tensor:
        """(N, 4, 2): top left, top right, bottom right, bottom left as the word is read."""
        index = torch.stack([torch.zeros_like(self.count), self.last_top, self.last_top + 1, self.count - 1], dim=1)
        return _take(self.points, index)


def order_outlines(polygons: Tensor, ordered_points: Collection[int], vertical_ratio: float) -> OrderedOutlines:
    """Find the two ends of each word.

    Quadrilaterals begin with their first point, unless they are taller than ``vertical_ratio`` times their width: these
    are read downwards. Outlines with one of ``ordered_points`` points are known to begin at the start. Of others, the
    end edges are the two that do not touch each other whose interior angles come nearest to 180 degrees together
    (Text Perceptron's rule); the one with the lower index is the start.

    Args:
        polygons: (N, P, 2) clockwise on screen; repeated points count once.
        ordered_points: even numbers.
        vertical_ratio: of height to width.
    """
    points, count = _without_repetitions(polygons)
    start, after_top, found = _end_edges(points, count)
    known = count == 4
    for number in ordered_points:
        known = known | (count == number)
    start = torch.where(known, 0, start)
    after_top = torch.where(known, count // 2, after_top)
    usable = (known | found) & torch.isfinite(points).all(dim=2).all(dim=1)

    low, high = points.nan_to_num().amin(dim=1), points.nan_to_num().amax(dim=1)
    box = torch.stack(
        [low, torch.stack([high[:, 0], low[:, 1]], 1), high, torch.stack([low[:, 0], high[:, 1]], 1)], dim=1
    )
    box = F.pad(box.transpose(1, 2), (0, max(0, points.shape[1] - 4)), mode="replicate").transpose(1, 2)
    points = F.pad(points.transpose(1, 2), (0, max(0, 4 - points.shape[1])), mode="replicate").transpose(1, 2)
    points = torch.where(usable[:, None, None], points, box)
    count = torch.where(usable, count, 4)
    start = torch.where(usable, start, 0)
    after_top = torch.where(usable, after_top, 2)

    tall = (count == 4) & _is_tall(points, vertical_ratio)
    start = torch.where(tall, 1, start)
    after_top = torch.where(tall, 3, after_top)
    steps = torch.arange(points.shape[1], device=points.device).minimum((count - 1)[:, None])
    turned = _take(points, (start[:, None] + steps) % count[:, None])
    return OrderedOutlines(turned, count, after_top - start - 1, usable)


def _without_repetitions(polygons: Tensor) -> tuple[Tensor, Tensor]:
    """(N, P, 2) distinct points in front, the last repeated behind them, and (N,) how many they are."""
    kept = (polygons != polygons.roll(1, dims=1)).any(dim=2)
    kept[:, 0] = True
    points = _take(polygons, (~kept).to(torch.uint8).argsort(dim=1, stable=True))
    count = kept.sum(dim=1)
    last = _take(points, (count - 1)[:, None])[:, 0]
    count = count - ((last == points[:, 0]).all(dim=1) & (count > 1)).long()  # an outline closed by its first point
    index = torch.arange(polygons.shape[1], device=polygons.device).minimum((count - 1)[:, None])
    return _take(points, index), count


def _end_edges(points: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices (N,) of the points that end the two end edges, the lower first, and whether there are two."""
    position = torch.arange(points.shape[1], device=points.device).expand(points.shape[:2])
    exists = position < count[:, None]
    before = _take(points, (position - 1) % count[:, None]) - points
    after = _take(points, (position + 1) % count[:, None]) - points
    cross = after[..., 0] * before[..., 1] - after[..., 1] * before[..., 0]
    angle = torch.atan2(cross, (after * before).sum(dim=2)).rad2deg() % 360
    angle_before = angle.gather(1, (position - 1) % count[:, None])
    score = (angle + angle_before - 180).abs().masked_fill(~exists, torch.inf)  # of the edge that ends here
    best = score.argmin(dim=1, keepdim=True)
    apart = (position - best).abs()
    touching = (apart <= 1) | (apart == count[:, None] - 1)
    other, second = score.masked_fill(touching, torch.inf).min(dim=1)
    return best[:, 0].minimum(second), best[:, 0].maximum(second), torch.isfinite(other)


def _is_tall(points: Tensor, ratio: float) -> Tensor:
    """(N,) bool: quadrilaterals whose second and fourth side are longer than this many times the others."""
    corners = points[:, :4]
    sides = (corners.roll(-1, dims=1) - corners).norm(dim=2)
    return sides[:, 1] + sides[:, 3] > ratio * (sides[:, 0] + sides[:, 2])


def _take(points: Tensor, index: Tensor) -> Tensor:
    """(N, K, 2) points of (N, P, 2) by an (N, K) index."""
    return points.gather(1, index[..., None].expand(-1, -1, 2))
