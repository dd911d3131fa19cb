"""Image files that are cut, empty, too large or no images: each is refused by name, and no whole one is."""

import os
import struct
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from dld_spotter.image_io import ImageError, ImageTooLarge, image_size, read_image


def test_programs_in_files_are_not_run(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 72 72\nshowpage\n")
    with pytest.raises(ImageError, match="not an image"):
        read_image(tmp_path / "a.jpg")


JPEGS = {
    "plain": {},
    "progressive": {"progressive": True},
    "optimised": {"optimize": True},
    "with restarts": {"restart_marker_rows": 1},
    "without subsampling": {"subsampling": 0},
    "grey": {"mode": "L"},
    "CMYK": {"mode": "CMYK"},
}


def _jpeg(mode="RGB", orientation=1, **options):
    """A JPEG whose corners are not grey."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = BytesIO()
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (90, 131, 3), np.uint8), (0, 0), 3)
    Image.fromarray(image).convert(mode).save(stream, "JPEG", quality=90, exif=exif, **options)
    return stream.getvalue()


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_cut_in_half_is_refused_though_it_has_an_end(tmp_path, kind, orientation):
    data = _jpeg(orientation=orientation, **JPEGS[kind])
    (tmp_path / "a.jpg").write_bytes(data)
    assert read_image(tmp_path / "a.jpg").shape[:2] in ((90, 131), (131, 90))
    for share in (0.5, 0.7, 0.9):
        (tmp_path / "cut.jpg").write_bytes(data[: int(len(data) * share)].rstrip(b"\xff") + b"\xff\xd9")
        with pytest.raises(ImageError, match="cut.jpg.*truncated"):
            read_image(tmp_path / "cut.jpg")


def test_a_whole_jpeg_with_grey_corners_is_read(tmp_path):
    image = np.full((64, 64, 3), 128, np.uint8)
    image[16:48, 16:48] = 255  # whole blocks
    Image.fromarray(image).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - image).max() <= 12


def _large_png_header(width, height):
    """A PNG that claims a size but holds no pixels: decoding it would fail."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _jpeg_bytes():
    return cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))[1].tobytes()


def _png_bytes(height=64, width=64):
    return cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.jpg", b"hello, I am no image", "not an image"),
        ("cut.jpg", _jpeg_bytes()[:-300], "truncated"),
        ("cut_by_two.jpg", _jpeg_bytes()[:-200], "truncated"),
        ("cut_in_header.jpg", _jpeg_bytes()[:40], "not an image"),
        ("cut.png", _png_bytes()[:2000], "truncated"),
        ("pixel.png", _png_bytes(1, 1), "1 x 1"),
        ("line.png", _png_bytes(1, 40), "40 x 1"),
        ("large.png", _large_png_header(5000, 4000), "5000 x 4000"),
        ("bomb.png", _large_png_header(100_000, 100_000), "too large"),
        ("large_for_pillow.png", _large_png_header(12_000, 10_000), "12000 x 10000"),
        ("zero.png", _large_png_header(0, 5), "zero.png"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_files_are_named_and_explained(tmp_path, name, data, says):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ImageError, match=says) as caught:
        read_image(path, max_pixels=1_000_000)
    assert name in str(caught.value)
    assert isinstance(caught.value, ImageTooLarge) == name.startswith(("large", "bomb"))


def test_missing_file_folder_and_unknown_format(tmp_path):
    with pytest.raises(ImageError, match="gone.jpg: there is no such file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path)
    with pytest.raises(ValueError, match="'BGR' or 'RGB'"):
        read_image(tmp_path / "gone.jpg", format="L")


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", "/dev/zero"):
        with pytest.raises(ImageError, match="device"):
            read_image(path)
    for name in ("a\0.jpg", "a" * 300 + ".jpg"):
        with pytest.raises(ImageError, match="cannot be read"):
            read_image(tmp_path / name)


def test_bytes_are_read_as_their_file(tmp_path):
    (tmp_path / "a.jpg").write_bytes(_jpeg(orientation=6))
    np.testing.assert_array_equal(read_image((tmp_path / "a.jpg").read_bytes()), read_image(tmp_path / "a.jpg"))
    assert image_size((tmp_path / "a.jpg").read_bytes()) == (131, 90)
    with pytest.raises(ImageError, match="^the upload: .*empty"):
        read_image(b"", name="the upload")


def test_samples_that_have_no_known_range_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(ImageError, match="float.tiff.*floating-point"):
        read_image(tmp_path / "float.tiff")
    Image.fromarray(np.full((4, 4), 70_000, np.int32)).save(tmp_path / "long.tiff")
    with pytest.raises(ImageError, match="long.tiff.*16 bits"):
        read_image(tmp_path / "long.tiff")
