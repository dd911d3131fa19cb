"""What the maps of MANGO should show, drawn on the device at the size that is trained.

Shapes: N words of one image, P points of an outline, H, W of the feature map, L character slots.
"""

from typing import NamedTuple

import torch
from detectron2.structures import Instances
from torch import Tensor
from torch.nn import functional as F

from dld_spotter.data.charset import NUM_SPECIAL
from dld_spotter.modeling.mango.cells import CentreLines, centre_lines
from dld_spotter.modeling.mango.grid import map_points
from dld_spotter.modeling.text_perceptron.reading_order import OrderedOutlines

# Half the diagonal of a map position, in positions: a line this thick touches a centre wherever it runs, and its
# positions join at their sides.
HALF_DIAGONAL = 0.7072
TRIMMED_POINTS = 8  # of the centre line of a thin word


class CharacterRegions(NamedTuple):
    """Where the characters of words are.

    Attributes:
        quads: (N, L, 4, 2) in pixels; after the last character of a word they are anything.
        count: (N,) characters of the word.
        known: (N,) bool, whether the word's characters have places.
    """

    quads: Tensor
    count: Tensor  # type: ignore[assignment]  # a tuple has a method of this name
    known: Tensor


def inside(outlines: Tensor, points: Tensor) -> Tensor:
    """(..., Q) bool: which of the points (Q, 2) lie inside outlines (..., P, 2), by the even-odd rule."""
    x, y = points.T
    result = torch.zeros(1, dtype=torch.bool, device=points.device)
    # Edge by edge: there are few, and all at once would take P times the memory of a map.
    for start, end in zip(outlines.unbind(-2), outlines.roll(-1, dims=-2).unbind(-2), strict=True):
        start_x, start_y, end_x, end_y = (part[..., None] for part in (*start.unbind(-1), *end.unbind(-1)))
        rise = end_y - start_y
        at_x = start_x + (y - start_y) * (end_x - start_x) / torch.where(rise == 0, 1.0, rise)
        result = result ^ (((start_y > y) != (end_y > y)) & (x < at_x))
    return result


def distance_to_line(lines: Tensor, points: Tensor) -> Tensor:
    """(N, Q): how far points (Q, 2) are from polylines (N, P, 2), in pixels."""
    nearest = torch.full((1, 1), torch.inf, device=points.device)
    for start, end in zip(lines[:, :-1].unbind(1), lines[:, 1:].unbind(1), strict=True):
        edge_x, edge_y = (end - start)[:, :, None].unbind(1)  # (N, 1)
        x, y = points[:, 0] - start[:, :1], points[:, 1] - start[:, 1:]  # (N, Q)
        share = ((x * edge_x + y * edge_y) / (edge_x**2 + edge_y**2).clamp(min=1e-12)).clamp(0, 1)
        nearest = torch.minimum(nearest, (x - share * edge_x) ** 2 + (y - share * edge_y) ** 2)
    return nearest.sqrt()


def shrink_offset(outlines: Tensor, shrink: float) -> Tensor:
    """(N,) pixels by which outlines (N, P, 2) are shrunk: area * (1 - shrink**2) / perimeter."""
    following = outlines.roll(-1, dims=1)
    relative, next_relative = outlines - outlines[:, :1], following - outlines[:, :1]
    cross = relative[..., 0] * next_relative[..., 1] - relative[..., 1] * next_relative[..., 0]
    perimeter = (following - outlines).norm(dim=2).sum(dim=1)
    return cross.sum(dim=1).abs() / 2 * (1 - shrink**2) / perimeter.clamp(min=1e-6)


@torch.no_grad()
def centre_line_target(
    outlines: OrderedOutlines, ignored: Tensor, size: tuple[int, int], stride: int, shrink: float
) -> tuple[Tensor, Tensor]:
    """The centre lines of the words of one image.

    A word's region is its outline shrunk inwards by ``shrink_offset``: the points inside that are no nearer to the
    outline. The centre line without its ends belongs to it, drawn as thick as one position: where the shrunk outline is
    thinner than the map can show it is all that there is, so that each word has a region, in one piece.

    Args:
        outlines: in pixels.
        ignored: (N,) bool, don't-care regions: no targets, and what lies inside does not count.
        size: H, W.
        stride: pixels a map position.
        shrink: of the outlines.

    Returns:
        (H, W) bool, the target; (H, W) bool, what counts.
    """
    edges = outlines.points
    points = map_points(size, stride, edges.device).flatten(0, 1)
    within = inside(edges, points)
    closed = torch.cat([edges, edges[:, :1]], dim=1)
    offset = shrink_offset(edges, shrink)
    shrunk = within & (distance_to_line(closed, points) >= offset[:, None])
    distance = distance_to_line(_trimmed(centre_lines(outlines), offset, stride), points)
    regions = (shrunk | (distance <= HALF_DIAGONAL * stride)) & ~ignored[:, None]
    counted = regions.any(dim=0) | ~(within & ignored[:, None]).any(dim=0)
    target = _separated(regions.unflatten(1, size), distance.unflatten(1, size))
    return target, counted.reshape(size)


