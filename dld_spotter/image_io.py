"""Reading photos of any kind into one form, or saying in one sentence why one cannot be read."""

from __future__ import annotations

import logging
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import ExifTags, Image

from dld_spotter.exif_orientation import exif_orientation
from dld_spotter.pixels import MIN_SIDE, ImageError, ImageTooLarge, pil_to_rgb

logger = logging.getLogger(__name__)

MAX_PIXELS = 2 * 89_478_485  # Pillow itself refuses more than twice its Image.MAX_IMAGE_PIXELS
MAX_JPEG_BYTES = 1 << 30  # a JPEG is read whole before it is decoded

# Pillow's other formats are left out: some call programs (EPS), and none is a photo's.
_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_END_OF_JPEG = b"\xff\xd9"
_NO_MARKER = bytes(range(1, 255))  # bytes that a JPEG decoder takes for pixels where pixels are due, else skips
_MISSING_GREY = 128  # what decoders put where a JPEG has no pixels
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TIFF_SUBFILE_TYPE = 254
_NO_PAGE = 0b101  # bits of a TIFF's subfile type: a smaller copy of another page, a transparency mask
_MAX_PAGES = 10_000


ImageFile = str | os.PathLike | bytes  # a path, or what such a file holds


def read_image(
    source: ImageFile,
    format: str = "BGR",
    max_pixels: int = MAX_PIXELS,
    page: int | None = None,
    name: str | None = None,
) -> np.ndarray:
    """Read a photo as its viewer would show it.

    The EXIF orientation is applied; greyscale, palette and CMYK images become colour, 16-bit samples are scaled
    to 8 bits. Transparent pixels are laid on white, or on black where what is visible is light. Of an animation the
    first frame is taken, and of a TIFF of several pages the first, with a warning.

    Args:
        source: an image file, or its bytes.
        format: "BGR" or "RGB", the order of the channels.
        max_pixels: larger images are refused before they are decoded.
        page: of a TIFF, from 1; see ``count_pages``.
        name: what errors call the image; by default the path.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: the file is missing, empty, truncated, no image, smaller than 2 pixels.
        ImageTooLarge: it has more than ``max_pixels``.
    """
    if format not in ("BGR", "RGB"):
        raise ValueError(f"format is '{format}'; use 'BGR' or 'RGB'.")
    name = name or _name(source)
    with _open_file(source, name) as stream:
        header = _open_header(stream, name, max_pixels, page)
        try:
            rgb = _decode_jpeg(stream, header) if header.format in ("JPEG", "MPO") else None
            if rgb is None:
                _say_what_is_left(header, name, page)
                rgb = pil_to_rgb(header)
        except Exception as error:  # broken files make the decoders raise nearly anything
            raise ImageError(f"{name}: the image is damaged or of an unknown kind ({error}).") from error
    return np.ascontiguousarray(rgb if format == "RGB" else rgb[:, :, ::-1])


def image_size(source: ImageFile, page: int | None = None) -> tuple[int, int]:
    """(height, width) that ``read_image`` would give, from the file's header alone.

    Raises:
        ImageError: as ``read_image``, as far as the header tells.
    """
    return size_and_orientation(source, page)[0]


def size_and_orientation(source: ImageFile, page: int | None = None) -> tuple[tuple[int, int], int]:
    """``image_size``, and the EXIF orientation, 1 to 8, by which it is upright.

    Raises:
        ImageError: as ``image_size``.
    """
    with _open_file(source, _name(source)) as stream:
        header = _open_header(stream, _name(source), MAX_PIXELS, page)
        return header_size(header), exif_orientation(header)


