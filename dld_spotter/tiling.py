"""Reading a long image in overlapping tiles, where the limit of the longer side would make its words too small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely

from dld_spotter.results import Word

SHRUNK_FROM = 2.0  # times smaller than without the limit of the longer side
_LEAST_OVERLAP, _MOST_OVERLAP = 0.25, 0.5  # of a tile
_FILLED = 0.5  # of the area of a long word, from which shorter ones in it are what there is
_ROUNDING = 1e-6  # of a mean of scores
_SAME = 0.5  # of the smaller word's area, from which two words of different tiles are one
_AT_THE_EDGE = 0.01  # of a tile's length from its cut, within which a word may go on behind it


@dataclass(frozen=True)
class Tiling:
    """Tiles of one length along an image's longer side; they reach across its whole shorter side.

    Attributes:
        starts: where each tile begins, ascending.
        length: of each tile.
        axis: 0 where the image is wide, 1 where it is tall.
    """

    starts: tuple[int, ...]
    length: int
    axis: int

    @property
    def overlap(self) -> int:
        """Pixels that neighbours share at least: a word that is no longer lies whole in some tile."""
        return self.length - max(b - a for a, b in zip(self.starts, self.starts[1:], strict=False))

    def crop(self, image: np.ndarray, tile: int) -> np.ndarray:
        """A view of one tile of an image (H, W, C)."""
        part = slice(self.starts[tile], self.starts[tile] + self.length)
        return image[:, part] if self.axis == 0 else image[part]


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


def plan_tiles(height: int, width: int, shortest: int, longest: int) -> Tiling | None:
    """Tiles whose words are as large as the shorter side's length asks for; None where the whole image will do.

    Args:
        height: pixels.
        width: pixels.
        shortest: see ``shrinkage``.
        longest: likewise.
    """
    if longest < shortest or shrinkage(height, width, shortest, longest) < SHRUNK_FROM:
        return None
    short, long = sorted((height, width))
    length = int(longest / min(shortest / short, 1.0))
    overlap = int(np.clip(short, _LEAST_OVERLAP * length, _MOST_OVERLAP * length))
    number = -(-(long - overlap) // (length - overlap))
    starts = np.linspace(0, long - length, number).round().astype(int)
    return Tiling(tuple(starts.tolist()), length, 0 if width >= height else 1)


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


def _along(word: Word, axis: int) -> tuple[float, float]:
    places = [point[axis] for point in word.polygon]
    return min(places), max(places)


def _is_long(word: Word, tiling: Tiling) -> bool:
    first, last = _along(word, tiling.axis)
    return last - first > tiling.overlap - 2 * _AT_THE_EDGE * tiling.length


def _is_cut(word: Word, tiling: Tiling, tile: int) -> bool:
    """Whether a word, in its tile's pixels, reaches a side at which the image goes on."""
    first, last = _along(word, tiling.axis)
    margin = _AT_THE_EDGE * tiling.length
    return (tile > 0 and first <= margin) or (tile < len(tiling.starts) - 1 and last >= tiling.length - margin)


def _move(word: Word, tiling: Tiling, tile: int) -> Word:
    start = tiling.starts[tile]
    offset = (start, 0) if tiling.axis == 0 else (0, start)
    return replace(
        word, polygon=[[round(v + o, 2) for v, o in zip(point, offset, strict=True)] for point in word.polygon]
    )
