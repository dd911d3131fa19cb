"""Pixels of any kind as 8-bit colour: Pillow's modes, transparency, 16 bits, and arrays of several forms."""

from __future__ import annotations

import logging

import numpy as np
from PIL import Image, ImageOps

logger = logging.getLogger(__name__)

MIN_SIDE = 2  # pixels

_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_SAMPLE_BITS = (8, 10, 12, 14, 16)
_SAMPLED_PIXELS = 1_000_000  # enough to tell light letters from dark ones
_ARRAY_FORMS = (
    f"an image array is (height, width) grey, (height, width, 3) BGR or (height, width, 4) BGRA, {MIN_SIDE} pixels or "
    "more a side; uint8, uint16, bool, integers of 0 to 255, or floating-point numbers of 0 to 1 or of 0 to 255"
)


class ImageError(ValueError):
    """An image that cannot be used; the message names it and says what is wrong with it."""


class ImageTooLarge(ImageError):
    """An image with more pixels than are allowed; none of them is decoded."""


def pil_to_rgb(image: Image.Image) -> np.ndarray:
    """Decode any mode to (H, W, 3) uint8 in RGB order, upright by its EXIF orientation.

    Raises:
        ImageError: samples without a known range.
    """
    image.load()
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data counts as none
        logger.warning("%s image with damaged EXIF data: taken as it is stored.", image.format)
    if image.mode in _SIXTEEN_BIT_MODES:
        return np.repeat(_from_sixteen_bits(np.asarray(image))[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise ImageError("its pixels are floating-point numbers without a known range; save it with 8 bits")
    if image.has_transparency_data:
        image = _lay_on_ground(image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def array_to_bgr(array: np.ndarray, name: str) -> np.ndarray:
    """Bring an array into the form (H, W, 3) uint8 in BGR order.

    Args:
        array: (H, W) or (H, W, 1) grey, (H, W, 3) BGR or (H, W, 4) BGRA; uint8, uint16 (scaled to 8 bits from the
            fewest of 8, 10, 12, 14 and 16 that hold all values), bool, other integers of 0 to 255, or floating-point
            numbers of 0 to 1 or of 0 to 255.
        name: what errors call the image.

    Raises:
        ImageError: another shape or range, or a side of less than 2 pixels.
    """
    shape, kind = array.shape, array.dtype
    if array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or min(array.shape[:2]) < MIN_SIDE or array.shape[2:] not in ((), (3,), (4,)):
        turned = " Move its channels to the end: array.transpose(1, 2, 0)." if shape[:1] in ((1,), (3,), (4,)) else ""
        raise ImageError(f"{name}: {_ARRAY_FORMS}; this one is {shape} {kind}.{turned}")
    try:
        array = _to_eight_bits(array)
    except ImageError as error:
        raise ImageError(f"{name}: {_ARRAY_FORMS}; this one ({shape} {kind}) {error}.") from None
    if array.ndim == 2:
        return np.repeat(array[:, :, None], 3, axis=2)
    if array.shape[2] == 4:
        rgba = Image.fromarray(np.ascontiguousarray(array[:, :, [2, 1, 0, 3]]))
        return np.ascontiguousarray(np.asarray(_lay_on_ground(rgba).convert("RGB"))[:, :, ::-1])
    return array


def _to_eight_bits(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return _from_sixteen_bits(array)
    if array.dtype.kind not in "iuf":
        raise ImageError("has samples of another type")
    least, most = array.min(), array.max()
    if not (least >= 0 and most <= 255):  # NaN is neither
        raise ImageError(f"has values from {least} to {most}")
    if array.dtype.kind == "f":
        array = np.rint(array * 255 if most <= 1 else array)
    return array.astype(np.uint8)


def _from_sixteen_bits(values: np.ndarray) -> np.ndarray:
    """Samples of 0 to 65535 -> uint8 of 0 to 255.

    Cameras and scanners put samples of fewer bits into the wider type, and no header tells it: the samples have as few
    bits, of 8, 10, 12, 14 and 16, as hold the largest one.
    """
    largest = values.max()
    if values.min() < 0 or largest > 65535:
        raise ImageError("its samples have more than 16 bits; save it with 8 or 16")
    range_ = next(2**bits - 1 for bits in _SAMPLE_BITS if largest < 2**bits)
    return ((values.astype(np.uint32) * 255 + range_ // 2) // range_).astype(np.uint8)


def _lay_on_ground(rgba: Image.Image) -> Image.Image:
    """Lay what is visible on white, or on black if it is light: white letters would vanish on white."""
    step = max(1, round((rgba.width * rgba.height / _SAMPLED_PIXELS) ** 0.5))
    sample = np.asarray(rgba)[::step, ::step].astype(np.float64)
    opacity = sample[:, :, 3]
    luminance = sample[:, :, :3] @ (0.299, 0.587, 0.114)
    light = opacity.any() and np.average(luminance, weights=opacity) > 127.5
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "black" if light else "white"), rgba)
