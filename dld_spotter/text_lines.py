"""The order in which people read words: lines first, then along them; columns and signs one after the other.

A word is followed by the nearest one that stands just behind it, on its own line and about as large. The lines are then
ordered by cutting the picture again and again where the gap is widest, between columns or between lines.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

# In shares of the mean height of two words.
_WIDEST_GAP = 1.5  # between words of a line
_DEEPEST_OVERLAP = 0.5  # of outlines of a line's words
_LARGEST_OFFSET = 0.6  # across the line
_LEAST_RATIO = 0.4  # of the heights of neighbours
_LEAST_COSINE = np.cos(np.radians(25))  # between their directions
_ELONGATED = 1.5  # length over height from which a word shows its direction
_LETTERS = 3  # from which it does: "I" or "it" may be higher than long
_STEEP = np.radians(60)  # words that rise or fall more are read downwards
_LEVEL = np.sin(np.radians(5))  # of the text: short words show their direction no better
_CORE = 0.5  # of a line's height: ascenders, descenders and slanted lines reach into their neighbours


def reading_lines(polygons: Sequence, texts: Sequence[str]) -> list[list[int]]:
    """Group words into lines, in reading order.

    Args:
        polygons: (P, 2) outlines of N words in pixels.
        texts: of the words; letters that are written from right to left make their line run that way.

    Returns:
        Lines of indices; each of 0 to N - 1 stands in one of them. The order of the words given does not matter.
    """
    outlines = [np.asarray(polygon, np.float32).reshape(-1, 2) for polygon in polygons]
    if not outlines:
        return []
    # Ties are broken by place, so that the result does not depend on the given order.
    by_place = sorted(range(len(outlines)), key=lambda i: (*outlines[i].min(axis=0)[::-1], *outlines[i].ravel()))
    words = _Words.measure([outlines[i] for i in by_place], [len(texts[i]) for i in by_place])
    lines = [[by_place[i] for i in line] for line in _order_lines(words, _link(words))]
    return [line[::-1] if _is_right_to_left(texts[i] for i in line) else line for line in lines]


@dataclass(frozen=True)
class _Words:
    """N words as strips: ``start`` and ``end`` (N, 2), ``direction`` (N, 2) of length 1, ``height`` (N,)."""

    start: np.ndarray
    end: np.ndarray
    direction: np.ndarray
    height: np.ndarray

    @staticmethod
    def measure(outlines: Sequence[np.ndarray], letters: Sequence[int]) -> _Words:
        centres, sides = zip(*map(_rectangle, outlines), strict=True)
        centre, side = np.array(centres), np.array(sides)  # (N, 2); (N, 2, 2): both half-sides, the longer first
        length = np.maximum(np.linalg.norm(side, axis=2), 1e-3)  # (N, 2)
        units = _readable(side / length[:, :, None])
        shows = (length[:, 0] >= _ELONGATED * length[:, 1]) & (np.array(letters) >= _LETTERS)
        slant = _common_direction(units[shows, 0], length[shows, 0])
        # A word that does not show its direction runs along the side that is nearest to the others' direction.
        along = np.where(shows, 0, np.abs(units @ slant).argmax(axis=1))
        index = np.arange(len(centre))
        direction = units[index, along]
        direction = np.where((~shows & (direction @ slant < 0))[:, None], -direction, direction)
        half = direction * length[index, along, None]
        return _Words(centre - half, centre + half, direction, 2 * length[index, 1 - along])


def _rectangle(outline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The centre (2,) and the half-sides (2, 2), the longer first, of the smallest rectangle round an outline."""
    centre, (width, height), degrees = cv2.minAreaRect(outline)
    across = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    sides = np.array([across * width / 2, across[::-1] * (-height / 2, height / 2)])
    return np.array(centre), sides if width >= height else sides[::-1]


def _readable(units: np.ndarray) -> np.ndarray:
    """Directions (..., 2), turned to the right, or downwards where they are steep."""
    steep = np.abs(units[..., 1]) > np.sin(_STEEP)
    return np.where(np.where(steep, units[..., 1], units[..., 0])[..., None] < 0, -units, units)


