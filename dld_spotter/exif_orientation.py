"""Which way up a photo is stored (EXIF 2.3, tag 0x0112); damaged EXIF data counts as none."""

from collections.abc import Sequence

from PIL import ExifTags, Image


def exif_orientation(image: Image.Image) -> int:
    """EXIF orientation of an image that need not be decoded yet, 1 to 8; 1 (upright) where there is none."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1
    return orientation if orientation in range(1, 9) else 1


def upright(flat: Sequence[float], orientation: int, height: int, width: int) -> list[float]:
    """Points x1, y1, x2, ... of the stored pixels in the upright image, whose height and width are given."""
    points = []
    for x, y in zip(flat[0::2], flat[1::2], strict=True):
        if orientation >= 5:  # these store the columns as rows
            x, y = y, x
        points += [
            width - x if orientation in (2, 3, 6, 7) else x,
            height - y if orientation in (3, 4, 7, 8) else y,
        ]
    return points
