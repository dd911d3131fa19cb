"""Words cut out of the image: ``modeling.recognition.word_rectifier`` in NumPy, whose docstrings explain the formulas.

Shapes: N words, S points at which a mask is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dld_spotter.runtime.sampling import grid, mask_at, sample


@dataclass(frozen=True)
class PictureSettings:
    """The constants of the rectifier.

    Attributes:
        size: rows and columns of a picture.
        vertical_ratio: words longer than this many times their height may be vertical.
        heights: how many heights of the word fill the picture's length.
        mask_size, halvings, margin, level, telling, steepest_rise: see the rectifier's module.
    """

    size: Sequence[int]
    vertical_ratio: float
    heights: float
    mask_size: int
    halvings: int
    margin: float
    level: float
    telling: float
    steepest_rise: float


@dataclass(frozen=True)
class Frame:
    """Where a word lies: the corner where reading starts, the unit vector along the word, length and height."""

    origin: np.ndarray
    along: np.ndarray
    length: float
    height: float

    @property
    def down(self) -> np.ndarray:
        """The unit vector across the word."""
        return np.array([-self.along[1], self.along[0]], np.float32)


def word_pictures(pixels: np.ndarray, boxes: np.ndarray, masks: np.ndarray, settings: PictureSettings) -> np.ndarray:
    """Pictures of words.

    Args:
        pixels: (3, H, W) float32, normalised and padded.
        boxes: (N, 4) in pixels.
        masks: (N, M, M) probabilities, each over its box.
        settings: of the rectifier.

    Returns:
        (N, 3, rows, columns) float32.
    """
    pictures = np.zeros((len(boxes), 3, *settings.size), np.float32)
    halved = [cv2.merge(list(pixels))]
    for index, (box, mask) in enumerate(zip(boxes, masks, strict=True)):
        frame = word_frame(box, mask, settings)
        level = _level(frame, settings)
        while len(halved) <= level:
            halved.append(_halve(halved[-1]))
        pictures[index] = _cut(halved[level], pixels.shape[1:], frame, settings).transpose(2, 0, 1)
    return pictures


def word_frame(box: np.ndarray, mask: np.ndarray, settings: PictureSettings) -> Frame:
    """How a word lies, by the second moments of its mask (``word_frames``)."""
    x, y = grid(box, (settings.mask_size, settings.mask_size))
    inside = (mask_at(mask, box, x, y) >= 0.5).ravel()
    if not inside.any():
        inside[:] = True
    x, y = x.ravel(), y.ravel()
    cell = (box[2:] - box[:2]) / np.float32(settings.mask_size)
    total = np.float32(inside.sum())
    centre = np.array([x[inside].sum() / total, y[inside].sum() / total], np.float32)
    dx, dy = x - centre[0], y - centre[1]
    a = (dx[inside] ** 2).sum() / total + cell[0] ** 2 / 12
    c = (dy[inside] ** 2).sum() / total + cell[1] ** 2 / 12
    b = (dx[inside] * dy[inside]).sum() / total
    along = _direction(float(a), float(b), float(c), settings)
    down = np.array([-along[1], along[0]], np.float32)
    starts, sizes = [], []
    for axis in (along, down):
        place = (dx * axis[0] + dy * axis[1])[inside]
        half = (np.abs(axis) * cell).sum() / 2
        low = place.min() - half
        starts.append(low)
        sizes.append(place.max() + half - low)
    margin = settings.margin * sizes[1]
    origin = centre + (starts[0] - margin) * along + (starts[1] - margin) * down
    return Frame(origin.astype(np.float32), along, float(sizes[0] + 2 * margin), float(sizes[1] + 2 * margin))


def _direction(a: float, b: float, c: float, settings: PictureSettings) -> np.ndarray:
    """The unit vector along a word with the covariance ((a, b), (b, c))."""
    angle = math.atan2(2 * b, a - c) / 2
    spread = math.sqrt((a - c) ** 2 + 4 * b**2)
    ratio = math.sqrt((a + c + spread) / max(a + c - spread, 1e-6))
    quarter = math.pi / 2
    if abs(angle) > quarter / 2 and ratio <= settings.vertical_ratio:  # a short word, taller than wide
        angle -= math.copysign(quarter, angle)
    if angle < -math.radians(settings.steepest_rise):
        angle += math.pi
    if abs(angle) <= quarter / 2:
        angle *= min(max((ratio - settings.level) / (settings.telling - settings.level), 0.0), 1.0)
    return np.array([math.cos(angle), math.sin(angle)], np.float32)


def _level(frame: Frame, settings: PictureSettings) -> int:
    """How often the image is halved, so that no pixel is skipped."""
    rows, columns = settings.size
    span = max(frame.length, frame.height * settings.heights)
    step = max(frame.height / rows, span / columns, 1.0)
    return min(int(math.log2(step)), settings.halvings)


def _cut(image: np.ndarray, size: tuple[int, ...], frame: Frame, settings: PictureSettings) -> np.ndarray:
    """(rows, columns, 3) of an image (H', W', 3) that may be smaller than the places' (height, width)."""
    rows, columns = settings.size
    span = max(frame.length, frame.height * settings.heights)
    u = (np.arange(columns, dtype=np.float32) + np.float32(0.5)) / np.float32(columns) * np.float32(span)
    v = (np.arange(rows, dtype=np.float32) + np.float32(0.5)) / np.float32(rows) * np.float32(frame.height)
    x = frame.origin[0] + u * frame.along[0] + v[:, None] * frame.down[0]
    y = frame.origin[1] + u * frame.along[1] + v[:, None] * frame.down[1]
    factor_y, factor_x = image.shape[0] / size[0], image.shape[1] / size[1]
    picture = sample(image, x * np.float32(factor_x), y * np.float32(factor_y))
    return picture * (u <= frame.length)[:, None]


def _halve(image: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels; those of an odd last row or column of what is there."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
