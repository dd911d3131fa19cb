"""Reading photos of any kind into one form, or saying in one sentence why one cannot be read."""

from __future__ import annotations

import logging
import os
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MIN_SIDE = 2  # pixels
MAX_PIXELS = 2 * 89_478_485  # Pillow itself refuses more than twice its Image.MAX_IMAGE_PIXELS

_END_OF_JPEG = b"\xff\xd9"
_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")


class ImageError(ValueError):
    """An image that cannot be used; the message names the file and says what is wrong with it."""


def read_image(path: str | os.PathLike, format: str = "BGR", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a photo as its viewer would show it.

    The EXIF orientation is applied; greyscale, palette and CMYK images become colour, 16-bit samples are scaled
    to 8 bits, transparent pixels are laid on white, and of an animation the first frame is taken.

    Args:
        path: an image file.
        format: "BGR" or "RGB", the order of the channels.
        max_pixels: larger images are refused before they are decoded.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: the file is missing, empty, truncated, no image, smaller than 2 pixels or too large.
    """
    if format not in ("BGR", "RGB"):
        raise ValueError(f"format is '{format}'; use 'BGR' or 'RGB'.")
    data = _read_bytes(path)
    header = _open_header(path, BytesIO(data), max_pixels)
    try:
        # Only a file that ends as a JPEG should goes to OpenCV, which is several times faster but fills what
        # is missing of a truncated one with grey. Pillow takes the rest, and refuses truncated files.
        if header.format in ("JPEG", "MPO") and header.mode in ("L", "RGB") and data.endswith(_END_OF_JPEG):
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            if image is None:
                raise ImageError("OpenCV cannot decode it.")
            return image if format == "BGR" else np.ascontiguousarray(image[:, :, ::-1])
        image = _to_rgb(header)
    except Exception as error:  # broken files make the decoders raise nearly anything
        raise ImageError(f"{os.fspath(path)}: the image is damaged or of an unknown kind ({error}).") from error
    return np.ascontiguousarray(image[:, :, ::-1]) if format == "BGR" else image


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """(height, width) that ``read_image`` would give, from the file's header alone.

    Raises:
        ImageError: as ``read_image``, as far as the header tells.
    """
    with _open_file(path) as stream:
        header = _open_header(path, stream, MAX_PIXELS)
        try:
            turned = header.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)  # these swap the sides
        except Exception:  # damaged EXIF data counts as none
            turned = False
        return (header.width, header.height) if turned else (header.height, header.width)


def list_images(folder: str | os.PathLike) -> list[Path]:
    """The image files of a folder, by name; its subfolders and hidden files are left out.

    Raises:
        ImageError: there is no image in it.
    """
    found = [
        path
        for path in sorted(Path(folder).iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise ImageError(f"{os.fspath(folder)}: the folder holds no image ({', '.join(IMAGE_SUFFIXES)}).")
    return found


def _open_file(path):
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise ImageError(f"{os.fspath(path)}: there is no such file.") from error
    except OSError as error:
        raise ImageError(f"{os.fspath(path)}: the file cannot be read ({error.strerror}).") from error


def _read_bytes(path) -> bytes:
    with _open_file(path) as stream:
        return stream.read()


def _open_header(path, stream, max_pixels: int) -> Image.Image:
    """The image, not yet decoded, with its size checked."""
    name = os.fspath(path)
    if not stream.read(1):
        raise ImageError(f"{name}: the file is empty (0 bytes).")
    stream.seek(0)
    try:
        header = Image.open(stream)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: the image is too large ({error}); scale it down.") from error
    except Exception as error:
        raise ImageError(f"{name}: not an image that can be read, or cut off in its header.") from error
    width, height = header.size
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{name}: the image is {width} x {height} pixels; each side must have {MIN_SIDE} or more.")
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: the image is {width} x {height} pixels, more than the {max_pixels:,} allowed; scale it down."
        )
    return header


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Decode any mode to (H, W, 3) uint8 in RGB order."""
    image.load()
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data counts as none
        logger.warning("%s image with damaged EXIF data: taken as it is stored.", image.format)
    if image.mode in _SIXTEEN_BIT_MODES:
        return _from_sixteen_bits(np.asarray(image))
    if image.mode == "F":
        raise ImageError("its pixels are floating-point numbers without a known range; save it with 8 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _from_sixteen_bits(values: np.ndarray) -> np.ndarray:
    """(H, W) samples of 0 to 65535 -> (H, W, 3) of 0 to 255."""
    if values.min() < 0 or values.max() > 65535:
        raise ImageError("its samples have more than 16 bits; save it with 8 or 16")
    eight = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.repeat(eight[:, :, None], 3, axis=2)
