"""From score maps to the cells of words: which centres are enclosed, and which ends belong to them.

Shapes: H and W of the feature map, N words, K cells.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from dld_spotter.modeling.text_perceptron.text_perceptron_targets import BACKGROUND, BOUNDARY, CENTER, HEAD, TAIL

_OUTSIDE = 255  # the border around the map


class FoundWords(NamedTuple):
    """The cells of N words, as (K, 4) arrays: image, word, row and column; words have all three kinds."""

    number: int
    center: np.ndarray
    head: np.ndarray
    tail: np.ndarray


@dataclass(frozen=True)
class WordFinder:
    """Finds words in a map of areas.

    A word is a 4-connected piece of centre that ends and boundary enclose, with the largest pieces of head and tail
    that touch it. It may have a single cell: the authors ask for 3, which small words of a small image do not have.

    Attributes:
        min_enclosed: of the neighbours of the piece's cells, the share that must be ends or boundary.
    """

    min_enclosed: float = 0.6

    def __call__(self, areas: np.ndarray) -> FoundWords:
        """Words in a map (H, W) of areas, as image 0; cells beyond its border are no neighbours."""
        areas = np.pad(areas, 1, constant_values=_OUTSIDE)
        pieces, centers = _components(areas == CENTER)
        cells, beside = _neighbours(pieces)
        piece, neighbour = pieces.ravel()[cells], areas.ravel()[beside]
        enclosing = (neighbour == HEAD) | (neighbour == TAIL) | (neighbour == BOUNDARY)
        enclosed = np.bincount(piece[enclosing], minlength=len(centers))
        exposed = np.bincount(piece[neighbour == BACKGROUND], minlength=len(centers))
        kept = enclosed >= self.min_enclosed * (enclosed + exposed)
        kept[0] = False  # what is no centre
        ends = []
        for kind in (HEAD, TAIL):
            blobs, sizes = _components(areas == kind)
            blob = _largest_touching(piece, blobs.ravel()[beside], sizes, len(centers))
            kept &= blob > 0
            ends.append((blobs, blob))
        words = np.flatnonzero(kept)
        return FoundWords(
            len(words), _cells_of(pieces, words), *(_cells_of(blobs, blob[words]) for blobs, blob in ends)
        )


def join_images(found: Sequence[FoundWords]) -> FoundWords:
    """The words of several images, numbered on from image to image."""
    first = [0, *itertools.accumulate(words.number for words in found)]
    kinds = [
        np.concatenate([cells + (image, first[image], 0, 0) for image, cells in enumerate(of_kind)])
        for of_kind in zip(*(words[1:] for words in found), strict=True)
    ]
    return FoundWords(first[-1], *kinds)


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """4-connected pieces: (H, W) their numbers from 1 on, 0 elsewhere, and how many cells each number has."""
    pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]
    return pieces, np.bincount(pieces.ravel())


def _neighbours(pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K,) flat indices of cells of pieces, and (K,) of neighbours that are in no piece; none lies on the border."""
    cells = np.flatnonzero(pieces)
    width = pieces.shape[1]
    beside = np.concatenate([cells - 1, cells + 1, cells - width, cells + width])
    cells = np.tile(cells, 4)
    other = pieces.ravel()[beside] == 0
    return cells[other], beside[other]


def _largest_touching(piece: np.ndarray, blob: np.ndarray, sizes: np.ndarray, number: int) -> np.ndarray:
    """(number,) the largest blob beside each piece, 0 without one.

    Args:
        piece: (K,) pieces, and
        blob: (K,) what is beside them; 0 is no blob.
        sizes: of the blobs.
        number: of pieces.
    """
    touching = blob > 0
    piece, blob = piece[touching], blob[touching]
    ascending = np.argsort(sizes[blob], kind="stable")
    largest = np.zeros(number, dtype=np.int64)
    largest[piece[ascending]] = blob[ascending]  # the last one assigned stays
    return largest


def _cells_of(pieces: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(K, 4) zero, position in ``chosen``, row and column, without the border, of the cells of the chosen pieces.

    A piece may be chosen more than once.
    """
    flat = np.flatnonzero(pieces)
    flat = flat[np.argsort(pieces.ravel()[flat], kind="stable")]
    sizes = np.bincount(pieces.ravel()[flat], minlength=pieces.max() + 1)
    first = np.cumsum(sizes) - sizes
    word = np.repeat(np.arange(len(chosen)), sizes[chosen])
    position = np.arange(len(word)) - np.repeat(np.cumsum(sizes[chosen]) - sizes[chosen], sizes[chosen])
    cell = flat[np.repeat(first[chosen], sizes[chosen]) + position]
    row, column = np.unravel_index(cell, pieces.shape)
    return np.stack([np.zeros_like(word), word, row - 1, column - 1], axis=1)
