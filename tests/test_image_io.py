"""Photos of every kind that a phone, scanner or the web may give, made here and read back."""

import logging
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from dld_spotter.image_io import ImageError, count_pages, image_size, read_image

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
@pytest.mark.parametrize("name", ["fast.jpg", "slow.jpg", "a.png", "a.webp", "a.tif"])
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


@pytest.mark.parametrize("colour", ["white", "yellow", "#ffa0a0", "black", "navy", "#804000"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_ground_leaves_letters_visible(tmp_path, colour, mode):
    letters = Image.new("RGBA", (20, 10))
    letters.paste(colour, (5, 3, 15, 7))
    letters.convert(mode).save(tmp_path / "a.png")
    grey = cv2.cvtColor(read_image(tmp_path / "a.png"), cv2.COLOR_BGR2GRAY).astype(int)
    assert abs(grey[5, 10] - grey[0, 0]) > 80 and grey[0, 0] in (0, 255)


def test_fully_transparent_image_is_white(tmp_path):
    Image.new("RGBA", (8, 6)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 255).all()


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_first_frame_of_an_animation_and_a_warning(tmp_path, name, caplog):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if name.endswith("webp") else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    with caplog.at_level(logging.WARNING):
        assert (read_image(tmp_path / name, "RGB") == [255, 0, 0]).all()
    assert [name in record.message and "3 frames" in record.message for record in caplog.records] == [True]


def test_pages_of_a_tiff(tmp_path, caplog):
    pages = [Image.new("RGB", (8 + number, 6), colour) for number, colour in enumerate(("red", "blue", "lime"))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert count_pages(tmp_path / "a.tif") == count_pages((tmp_path / "a.tif").read_bytes()) == 3
    for page, colour in enumerate(([255, 0, 0], [0, 0, 255], [0, 255, 0]), start=1):
        assert (read_image(tmp_path / "a.tif", "RGB", page=page) == colour).all()
        assert image_size(tmp_path / "a.tif", page=page) == (6, 7 + page)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert (read_image(tmp_path / "a.tif", "RGB") == [255, 0, 0]).all()
    assert len(caplog.records) == 1 and "3 pages" in caplog.records[0].message
    with pytest.raises(ImageError, match="no page 4"):
        read_image(tmp_path / "a.tif", page=4)
    pages[0].save(tmp_path / "a.png")
    assert count_pages(tmp_path / "a.png") == 1


def test_smaller_copies_in_a_tiff_are_no_pages(tmp_path):
    frames = [Image.new("RGB", (side, side), "red") for side in (4, 40, 8)]
    for frame, kind in zip(frames, (1, 0, 4), strict=True):  # a smaller copy, a page, a mask
        frame.encoderinfo = {"tiffinfo": {254: kind}}
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:], tiffinfo={254: 1})
    assert count_pages(tmp_path / "a.tif") == 1
    assert read_image(tmp_path / "a.tif").shape == (40, 40, 3) and image_size(tmp_path / "a.tif") == (40, 40)


@pytest.mark.parametrize("suffix", ["avif", "heic"])
def test_photos_of_phones(tmp_path, suffix):
    if suffix == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(scene(64, 96)).save(path, quality=95)
    assert close(read_image(path, "RGB"), scene(64, 96), tolerance=20)
    assert image_size(path) == (64, 96)


@pytest.mark.parametrize(("brand", "says"), [(b"heic", "pillow-heif"), (b"avif", "Pillow")])
def test_photos_of_phones_name_what_reads_them(tmp_path, brand, says):
    path = tmp_path / "a.jpg"  # whatever it is called
    path.write_bytes(struct.pack(">I", 24) + b"ftyp" + brand + b"\0" * 40)
    with pytest.raises(ImageError, match=f"a.jpg.*{says}"):
        read_image(path)
