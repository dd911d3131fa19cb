"""Word features pooled from a feature map: ``modeling.recognition.masked_pooler`` in NumPy.

Shapes: N words, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dld_spotter.runtime.pooling import pool
from dld_spotter.runtime.sampling import grid, mask_at


@dataclass(frozen=True)
class MapSettings:
    """The pooler's options.

    Attributes:
        size: rows and columns of a word's features.
        stride: pixels of one position of the map.
        margin: pixels added on each side of a box.
        vertical_ratio: boxes taller than this many times their width are turned.
        samples: points a bin and axis at which a mask is looked at.
    """

    size: Sequence[int]
    stride: int
    margin: float
    vertical_ratio: float
    samples: int


def word_features(
    text_map: np.ndarray,
    boxes: np.ndarray,
    masks: np.ndarray,
    size: tuple[int, int],
    settings: MapSettings,
) -> np.ndarray:
    """Features of words with the background suppressed.

    Args:
        text_map: (H, W, C) after the pooler's convolution.
        boxes: (N, 4) in pixels of the image.
        masks: (N, M, M) probabilities over the boxes.
        size: height and width of the image.
        settings: of the pooler.

    Returns:
        (N, C, rows, columns).
    """
    rows, columns = settings.size
    regions = np.concatenate(
        [
            np.maximum(boxes[:, :2] - np.float32(settings.margin), 0),
            np.minimum(boxes[:, 2:] + np.float32(settings.margin), np.array([size[1], size[0]], np.float32)),
        ],
        axis=1,
    )
    width, height = (regions[:, 2:] - regions[:, :2]).T
    vertical = height > settings.vertical_ratio * width
    features = np.zeros((len(boxes), rows, columns, text_map.shape[2]), np.float32)
    for turned, shape in ((False, (rows, columns)), (True, (columns, rows))):
        chosen = np.flatnonzero(vertical == turned)
        pooled = pool(text_map, regions[chosen], settings.stride, shape)
        for i, word in zip(chosen, pooled, strict=True):
            seen = word * coverage(masks[i], boxes[i], regions[i], shape, settings.samples)[:, :, None]
            features[i] = np.rot90(seen) if turned else seen
    return np.ascontiguousarray(features.transpose(0, 3, 1, 2))


def coverage(mask: np.ndarray, box: np.ndarray, region: np.ndarray, size: tuple[int, int], samples: int) -> np.ndarray:
    """(rows, columns): the share of each bin of a grid over a region where a mask (M, M) is above one half."""
    rows, columns = size
    x, y = grid(region, (rows * samples, columns * samples))
    inside = mask_at(mask, box, x, y) >= 0.5
    return inside.reshape(rows, samples, columns, samples).mean(axis=(1, 3), dtype=np.float32)
