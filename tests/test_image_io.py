"""Photos of every kind that a phone, scanner or the web may give, made here and read back."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from dld_spotter.image_io import ImageError, image_size, read_image
from dld_spotter.photo_files import list_images

# What a viewer does for each EXIF orientation (EXIF 2.3, table of tag 0x0112), on an (H, W, C) array.
TO_UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: np.rot90(a, 1),
}


def scene(height=24, width=40):
    """(H, W, 3) RGB, smooth (survives JPEG) and different in every corner."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (height + width)], axis=2).astype(np.uint8)


def close(image, expected, tolerance=12):
    return image.shape == expected.shape and np.abs(image.astype(int) - expected.astype(int)).max() <= tolerance


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "ppm"])
def test_lossless_colour_in_both_channel_orders(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(scene()).save(path, **({"lossless": True} if suffix == "webp" else {}))
    rgb, bgr = read_image(path, "RGB"), read_image(str(path))
    assert rgb.dtype == np.uint8 and rgb.flags.c_contiguous and bgr.flags.c_contiguous
    np.testing.assert_array_equal(rgb, scene())
    np.testing.assert_array_equal(bgr, scene()[:, :, ::-1])


@pytest.mark.parametrize("trailing", [b"", b"camera's own data"])
def test_jpeg_is_what_opencv_decodes_whatever_stands_after_its_end(tmp_path, trailing):
    path = tmp_path / "a.jpg"
    Image.fromarray(scene()).save(path, quality=95)
    path.write_bytes(path.read_bytes() + trailing)
    assert close(read_image(path), cv2.imread(str(path)), tolerance=2)
    assert close(read_image(path, "RGB"), scene())


@pytest.mark.parametrize("orientation", TO_UPRIGHT)
@pytest.mark.parametrize("name", ["fast.jpg", "slow.jpg", "a.png", "a.webp"])
def test_exif_orientation_is_applied(tmp_path, name, orientation):
    path = tmp_path / name
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(scene()).save(path, exif=exif, quality=95)
    if name == "slow.jpg":  # data after the end: Pillow decodes it instead of OpenCV
        path.write_bytes(path.read_bytes() + b"more")
    expected = TO_UPRIGHT[orientation](scene())
    assert close(read_image(path, "RGB"), expected)
    assert image_size(path) == expected.shape[:2]


def test_damaged_exif_counts_as_none(tmp_path):
    path = tmp_path / "a.jpg"
    for trailing in (b"", b"more"):
        Image.fromarray(scene()).save(path, exif=b"Exif\x00\x00rubbish that is no TIFF header", quality=95)
        path.write_bytes(path.read_bytes() + trailing)
        assert close(read_image(path, "RGB"), scene())
        assert image_size(path) == (24, 40)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_greyscale_becomes_three_equal_channels(tmp_path, suffix):
    grey = scene()[:, :, 0]
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}", quality=95)
    assert close(read_image(tmp_path / f"a.{suffix}"), np.repeat(grey[:, :, None], 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    values = np.linspace(0, 65535, 200).astype(np.uint16).reshape(10, 20)
    assert cv2.imwrite(str(tmp_path / f"a.{suffix}"), values)
    expected = np.round(values / 65535 * 255)
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{suffix}"), np.repeat(expected[:, :, None], 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_colour_is_scaled(tmp_path, suffix):
    bgr = scene()[:, :, ::-1].astype(np.uint16) * 257
    assert cv2.imwrite(str(tmp_path / f"a.{suffix}"), bgr)
    assert close(read_image(tmp_path / f"a.{suffix}", "RGB"), scene(), tolerance=1)


def test_transparent_pixels_lie_on_white(tmp_path):
    rgba = np.zeros((4, 6, 4), np.uint8)  # black
    rgba[:, 2:4, 3] = 128  # half transparent
    rgba[:, 4:, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    row = read_image(tmp_path / "a.png")[0, :, 0].astype(int)
    assert row.tolist() == [255, 255, 127, 127, 0, 0]


def test_palette_with_and_without_a_transparent_colour(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [1, 2]], np.uint8), mode="P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", "RGB")[0].tolist() == [[255, 0, 0], [0, 255, 0]]
    picture.save(tmp_path / "b.png", transparency=1)
    assert read_image(tmp_path / "b.png", "RGB")[0].tolist() == [[255, 0, 0], [255, 255, 255]]


def test_one_bit_and_cmyk(tmp_path):
    Image.fromarray(np.array([[True, False], [False, True]])).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[:, :, 0].tolist() == [[255, 0], [0, 255]]
    Image.fromarray(scene()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert close(read_image(tmp_path / "a.jpg", "RGB"), scene(), tolerance=20)


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_image(tmp_path / "a.gif", "RGB") == [255, 0, 0]).all()


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
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_files_are_named_and_explained(tmp_path, name, data, says):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ImageError, match=says) as caught:
        read_image(path, max_pixels=1_000_000)
    assert name in str(caught.value)


def test_missing_file_folder_and_unknown_format(tmp_path):
    with pytest.raises(ImageError, match="gone.jpg: there is no such file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path)
    with pytest.raises(ValueError, match="'BGR' or 'RGB'"):
        read_image(tmp_path / "gone.jpg", format="L")


def test_samples_that_have_no_known_range_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(ImageError, match="float.tiff.*floating-point"):
        read_image(tmp_path / "float.tiff")
    Image.fromarray(np.full((4, 4), 70_000, np.int32)).save(tmp_path / "long.tiff")
    with pytest.raises(ImageError, match="long.tiff.*16 bits"):
        read_image(tmp_path / "long.tiff")


def test_list_images(tmp_path):
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.JPG"]
    with pytest.raises(ImageError, match="no image"):
        list_images(tmp_path / "folder.png")
