"""Images on their way into a graph: resized as Detectron2 does, normalised, padded, and rescaled as the models do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from PIL import Image

from dld_spotter.network_size import NetworkSize

DIVISOR = 32  # of the sides of a rescaled image
BAND = 16  # positions that are made at once when an image is rescaled


@dataclass(frozen=True)
class NetworkImage:
    """A normalised and padded image.

    Attributes:
        pixels: (3, H, W) float32.
        size: height and width without the padding.
    """

    pixels: np.ndarray
    size: tuple[int, int]

    @property
    def padded(self) -> tuple[int, int]:
        """H and W."""
        return self.pixels.shape[1], self.pixels.shape[2]


def to_network(
    image: np.ndarray, size: NetworkSize, mean: Sequence[float], deviation: Sequence[float], channels: str = "BGR"
) -> NetworkImage:
    """A photo as the network sees it.

    Args:
        image: (H, W, 3) uint8, BGR.
        size: of the network's input.
        mean: of each channel of the network.
        deviation: likewise.
        channels: the network's order, "BGR" or "RGB".
    """
    rows, columns = size.resized(*image.shape[:2])
    if (rows, columns) != image.shape[:2]:
        # Pillow, as Detectron2's ResizeTransform: bilinear, and anti-aliased where the image shrinks.
        whole = Image.fromarray(np.ascontiguousarray(image))
        image = np.asarray(whole.resize((columns, rows), Image.Resampling.BILINEAR))
    pixels = np.zeros((3, rows + -rows % size.step, columns + -columns % size.step), np.float32)
    planes = cv2.split(image)
    planes = planes[::-1] if channels == "RGB" else planes
    for channel, result, middle, spread in zip(planes, pixels, mean, deviation, strict=True):
        shown = result[:rows, :columns]
        np.subtract(channel, np.float32(middle), out=shown)
        shown /= np.float32(spread)
    return NetworkImage(pixels, (rows, columns))


def rescale(image: NetworkImage, scale: float) -> NetworkImage:
    """As ``modeling.dld.rescaling.rescale_images``: the padded image, anti-aliased and bilinear, padded again."""
    if scale == 1.0:
        return image
    height, width = image.padded
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    pixels = np.zeros((3, rows + -rows % DIVISOR, columns + -columns % DIVISOR), np.float32)
    vertical, horizontal = _bands(height, rows), _bands(width, columns)
    # Threads of their own take longer: each product is small, and the graphs' threads still wait for work.
    shrunk = np.empty((rows, width), np.float32)
    for channel, result in zip(image.pixels, pixels, strict=True):
        for band in vertical:
            np.matmul(band.weights, channel[band.source], out=shrunk[band.target])
        for band in horizontal:
            np.matmul(shrunk[:, band.source], band.turned, out=result[:rows, band.target])
    size = max(1, round(image.size[0] * (rows / height))), max(1, round(image.size[1] * (columns / width)))
    return NetworkImage(pixels, size)


@dataclass(frozen=True)
class _Band:
    """Positions of an axis that are made at once: ``weights`` (T, S) times those of the ``source``."""

    target: slice
    source: slice
    weights: np.ndarray

    @cached_property
    def turned(self) -> np.ndarray:
        """(S, T), laid out so that products are fast."""
        return np.ascontiguousarray(self.weights.T)


def _bands(before: int, after: int) -> list[_Band]:
    """How an axis of ``before`` positions becomes one of ``after``.

    Each weight is a triangle's height around the target's place; the triangle reaches over one position of the coarser
    axis on both sides, as in Pillow and torch. Most weights are zero: bands leave those out.
    """
    factor = before / after
    reach = max(factor, 1.0)
    position = np.arange(after)
    centre = (position + 0.5) * factor
    first = np.maximum((centre - reach + 0.5).astype(int), 0)
    last = np.minimum((centre + reach + 0.5).astype(int), before)
    tap = np.arange((last - first).max())
    weight = np.maximum(1 - np.abs(first[:, None] + tap + 0.5 - centre[:, None]) / reach, 0)
    weight *= tap < (last - first)[:, None]
    weight /= weight.sum(axis=1, keepdims=True)
    start, end = first[::BAND], last[np.minimum(np.arange(BAND, after + BAND, BAND), after) - 1]
    among = (first - start[position // BAND])[:, None] + tap  # of its band's source; what lies behind weighs nothing
    weights = np.zeros((after, among.max() + 1), np.float32)
    np.put_along_axis(weights, among, weight, axis=1)
    return [
        _Band(slice(row, min(row + BAND, after)), slice(low, high), weights[row : row + BAND, : high - low])
        for row, low, high in zip(range(0, after, BAND), start.tolist(), end.tolist(), strict=True)
    ]


def rescaled_factors(image: NetworkImage, scale: float) -> tuple[float, float]:
    """Factors on x and y by which ``rescale`` brings places of an image to the rescaled one."""
    if scale == 1.0:
        return 1.0, 1.0
    height, width = image.padded
    return max(1, round(width * scale)) / width, max(1, round(height * scale)) / height


def shown_part(positions: int, size: int, padded: int) -> int:
    """How many rows or columns of a feature map show the image rather than its padding.

    As ``modeling.dld.selector.selector_network.crop_to_image``.
    """
    return max(1, min(positions, round(positions * size / padded)))
