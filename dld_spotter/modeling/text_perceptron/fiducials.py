"""Fiducial points of words: F / 2 along the top and F / 2 along the bottom, both from the reading's start to its end.

Shapes: N words, F fiducial points, P points of an outline, K cells of a feature map.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from dld_spotter.modeling.text_perceptron.reading_order import OrderedOutlines

# Pixels of the network's input that the regression maps have for unit.
UNIT = 32.0
# Points of the outline that cells see up to so many pixels beside a fiducial point's place vote for it.
BAND = 10.0

LEFT, TOP, RIGHT, BOTTOM = range(4)  # channels of the offsets


class AreaCells(NamedTuple):
    """Cells of one kind of area of N words.

    Attributes:
        word: (K,) which word each belongs to.
        center: (K, 2) x and y of its centre, in pixels of the network's input.
        geometry: (K, 4) what the regression map of that kind says there, in units of 32 pixels.
    """

    word: Tensor
    center: Tensor
    geometry: Tensor


def ground_truth_fiducials(outlines: OrderedOutlines, number: int) -> Tensor:
    """(N, F, 2) points that divide each side of a true outline into pieces of equal length."""
    position = torch.arange(outlines.points.shape[1], device=outlines.points.device)
    last = outlines.last_top[:, None]
    top = position.minimum(last)
    bottom = (outlines.count[:, None] - 1 - position).maximum(last + 1)
    return torch.cat([_resample(outlines.points, side, number // 2) for side in (top, bottom)], dim=1)


def _resample(points: Tensor, index: Tensor, number: int) -> Tensor:
    """(N, number, 2) points at equal distances along the lines through ``points[index]`` (N, P)."""
    line = points.gather(1, index[..., None].expand(-1, -1, 2))
    lengths = (line[:, 1:] - line[:, :-1]).norm(dim=2)
    passed = torch.cat([lengths.new_zeros(len(lengths), 1), lengths.cumsum(dim=1)], dim=1)
    wanted = torch.linspace(0, 1, number, device=points.device) * passed[:, -1:]
    after = torch.searchsorted(passed, wanted.contiguous()).clamp(1, passed.shape[1] - 1)
    low, high = passed.gather(1, after - 1), passed.gather(1, after)
    share = ((wanted - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)[..., None]
    start = line.gather(1, (after - 1)[..., None].expand(-1, -1, 2))
    end = line.gather(1, after[..., None].expand(-1, -1, 2))
    return start + share * (end - start)


def predicted_fiducials(center: AreaCells, head: AreaCells, tail: AreaCells, words: int, number: int) -> Tensor:
    """Fiducial points from regression maps; differentiable with respect to them.

    The corners are what the cells of head and tail say on average. Between them each side is bisected: the middle of
    the chord moves across to where the centre's cells beside it put the outline, then each half is divided likewise. In
    a steep interval the cells say where left and right lie, else above and below. The authors' code moves the middle
    along the rows or columns of the image; at right angles to the chord, as here, slanted arcs are divided evenly.

    Args:
        center: cells with offsets: left, top, right, bottom, as cell minus outline.
        head: cells with corners: top left x and y, bottom left x and y, as cell minus corner.
        tail: likewise top right and bottom right.
        words: N.
        number: F.

    Returns:
        (N, F, 2) x and y in pixels.
    """
    corners = [
        mean_by_word(cells.center.repeat(1, 2) - UNIT * cells.geometry, cells.word, words) for cells in (head, tail)
    ]
    (top_left, bottom_left), (top_right, bottom_right) = (pair.split(2, dim=1) for pair in corners)
    # (K, 4): x of left, y of top, x of right, y of bottom.
    crossings = center.center.repeat(1, 2) - UNIT * center.geometry
    top = _bisect(top_left, top_right, center, crossings, number // 2)
    bottom = _bisect(bottom_right, bottom_left, center, crossings, number // 2)
    return torch.cat([top, bottom.flip(1)], dim=1)


def mean_by_word(values: Tensor, word: Tensor, words: int) -> Tensor:
    """(N, D) means of (K, D) values; zero of a word without a cell."""
    total = values.new_zeros(words, values.shape[1]).index_add(0, word, values)
    number = values.new_zeros(words).index_add(0, word, torch.ones_like(values[:, 0]))
    return total / number.clamp(min=1)[:, None]


def _bisect(start: Tensor, end: Tensor, cells: AreaCells, crossings: Tensor, number: int) -> Tensor:
    """(N, number, 2) points on the side that runs from ``start`` to ``end`` (N, 2), clockwise around the word."""
    points: list[Tensor] = [start] * number
    points[-1] = end
    interval = torch.full_like(cells.word, number - 1)  # first * number + last
    pending = [(0, number - 1)]
    while pending:
        first, last = pending.pop(0)
        if last - first < 2:
            continue
        middle = (first + last) // 2
        inside = interval == first * number + last
        share = (middle - first) / (last - first)
        points[middle], beyond = _divide(points[first], points[last], share, cells, crossings, inside)
        halves = torch.where(beyond, middle * number + last, first * number + middle)
        interval = torch.where(inside, halves, interval)
        pending += [(first, middle), (middle, last)]
    return torch.stack(points, dim=1)


def _divide(
    start: Tensor, end: Tensor, share: float, cells: AreaCells, crossings: Tensor, inside: Tensor
) -> tuple[Tensor, Tensor]:
    """The outline's point (N, 2) beside this share of the chord, and the cells (K,) that lie beyond it."""
    word = cells.word
    chord = end - start
    length = chord.square().sum(dim=1, keepdim=True).clamp(min=1e-6).sqrt()
    along = chord / length
    guess = start + share * chord
    steep = chord[:, 1].abs() > chord[:, 0].abs()
    forward = torch.where(steep, chord[:, 1], chord[:, 0]) > 0
    # Clockwise on screen: rightwards runs the top, downwards the right side, leftwards the bottom, upwards the left.
    channel = torch.where(steep, torch.where(forward, RIGHT, LEFT), torch.where(forward, TOP, BOTTOM))
    crossing = crossings.gather(1, channel[word, None])[:, 0]
    x, y = cells.center.unbind(dim=1)
    seen = torch.stack([torch.where(steep[word], crossing, x), torch.where(steep[word], y, crossing)], dim=1)
    away = seen - guess[word]
    ahead = (away * along[word]).sum(dim=1)
    aside = away[:, 1] * along[word, 0] - away[:, 0] * along[word, 1]
    reach = (min(share, 1 - share) * length[:, 0]).clamp(max=BAND)
    near = (inside & (ahead.abs() < reach[word])).to(crossings.dtype)
    votes = near.new_zeros(len(start)).index_add(0, word, near)
    mean = near.new_zeros(len(start)).index_add(0, word, near * aside) / votes.clamp(min=1)
    across = torch.stack([-along[:, 1], along[:, 0]], dim=1)
    return guess + mean[:, None] * across, ahead > 0
