"""Bilinear samples of images and masks, at any place."""

from __future__ import annotations

import numpy as np


def sample(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate between the four nearest pixels; zero outside, as torch's ``grid_sample`` without aligned corners.

    Args:
        image: (H, W, C) or (H, W) float32.
        x: places in pixels, the first one's centre at 0.5; of any shape.
        y: likewise.

    Returns:
        of the shape of the places, and of C.
    """
    height, width = image.shape[:2]
    flat = image.reshape(height * width, *image.shape[2:])
    result = np.zeros((*np.shape(x), *image.shape[2:]), np.float32)
    columns, rows = _neighbours(x, width), _neighbours(y, height)
    for row, weight_y in rows:
        for column, weight_x in columns:
            weight = weight_x * weight_y
            result += flat.take(row * width + column, axis=0) * weight.reshape(weight.shape + (1,) * (image.ndim - 2))
    return result


def _neighbours(place: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two positions of an axis beside places, any one for those outside, and their weights, 0 outside."""
    place = np.asarray(place, np.float32) - np.float32(0.5)
    low = np.floor(place)
    neighbours = []
    for position, weight in ((low, low + 1 - place), (low + 1, place - low)):
        inside = (position >= 0) & (position < count)
        neighbours.append((np.where(inside, position, 0).astype(np.intp), weight * inside))
    return neighbours


def grid(box: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x and y (rows, columns) of the centres of the bins of a regular grid over a box (4,)."""
    rows, columns = size
    u = (np.arange(columns, dtype=np.float32) + np.float32(0.5)) / np.float32(columns)
    v = (np.arange(rows, dtype=np.float32) + np.float32(0.5)) / np.float32(rows)
    x, y = box[0] + (box[2] - box[0]) * u, box[1] + (box[3] - box[1]) * v
    return np.broadcast_to(x, size), np.broadcast_to(y[:, None], size)


def mask_at(mask: np.ndarray, box: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What a predicted mask (M, M) over a box (4,) says at places of the image; 0 outside the box."""
    extent = np.maximum(box[2:] - box[:2], np.float32(1e-6))
    side = np.float32(mask.shape[0])
    return sample(mask, (x - box[0]) / extent[0] * side, (y - box[1]) / extent[1] * side)