def header_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) of an image that need not be decoded yet, upright by its EXIF orientation."""
    if exif_orientation(image) < 5:
        return image.height, image.width
    if image.format == "TIFF":  # Pillow 11 gives the size of a TIFF as it is shown, earlier ones as it is stored
        tags: Any = getattr(image, "tag_v2")  # noqa: B009 (of TIFFs alone)
        return tags.get(ExifTags.Base.ImageWidth, 0), tags.get(ExifTags.Base.ImageLength, 0)
    return image.width, image.height


def count_pages(source: ImageFile) -> int:
    """The pages of a TIFF, whatever it is called, without the smaller copies and masks in it; 1 for anything else.

    Raises:
        ImageError: the file cannot be opened, or is a TIFF that cannot be read.
    """
    with _open_file(source, _name(source)) as stream:
        if stream.read(4) not in _TIFF_STARTS:
            return 1
        stream.seek(0)
        return len(_page_frames(_open_header(stream, _name(source), MAX_PIXELS, None)))


def _name(source: ImageFile) -> str:
    return "the image" if isinstance(source, bytes) else os.fspath(source)


@contextmanager
def _open_file(source: ImageFile, name: str) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield BytesIO(source)
        return
    try:
        mode = os.stat(source).st_mode
        if stat.S_ISDIR(mode):
            raise ImageError(f"{name}: the file cannot be read (it is a folder).")
        if not stat.S_ISREG(mode):  # a pipe would be waited for, a device has no end
            raise ImageError(f"{name}: the file cannot be read (it is a pipe, a socket or a device).")
        with open(source, "rb") as stream:
            yield stream
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{name}: there is no such file.") from error
    except (OSError, ValueError) as error:  # the latter of a name that holds a NUL
        raise ImageError(f"{name}: the file cannot be read ({getattr(error, 'strerror', None) or error}).") from error


def _open_header(stream: BinaryIO, name: str, max_pixels: int, page: int | None) -> Image.Image:
    """The image, not yet decoded, with its size checked."""
    start = stream.read(12)
    stream.seek(0)
    if not start:
        raise ImageError(f"{name}: the file is empty (0 bytes).")
    brand = start[8:12] if start[4:8] == b"ftyp" else b""
    try:
        with warnings.catch_warnings():  # of large images: the limit here is max_pixels
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            header = Image.open(stream, formats=_formats(heif=brand in _HEIC_BRANDS + _AVIF_BRANDS))
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"{name}: the image is too large ({error}); scale it down.") from error
    except Exception as error:
        if brand in _HEIC_BRANDS:
            raise ImageError(f"{name}: a HEIC photo needs `pip install pillow-heif`, or save it as JPEG.") from error
        if brand in _AVIF_BRANDS:
            raise ImageError(f"{name}: an AVIF photo needs Pillow 11.3 or later, or save it as JPEG.") from error
        raise ImageError(f"{name}: not an image that can be read, or cut off in its header.") from error
    if header.format == "TIFF" or page is not None:
        _turn_to_page(header, name, page or 1)
    _check_size(header, name, max_pixels)
    return header


def _check_size(header: Image.Image, name: str, max_pixels: int) -> None:
    width, height = header.size
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{name}: the image is {width} x {height} pixels; each side must have {MIN_SIDE} or more.")
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{name}: the image is {width} x {height} pixels, more than the {max_pixels:,} allowed; scale it down."
        )


@cache
def _formats(heif: bool) -> tuple[str, ...]:
    """The formats that this Pillow can read, HEIC with its plug-in."""
    if heif:
        try:
            from pillow_heif import register_heif_opener

            register_heif_opener()
        except ImportError:
            pass
    Image.init()
    return tuple(format for format in _FORMATS if format in Image.OPEN)


def _decode_jpeg(stream: BinaryIO, header: Image.Image) -> np.ndarray | None:
    """(H, W, 3) uint8 in RGB order; None for one that only Pillow can decode, or whose end Pillow has to look for.

    Only a file that ends as a JPEG should goes to OpenCV, which is several times faster, but fills what is missing
    of a truncated one with grey. Pillow refuses those, unless an end marker follows the missing part.
    """
    stream.seek(0)
    data = stream.read(MAX_JPEG_BYTES + 1)
    if len(data) > MAX_JPEG_BYTES:
        raise ImageError(f"it has more than {MAX_JPEG_BYTES:,} bytes")
    if not data.endswith(_END_OF_JPEG):
        return None
    image = None
    if header.mode in ("L", "RGB"):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    # A progressive one lacks sharpness, and not grey; nearly all others are known to be whole at a glance.
    if (image is None or "progression" in header.info or _has_grey_corner(image)) and _lacks_pixels(data):
        raise ImageError("it is truncated: its pixels end too early")
    return None if image is None else image[:, :, ::-1]


def _has_grey_corner(image: np.ndarray) -> bool:
    corners = image[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)  # the last pixels, whatever the EXIF orientation is
    return bool((abs(corners - _MISSING_GREY).max(axis=1) < 8).any())


def _lacks_pixels(data: bytes) -> bool:
    """Whether a JPEG's pixels end before its end marker: then bytes that are put there change the picture.

    Pillow decodes both: OpenCV would print what it thinks of such bytes.
    """
    end = data.rindex(_END_OF_JPEG)
    longer = data[:end] + _NO_MARKER + data[end:]
    return bool((np.asarray(Image.open(BytesIO(data))) != np.asarray(Image.open(BytesIO(longer)))).any())


def _say_what_is_left(header: Image.Image, name: str, page: int | None) -> None:
    if header.format == "TIFF":
        pages = len(_page_frames(header)) if page is None else 1
        if pages > 1:
            logger.warning("%s: only the first of its %d pages is read.", name, pages)
    elif header.format != "MPO" and getattr(header, "is_animated", False):
        logger.warning("%s: an animation of %d frames; only the first is read.", name, getattr(header, "n_frames", 0))


def _turn_to_page(header: Image.Image, name: str, page: int) -> None:
    frames = _page_frames(header)
    if not 1 <= page <= len(frames):
        raise ImageError(f"{name}: there is no page {page}; it has {len(frames)}.")
    header.seek(frames[page - 1])


def _page_frames(header: Image.Image) -> list[int]:
    """Which frames of a file are pages: of a TIFF all but smaller copies and masks, of others the first."""
    if header.format != "TIFF":
        return [0]
    frames = []
    current = header.tell()
    try:
        for frame in range(_MAX_PAGES):
            header.seek(frame)
            if not getattr(header, "tag_v2", {}).get(_TIFF_SUBFILE_TYPE, 0) & _NO_PAGE:
                frames.append(frame)
        logger.warning("a TIFF has %d pages or more; the others are left out.", _MAX_PAGES)
    except EOFError:  # after the last one
        pass
    except Exception as error:  # nearly anything where the file is damaged
        logger.warning("a TIFF is damaged after its page %d (%s); the others are left out.", len(frames), error)
    header.seek(current)
    return frames or [0]
