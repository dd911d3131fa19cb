"""Images on their way into a graph: resized as Detectron2 does, normalised, padded, and rescaled as the models do."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dld_spotter.network_size import NetworkSize

DIVISOR = 32  # of the sides of a rescaled image
BAND = 32  # positions that are made at once when an image is rescaled


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


def to_network(image: np.ndarray, size: NetworkSize, mean: Sequence[float], deviation: Sequence[float]) -> NetworkImage:
    """A photo as the network sees it.

    Args:
        image: (H, W, 3) uint8, channels in the network's order.
        size: of the network's input.
        mean: of each channel.
        deviation: likewise.
    """
    rows, columns = size.resized(*image.shape[:2])
    if (rows, columns) != image.shape[:2]:
        # Pillow, as Detectron2's ResizeTransform: bilinear, and anti-aliased where the image shrinks.
        whole = Image.fromarray(np.ascontiguousarray(image))
        image = np.asarray(whole.resize((columns, rows), Image.Resampling.BILINEAR))
    pixels = np.zeros((3, rows + -rows % size.step, columns + -columns % size.step), np.float32)
    for channel in range(3):
        shown = pixels[channel, :rows, :columns]
        np.subtract(image[:, :, channel], np.float32(mean[channel]), out=shown)
        shown /= np.float32(deviation[channel])
    return NetworkImage(pixels, (rows, columns))


def rescale(image: NetworkImage, scale: float) -> NetworkImage:
    """As ``modeling.dld.rescaling.rescale_images``: the padded image, anti-aliased and bilinear, padded again."""
    if scale == 1.0:
        return image
    height, width = image.padded
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    pixels = np.zeros((3, rows + -rows % DIVISOR, columns + -columns % DIVISOR), np.float32)
    vertical, horizontal = _bands(height, rows), _bands(width, columns)

    def resize(channel: int) -> None:
        shrunk = np.empty((rows, width), np.float32)
        for band in vertical:
            np.matmul(band.weights, image.pixels[channel, band.source], out=shrunk[band.target])
        for band in horizontal:
            np.matmul(shrunk[:, band.source], band.turned, out=pixels[channel, :rows, band.target])

    with ThreadPoolExecutor(3) as threads:  # NumPy works beside other threads
        list(threads.map(resize, range(3)))
    size = max(1, round(image.size[0] * (rows / height))), max(1, round(image.size[1] * (columns / width)))
    return NetworkImage(pixels, size)


@dataclass(frozen=True)
class _Band:
    """Positions of an axis that are made at once: ``weights`` (T, S) times those of the ``source``."""

    target: slice
    source: slice
    weights: np.ndarray
    turned: np.ndarray  # (S, T), laid out so that products are fast


def _bands(before: int, after: int) -> list[_Band]:
    """How an axis of ``before`` positions becomes one of ``after``.

    Each weight is a triangle's height around the target's place; the triangle reaches over one position of the coarser
    axis on both sides, as in Pillow and torch. Most weights are zero: bands leave those out.
    """
    factor = before / after
    reach = max(factor, 1.0)
    centre = (np.arange(after) + 0.5) * factor
    first = np.maximum((centre - reach + 0.5).astype(int), 0)
    last = np.minimum((centre + reach + 0.5).astype(int), before)
    bands = []
    for start in range(0, after, BAND):
        target = slice(start, min(start + BAND, after))
        source = slice(int(first[target.start]), int(last[target.stop - 1]))
        place = np.arange(source.start, source.stop) + 0.5
        weights = np.maximum(1 - np.abs(place - centre[target, None]) / reach, 0)
        weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
        bands.append(_Band(target, source, weights, np.ascontiguousarray(weights.T)))
    return bands


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