def _common_direction(directions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The median by length of directions (N, 2); to the right if there is none."""
    if not len(directions):
        return np.array([1.0, 0.0])
    order = np.argsort(np.arctan2(directions[:, 1], directions[:, 0]), kind="stable")
    reached = np.cumsum(lengths[order])
    return directions[order[np.searchsorted(reached, reached[-1] / 2)]]


def _link(words: _Words) -> list[list[int]]:
    """Chains of neighbours, each from its start to its end."""
    following: dict[int, int] = {}
    preceding: dict[int, int] = {}
    for first, second in _candidates(words):
        if first in following or second in preceding or _last(following, second) == first:  # the last: text in a ring
            continue
        following[first], preceding[second] = second, first
    lines = []
    for index in range(len(words.height)):
        if index not in preceding:
            line = [index]
            while line[-1] in following:
                line.append(following[line[-1]])
            lines.append(line)
    return lines


def _candidates(words: _Words) -> list[tuple[int, int]]:
    """Pairs of words of which the second may follow the first, the nearest pair first."""
    height = (words.height[:, None] + words.height) / 2
    ratio = np.minimum(words.height[:, None], words.height) / np.maximum(words.height[:, None], words.height)
    cosine = words.direction @ words.direction.T
    direction = words.direction[:, None] + words.direction
    direction /= np.maximum(np.linalg.norm(direction, axis=2, keepdims=True), 1e-6)
    gap = words.start - words.end[:, None]
    along = (gap * direction).sum(axis=2) / height
    across = np.abs(gap[..., 0] * direction[..., 1] - gap[..., 1] * direction[..., 0]) / height
    centre = (words.start + words.end) / 2
    ahead = ((centre - centre[:, None]) * direction).sum(axis=2) > 0
    near = (along >= -_DEEPEST_OVERLAP) & (along <= _WIDEST_GAP) & (across <= _LARGEST_OFFSET)
    first, second = np.nonzero(near & ahead & (ratio >= _LEAST_RATIO) & (cosine >= _LEAST_COSINE))
    distance = np.abs(along[first, second]) + 2 * across[first, second]
    return [(int(first[i]), int(second[i])) for i in np.argsort(distance, kind="stable")]


def _last(following: dict[int, int], index: int) -> int:
    while index in following:
        index = following[index]
    return index


def _order_lines(words: _Words, lines: list[list[int]]) -> list[list[int]]:
    """Lines in reading order: the picture is cut at its widest gap, the first part is ordered, then the second."""
    right = _page_direction(words, lines)
    down = np.array([-right[1], right[0]]) if abs(right[1]) <= np.sin(_STEEP) else np.array([right[1], -right[0]])
    horizontal, vertical = [], []
    for line in lines:
        points = np.concatenate([words.start[line], words.end[line]])
        across, height = points @ down, words.height[line].mean()
        horizontal.append([(points @ right).min(), (points @ right).max()])
        vertical.append([across.min() - _CORE * height / 2, across.max() + _CORE * height / 2])
    spans = np.array([horizontal, vertical])  # (2, L, 2)
    ordered, stack = [], [np.arange(len(lines))]
    while stack:
        part = stack.pop()
        if len(part) == 1:
            ordered.append(lines[part[0]])
            continue
        gap_x, left, rest = _widest_gap(spans[0], part)
        gap_y, above, below = _widest_gap(spans[1], part)
        if max(gap_x, gap_y) > 0:
            stack += [rest, left] if gap_x > gap_y and _side_by_side(spans[1], left, rest) else [below, above]
        else:  # interlocked: from the top
            middles = spans[1, part].mean(axis=1)
            ordered += [lines[i] for i in part[np.lexsort((spans[0, part, 0], middles))]]
    return ordered


def _page_direction(words: _Words, lines: list[list[int]]) -> np.ndarray:
    """The direction (2,) of the lines in general; as good as level or upright ones count as such."""
    vectors = np.array([words.end[line[-1]] - words.start[line[0]] for line in lines])
    lengths = np.linalg.norm(vectors, axis=1)
    shows = lengths >= _ELONGATED * np.array([words.height[line].mean() for line in lines])
    direction = _common_direction(_readable(vectors[shows] / lengths[shows, None]), lengths[shows])
    return np.abs(direction).round() if np.abs(direction).min() < _LEVEL else direction


def _widest_gap(spans: np.ndarray, part: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The widest gap in what spans (L, 2) cover, and which of ``part`` lie before and behind it."""
    part = part[np.argsort(spans[part, 0], kind="stable")]
    gaps = spans[part[1:], 0] - np.maximum.accumulate(spans[part, 1])[:-1]
    widest = int(gaps.argmax())
    return float(gaps[widest]), part[: widest + 1], part[widest + 1 :]


def _side_by_side(spans: np.ndarray, left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two groups of lines share some height; else the upper one is read first."""
    return spans[left, 0].min() < spans[right, 1].max() and spans[right, 0].min() < spans[left, 1].max()


def _is_right_to_left(texts: Iterable[str]) -> bool:
    kinds = [unicodedata.bidirectional(letter) for text in texts for letter in text]
    return sum(kind in ("R", "AL") for kind in kinds) > sum(kind == "L" for kind in kinds)