def _separated(regions: Tensor, distance: Tensor) -> Tensor:
    """(H, W) bool: the union of words' regions, without positions at which two of them would join.

    Each position is its nearest word's. Of two neighbours that belong to different words the one that lies farther from
    its own word's centre line is left out.

    Args:
        regions: (N, H, W) bool.
        distance: (N, H, W) to the words' centre lines.
    """
    if len(regions) == 0:
        return regions.any(dim=0)
    nearest, word = torch.where(regions, distance, torch.inf).min(dim=0)
    kept = regions.any(dim=0)
    for axis in (0, 1):
        size = kept.shape[axis] - 1
        first, second = (slice(0, size), slice(1, size + 1))
        before, after = ((part, slice(None)) if axis == 0 else (slice(None), part) for part in (first, second))
        joins = kept[before] & kept[after] & (word[before] != word[after])
        nearer = nearest[before] <= nearest[after]
        dropped_before, dropped_after = joins & ~nearer, joins & nearer
        kept = kept.clone()
        kept[before] &= ~dropped_before
        kept[after] &= ~dropped_after
    return kept


def _trimmed(lines: CentreLines, offset: Tensor, stride: int) -> Tensor:
    """(N, points, 2): the centre lines without ``offset`` (N,) pixels at each end, at least half a map diagonal."""
    cut = (offset.clamp(min=HALF_DIAGONAL * stride) / lines.length.clamp(min=1e-6)).clamp(max=0.5)[:, None]
    share = torch.linspace(0, 1, TRIMMED_POINTS, device=offset.device)
    return lines.at(cut + share * (1 - 2 * cut))


def character_regions(words: Instances, lines: CentreLines, num_slots: int, slice_words: bool) -> CharacterRegions:
    """The places of the characters of words, from ``gt_characters`` where they have it.

    Args:
        words: with ``gt_text``.
        lines: of these words.
        num_slots: L.
        slice_words: words without boxes are cut into equal parts along their centre line.
    """
    count = (words.gt_text >= NUM_SPECIAL).sum(dim=1)
    quads = lines.top.new_full((len(words), num_slots, 4, 2), torch.nan)
    if words.has("gt_characters"):
        given = words.gt_characters.tensor[:, :num_slots]
        quads = F.pad(given, (0, 0, 0, 0, 0, num_slots - given.shape[1]), value=torch.nan)
    boxes = quads.isfinite().all(dim=3).all(dim=2).cumprod(dim=1).sum(dim=1)
    known = (boxes == count) & (count > 0) & (count < num_slots)
    if slice_words:
        quads = torch.where(known[:, None, None, None], quads, _slices(lines, count, num_slots))
        known = (count > 0) & (count < num_slots)
    return CharacterRegions(quads, count, known)


def _slices(lines: CentreLines, count: Tensor, num_slots: int) -> Tensor:
    """(N, L, 4, 2): words cut into ``count`` (N,) parts between points at equal shares of their long sides."""
    share = torch.arange(num_slots + 1, device=count.device, dtype=torch.float32) / count.clamp(min=1)[:, None]
    top, bottom = lines.at(share.clamp(max=1), 0.0), lines.at(share.clamp(max=1), 1.0)  # (N, L + 1, 2)
    return torch.stack([top[:, :-1], top[:, 1:], bottom[:, 1:], bottom[:, :-1]], dim=2)


@torch.no_grad()
def character_masks(regions: CharacterRegions, size: tuple[int, int], stride: int) -> tuple[Tensor, Tensor]:
    """The attention that words of one image should have.

    The slot after a word's last character is empty; later slots, and words without known characters, do not count. A
    character that holds no map position's centre has the position that its own middle lies in.

    Args:
        regions: of the characters of one image.
        size: H, W.
        stride: pixels a map position.

    Returns:
        (N, L, H, W) bool, the masks; (N, L) bool, which slots count.
    """
    quads, count, known = regions
    slot = torch.arange(quads.shape[1], device=count.device)
    filled = known[:, None] & (slot < count[:, None])
    quads = torch.where(filled[..., None, None], quads, 0.0)
    masks = inside(quads, map_points(size, stride, quads.device).flatten(0, 1))
    height, width = size
    column, row = (quads.mean(dim=2) / stride).long().unbind(dim=-1)
    middle = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1))[..., None]
    masks.scatter_(2, middle, masks.gather(2, middle) | ~masks.any(dim=2, keepdim=True))
    masks &= filled[..., None]
    return masks.unflatten(2, size), known[:, None] & (slot <= count[:, None])
