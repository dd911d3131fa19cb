"""Features of boxes, pooled from feature maps: Detectron2's ``ROIAlign(aligned=True)`` and ``ROIPooler``.

RoIAlign takes means of bilinear samples on a regular grid, so it is a product of two matrices, one for each axis, with
the part of the map that a box covers. Runtimes' own operators gather each sample by itself, and take longer.

Shapes: N boxes, C channels. Maps are (H, W, C).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

CANONICAL_LEVEL, CANONICAL_SIZE = 4, 224  # detectron2.modeling.poolers.ROIPooler


def pool_levels(maps: Mapping[int, np.ndarray], boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Each box pooled from the level of a pyramid that fits its size.

    Args:
        maps: level -> map; one position of level l is 2**l pixels.
        boxes: (N, 4) in pixels.
        size: rows and columns of the result.

    Returns:
        (N, rows, columns, C) float32.
    """
    channels = next(iter(maps.values())).shape[2]
    pooled = np.zeros((len(boxes), *size, channels), np.float32)
    levels = levels_of(boxes, min(maps), max(maps))
    for level, features in maps.items():
        chosen = np.flatnonzero(levels == level)
        pooled[chosen] = pool(features, boxes[chosen], 2**level, size)
    return pooled


def levels_of(boxes: np.ndarray, lowest: int, highest: int) -> np.ndarray:
    """(N,) the level of each box: ``assign_boxes_to_levels``."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    level = np.floor(CANONICAL_LEVEL + np.log2(np.sqrt(areas) / CANONICAL_SIZE + 1e-8))
    return np.clip(level, lowest, highest).astype(np.int64)


def pool(features: np.ndarray, boxes: np.ndarray, stride: int, size: tuple[int, int]) -> np.ndarray:
    """Boxes pooled from one map.

    Args:
        features: the map.
        boxes: (N, 4) in pixels.
        stride: pixels of one position of the map.
        size: rows and columns of the result.

    Returns:
        (N, rows, columns, C) float32.
    """
    height, width, channels = features.shape
    rows, columns = size
    pooled = np.zeros((len(boxes), rows, columns, channels), np.float32)
    if len(boxes) == 0:
        return pooled
    places = boxes / np.float32(stride) - np.float32(0.5)
    top, bottom, vertical = _axis(places[:, 1], places[:, 3], rows, height)
    left, right, horizontal = _axis(places[:, 0], places[:, 2], columns, width)
    for index, result in enumerate(pooled):
        covered = features[top[index] : bottom[index], left[index] : right[index]]
        across = np.matmul(horizontal[index, :, : covered.shape[1]], covered).reshape(len(covered), -1)
        np.matmul(vertical[index, :, : len(covered)], across, out=result.reshape(rows, -1))
    return pooled


def _axis(start: np.ndarray, end: np.ndarray, bins: int, positions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first and the last but one position that boxes need of an axis, and how they weigh in each bin.

    Args:
        start: (N,) where boxes begin, in positions of the map; 0 is the centre of the first one.
        end: (N,) likewise.
        bins: of the result.
        positions: of the map.

    Returns:
        (N,) and (N,) int64, and (N, bins, S) float32 for up to S positions from the first one.
    """
    counts = np.maximum(np.ceil((end - start) / np.float32(bins)), 0).astype(np.int64)  # samples of a bin
    sample = np.arange(max(1, counts.max()))
    part = (sample + np.float32(0.5)) / np.maximum(counts, 1)[:, None].astype(np.float32)  # (N, samples)
    step = ((end - start) / np.float32(bins))[:, None, None]
    place = start[:, None, None] + (np.arange(bins, dtype=np.float32)[:, None] + part[:, None]) * step
    counted = (sample < counts[:, None])[:, None] & (place >= -1) & (place <= positions)
    place = np.clip(place, 0, positions - 1)
    low = np.minimum(np.floor(place).astype(np.int64), max(0, positions - 2))
    fraction = place - low
    # Those of a box that lies outside are any, and weigh nothing.
    first = np.where(counted, low, positions - 1).min(axis=(1, 2))
    last = np.minimum(np.maximum(np.where(counted, low + 2, 0).max(axis=(1, 2)), first + 1), positions)
    span = int((last - first).max())
    bin_index = np.arange(len(start) * bins).reshape(len(start), bins, 1)
    cell = bin_index * span + low - first[:, None, None]
    weight = np.zeros(len(start) * bins * span + 1)
    share = counted / np.maximum(counts, 1)[:, None, None]
    for offset, of_it in ((0, 1 - fraction), (1, fraction)):
        used = counted & (of_it > 0)
        weight += np.bincount((cell + offset)[used], (share * of_it)[used], minlength=len(weight))
    return first, last, weight[:-1].reshape(len(start), bins, span).astype(np.float32)
