"""Where the label of a word goes, so that it covers neither a word nor another label, if there is such a place."""

from __future__ import annotations

import numpy as np


def place_label(
    size: tuple[float, float], word: np.ndarray, obstacles: np.ndarray, image_size: tuple[int, int]
) -> np.ndarray:
    """The label's box: above the word, below it or beside it, whichever is free; else where it covers least.

    Args:
        size: width and height of the label in pixels.
        word: (4,) left, top, right, bottom of the word.
        obstacles: (N, 4) boxes of what shall not be covered, the word itself among them.
        image_size: height and width; the label stays inside as far as it fits.

    Returns:
        (4,) left, top, right, bottom.
    """
    width, height = size
    left, top, right, bottom = word
    middle = (top + bottom - height) / 2
    corners = np.array(
        [
            (left, top - height),
            (left, bottom),
            (right - width, top - height),
            (right - width, bottom),
            (right, middle),
            (left - width, middle),
        ]
    )
    most = np.maximum((image_size[1] - width, image_size[0] - height), 0)
    corners = np.clip(corners, 0, most)
    places = np.concatenate([corners, corners + (width, height)], axis=1)
    return places[_covered(places, obstacles).argmin()]


def _covered(places: np.ndarray, obstacles: np.ndarray) -> np.ndarray:
    """(P,) pixels of obstacles (N, 4) that each of the boxes (P, 4) covers."""
    low = np.maximum(places[:, None, :2], obstacles[:, :2])
    high = np.minimum(places[:, None, 2:], obstacles[:, 2:])
    return np.maximum(high - low, 0).prod(axis=2).sum(axis=1)
