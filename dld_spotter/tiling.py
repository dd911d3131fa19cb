"""Reading a large image in overlapping tiles, where the network's size would make its words too small."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import shapely

from dld_spotter.batching import each_or_error
from dld_spotter.results import TextResult, Word, in_reading_order

SHRUNK_FROM = 2.0  # times smaller than without the limit of the longer side
LARGE_FROM = 9.0  # times larger than the network sees it: beyond photos of 50 million pixels
_LARGE_TO = 3.0  # times smaller than they are, as which a large image's tiles are seen
_LEAST_OVERLAP, _MOST_OVERLAP = 0.25, 0.5  # of a tile
_FILLED = 0.5  # of the area of a long word, from which shorter ones in it are what there is
_ROUNDING = 1e-6  # of a mean of scores
_SAME = 0.5  # of the smaller word's area, from which two words of different tiles are one
_AT_THE_EDGE = 0.01  # of a tile's length from its cut, within which a word may go on behind it


@dataclass(frozen=True)
class Cuts:
    """Where tiles of one length lie along one side of an image.

    Attributes:
        starts: where each begins, in ascending pixels.
        length: of each.
    """

    starts: tuple[int, ...]
    length: int

    @classmethod
    def whole(cls, side: int) -> Cuts:
        """One tile that reaches across the side."""
        return cls((0,), side)

    @classmethod
    def plan(cls, side: int, length: int, overlap: int) -> Cuts:
        """Tiles of a length at even distances, so that neighbours share an overlap at least, within a pixel."""
        if length >= side:
            return cls.whole(side)
        number = -(-(side - overlap) // (length - overlap))
        return cls(tuple(np.linspace(0, side - length, number).round().astype(int).tolist()), length)

    @property
    def overlap(self) -> float:
        """Pixels that neighbours share at least: what is no longer lies whole in some tile."""
        steps = [b - a for a, b in zip(self.starts, self.starts[1:], strict=False)]
        return self.length - max(steps) if steps else float("inf")

    @property
    def margin(self) -> float:
        """Pixels from a cut within which a word may go on behind it."""
        return _AT_THE_EDGE * self.length

    def is_cut(self, index: int, first: float, last: float) -> bool:
        """Whether what reaches from first to last, in pixels of a tile, touches a side at which the image goes on."""
        after = index < len(self.starts) - 1
        return (index > 0 and first <= self.margin) or (after and last >= self.length - self.margin)


@dataclass(frozen=True)
class Tiling:
    """Tiles of one size in columns and rows, numbered row by row.

    Attributes:
        across: where the columns lie.
        down: where the rows lie.
    """

    across: Cuts
    down: Cuts

    def __len__(self) -> int:
        return len(self.across.starts) * len(self.down.starts)

    @property
    def overlaps(self) -> tuple[float, float]:
        """Pixels that neighbours share at least in x and y: a word that is no larger lies whole in some tile."""
        return self.across.overlap, self.down.overlap

    def corner(self, tile: int) -> tuple[int, int]:
        """Left and top of a tile."""
        row, column = divmod(tile, len(self.across.starts))
        return self.across.starts[column], self.down.starts[row]

    def crop(self, image: np.ndarray, tile: int) -> np.ndarray:
        """A view of one tile of an image (H, W, C)."""
        left, top = self.corner(tile)
        return image[top : top + self.down.length, left : left + self.across.length]

    def batches(self, image: np.ndarray, size: int) -> Iterator[list[np.ndarray]]:
        """The tiles of an image as lists of so many views."""
        for start in range(0, len(self), size):
            yield [self.crop(image, tile) for tile in range(start, min(start + size, len(self)))]


def shrinkage(height: int, width: int, shortest: int, longest: int) -> float:
    """How many times smaller the limit of the longer side makes an image than it would be without, or than it is.

    Args:
        height: pixels.
        width: pixels.
        shortest: INPUT.MIN_SIZE_TEST; 0 leaves images as they are.
        longest: INPUT.MAX_SIZE_TEST.
    """
    if shortest == 0:
        return 1.0
    return max(1.0, min(shortest / min(height, width), 1.0) * max(height, width) / longest)


def plan_tiles(
    height: int, width: int, shortest: int, longest: int, most_shrinkage: float | None = None
) -> Tiling | None:
    """Tiles whose words are large enough to be read; None where the whole image will do.

    A long image is cut along its longer side, so that its words are as large as the shorter side's length asks for. A
    large one is cut along both sides.

    Args:
        height: pixels.
        width: pixels.
        shortest: see ``shrinkage``.
        longest: likewise.
        most_shrinkage: an image that is seen more times smaller than this is large, and its tiles are seen so many
            times smaller; by default ``LARGE_FROM`` and a third of it.
    """
    if longest < shortest or shortest == 0:
        return None
    if min(height, width) > (most_shrinkage or LARGE_FROM) * shortest:
        times = most_shrinkage or _LARGE_TO
        sides = [(width, int(times * longest)), (height, int(times * shortest))]
        return Tiling(*(Cuts.plan(side, length, int(_LEAST_OVERLAP * length)) for side, length in sides))
    if shrinkage(height, width, shortest, longest) < SHRUNK_FROM:
        return None
    short, long = sorted((height, width))
    length = int(longest / min(shortest / short, 1.0))
    cuts = Cuts.plan(long, length, int(np.clip(short, _LEAST_OVERLAP * length, _MOST_OVERLAP * length)))
    return Tiling(cuts, Cuts.whole(height)) if width >= height else Tiling(Cuts.whole(width), cuts)


def check_tiles(tiles: bool | float) -> bool | float:
    """What ``TextPredictor`` takes as ``tiles``.

    Raises:
        ValueError: a number below 1.
    """
    if not isinstance(tiles, bool) and not (tiles >= 1 and np.isfinite(tiles)):
        raise ValueError(f"tiles is {tiles}; give how many times smaller an image may be seen, 1 or more (--tiles).")
    return tiles


def read_tiles(
    read_images: Callable[[Sequence[np.ndarray]], list[TextResult]], image: np.ndarray, tiling: Tiling, batch_size: int
) -> TextResult | Exception:
    """The result of an image that is read in tiles, and once more as a whole for words that no tile holds.

    Args:
        read_images: gives a result for each of some images (H, W, 3).
        image: (H, W, 3).
        tiling: how it is cut.
        batch_size: tiles that are read together, at most.

    Returns:
        the result, or what came of the first tile that could not be read.
    """
    parts: list[TextResult | Exception] = each_or_error(read_images, [image])
    for tiles in tiling.batches(image, batch_size):
        parts += each_or_error(read_images, tiles)
    for part in parts:
        if isinstance(part, Exception):
            return part
    whole, *results = cast(list[TextResult], parts)
    words = in_reading_order(merge_tiles(tiling, [tile.words for tile in results], whole.words))
    scale = None if whole.scale is None else round(float(np.mean([tile.scale for tile in results])), 4)
    return replace(whole, words=words, scale=scale, tiles=len(results))


def merge_tiles(tiling: Tiling, tiles: Sequence[Sequence[Word]], whole: Sequence[Word]) -> list[Word]:
    """The words of an image, each once: from the tiles, and those that no tile can hold from the whole image.

    Args:
        tiling: how the image was cut.
        tiles: the words of each tile, in its own pixels.
        whole: the words of the image read at once, in its pixels.
    """
    found, tile_of, cut = [], [], []
    for index, words in enumerate(tiles):
        for word in words:
            found.append(_move(word, tiling, index))
            tile_of.append(index)
            cut.append(_is_cut(word, tiling, index))
    outlines = [_shape(word) for word in found]
    kept = _distinct(found, outlines, tile_of, cut)
    return _with_long_words(found, outlines, cut, kept, [word for word in whole if _is_long(word, tiling)])


def _distinct(words: list[Word], outlines: list, tile_of: list[int], cut: list[bool]) -> list[int]:
    """Of words that lie on each other in different tiles, one that no cut touches, of these the surest."""
    rivals: list[set[int]] = [set() for _ in words]
    for first, second in _pairs(outlines, outlines):
        if tile_of[first] != tile_of[second]:
            rivals[first].add(second)
    kept: set[int] = set()
    for index in sorted(range(len(words)), key=lambda i: (cut[i], -words[i].score)):
        if not rivals[index] & kept:
            kept.add(index)
    return sorted(kept)


def _with_long_words(
    words: list[Word], outlines: list, cut: list[bool], kept: list[int], long_words: list[Word]
) -> list[Word]:
    """Let a word that is longer than the overlap replace what the tiles hold of it.

    At the size of the whole image a row of small words may look like one. So those that no cut touches stay where they
    fill most of it, or are as sure as it is.
    """
    parts: list[list[int]] = [[] for _ in long_words]
    for long_word, part in _pairs([_shape(word) for word in long_words], [outlines[i] for i in kept]):
        parts[long_word].append(kept[part])
    chosen, dropped = [], set()
    for word, inside in zip(long_words, parts, strict=True):
        whole = [i for i in inside if not cut[i]]
        area = sum(outlines[i].area for i in whole)
        score = sum(words[i].score * outlines[i].area for i in whole) / area if whole else 0.0
        if area < _FILLED * _shape(word).area and score < word.score - _ROUNDING:
            chosen.append(word)
            dropped.update(inside)
    return [words[i] for i in kept if i not in dropped] + chosen


def _pairs(first: Sequence, second: Sequence) -> list[tuple[int, int]]:
    """Indices of shapes that share more than half of the smaller one's area."""
    if not first or not second:
        return []
    left, right = shapely.STRtree(list(second)).query(list(first), predicate="intersects")
    a, b = np.array(first, dtype=object)[left], np.array(second, dtype=object)[right]
    smaller = np.minimum(shapely.area(a), shapely.area(b))
    same = shapely.area(shapely.intersection(a, b)) > _SAME * smaller
    return list(zip(left[same].tolist(), right[same].tolist(), strict=True))


def _shape(word: Word) -> shapely.Geometry:
    return shapely.make_valid(shapely.Polygon(word.polygon))


def _extents(word: Word) -> list[tuple[float, float]]:
    """First and last pixel along x and y."""
    return [(min(places), max(places)) for places in zip(*word.polygon, strict=True)]


def _is_long(word: Word, tiling: Tiling) -> bool:
    return any(
        last - first > cuts.overlap - 2 * cuts.margin
        for (first, last), cuts in zip(_extents(word), (tiling.across, tiling.down), strict=True)
    )


def _is_cut(word: Word, tiling: Tiling, tile: int) -> bool:
    """Whether a word, in its tile's pixels, reaches a side at which the image goes on."""
    row, column = divmod(tile, len(tiling.across.starts))
    x, y = _extents(word)
    return tiling.across.is_cut(column, *x) or tiling.down.is_cut(row, *y)


def _move(word: Word, tiling: Tiling, tile: int) -> Word:
    corner = tiling.corner(tile)
    return replace(
        word, polygon=[[round(v + o, 2) for v, o in zip(point, corner, strict=True)] for point in word.polygon]
    )
