"""Images on their way into a graph: resized as Detectron2 does, normalised, padded, and rescaled as the models do."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dld_spotter.network_size import NetworkSize

DIVISOR = 32  # of the sides of a rescaled image


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

    def resize(channel: int) -> None:
        shrunk = Image.fromarray(image.pixels[channel]).resize((columns, rows), Image.Resampling.BILINEAR)
        pixels[channel, :rows, :columns] = np.asarray(shrunk)

    with ThreadPoolExecutor(3) as threads:  # Pillow works beside other threads
        list(threads.map(resize, range(3)))
    size = max(1, round(image.size[0] * (rows / height))), max(1, round(image.size[1] * (columns / width)))
    return NetworkImage(pixels, size)


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
