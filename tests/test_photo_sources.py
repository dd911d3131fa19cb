"""Inputs of every kind as named photos, and arrays of every form as pixels."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dld_spotter.photo_sources import Photo, to_photos
from dld_spotter.pixels import ImageError, array_to_bgr


def picture(height=6, width=8, value=90):
    return np.full((height, width, 3), value, np.uint8)


def write(path, pages=1, size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [Image.new("RGB", size, (40 * page, 0, 0)) for page in range(1, pages + 1)]
    frames[0].save(path, **({"save_all": True, "append_images": frames[1:]} if pages > 1 else {}))
    return path


def names(photos):
    return [(photo.file_name, photo.name, photo.page) for photo in photos]


def encoded(format="PNG"):
    stream = BytesIO()
    Image.fromarray(picture()[:, :, ::-1]).save(stream, format)
    return stream.getvalue()


def test_every_kind_of_input_is_read_alike(tmp_path):
    data = encoded()
    (tmp_path / "a.png").write_bytes(data)
    opened = Image.open(tmp_path / "a.png")
    given = [tmp_path / "a.png", str(tmp_path / "a.png"), data, bytearray(data), memoryview(data)]
    given += [opened, Image.fromarray(picture()[:, :, ::-1]), picture()]
    photos = list(to_photos(given))
    for photo in photos:
        assert photo.size() == (6, 8)
        np.testing.assert_array_equal(photo.read(), picture())
    called = [photo.file_name for photo in photos]
    assert called[2:5] == ["bytes_2", "bytes_3", "bytes_4"] and called[6:] == ["image_6", "array_7"]
    assert len({photo.name for photo in photos}) == len(photos)
    for one in given:
        assert len(list(to_photos(one))) == 1


def test_twins_get_files_of_their_own(tmp_path):
    paths = [write(tmp_path / name) for name in ("IMG_1.jpg", "IMG_1.png", "img_1.bmp", "b/IMG_1.jpg", "IMG_1_2.jpg")]
    photos = list(to_photos(paths))
    assert [photo.name for photo in photos] == ["IMG_1", "IMG_1_2", "img_1_3", "IMG_1_4", "IMG_1_2_2"]
    assert [photo.file_name for photo in photos] == [
        *(paths[0].as_posix(), "IMG_1.png", "img_1.bmp", paths[3].as_posix(), "IMG_1_2.jpg")
    ]
    composed, decomposed = (write(tmp_path / "c" / f"{accent}.jpg") for accent in ("caf\u00e9", "cafe\u0301"))
    assert names(to_photos([composed, decomposed]))[1][1] == "cafe\u0301_2"


def test_photos_of_subfolders_are_called_by_their_path(tmp_path):
    for name in ("a/1.jpg", "b/1.jpg", "2.jpg"):
        write(tmp_path / name)
    assert names(to_photos(tmp_path)) == [("2.jpg", "2", None)]
    expected = [("2.jpg", "2", None), ("a/1.jpg", "1", None), ("b/1.jpg", "1_2", None)]
    assert names(to_photos(tmp_path, recursive=True)) == expected
    assert names(to_photos(tmp_path, recursive=True, exclude=[tmp_path / "b"])) == expected[:2]


def test_an_iterator_is_taken_as_it_comes(tmp_path):
    paths = [write(tmp_path / name) for name in ("a/1.jpg", "b/1.jpg", "2.jpg")]
    taken = []

    def source():
        for path in paths:
            taken.append(path)
            yield path

    photos = to_photos(source())
    first = next(photos)
    assert first.file_name == "1.jpg" and taken == paths[:1]
    assert names(photos) == [(paths[1].as_posix(), "1_2", None), ("2.jpg", "2", None)]


def test_every_page_of_a_tiff_is_a_photo(tmp_path):
    path = write(tmp_path / "scan.tif", pages=3)
    expected = [("scan.tif", f"scan_page_{page}", page) for page in (1, 2, 3)]
    assert names(to_photos(path)) == names(to_photos(iter([path]))) == expected
    assert [int(photo.read()[0, 0, 2]) for photo in to_photos(path)] == [40, 80, 120]
    assert [photo.page for photo in to_photos(path.read_bytes())] == [1, 2, 3]
    assert names(to_photos([path, write(tmp_path / "one.tif")]))[3:] == [("one.tif", "one", None)]
    renamed = path.rename(tmp_path / "scan.jpg")  # as some scanners and mail programs call it
    assert names(to_photos(renamed)) == [("scan.jpg", f"scan_page_{page}", page) for page in (1, 2, 3)]


def test_of_a_pil_image_of_several_pages_one_is_read_with_a_warning(tmp_path, caplog):
    pages = [Image.new("RGB", (40, 30), color) for color in ("black", "white")]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    with Image.open(tmp_path / "scan.tif") as image, caplog.at_level("WARNING"):
        (photo,) = to_photos(image)
        assert photo.read().max() == 0 and "scan.tif: only one of its pages" in caplog.text


def test_photos_pass_as_they_are(tmp_path):
    photo = Photo(picture(), "called.jpg", "mine")
    assert list(to_photos([photo])) == [photo] and list(to_photos(photo)) == [photo]


def test_what_cannot_be_read_says_what_to_pass(tmp_path):
    for wrong in (3, None, object()):
        with pytest.raises(TypeError, match=f"a path.*PIL image.*{type(wrong).__name__}"):
            list(to_photos([wrong]))
    with pytest.raises(ValueError, match="empty path"):
        list(to_photos(""))
    (empty,) = to_photos(tmp_path)
    with pytest.raises(ImageError, match="no image"):
        empty.read()
    for one in (Image.new("RGB", (1, 5)), Image.new("F", (5, 5)), b"rubbish", b""):
        (photo,) = to_photos([one])
        with pytest.raises(ImageError, match="^(image|bytes)_0: "):
            photo.read()


def test_pil_images_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    write(tmp_path / "a.jpg")
    Image.open(tmp_path / "a.jpg").save(tmp_path / "b.jpg", exif=exif)
    (photo,) = to_photos([Image.open(tmp_path / "b.jpg")])
    assert photo.size() == (8, 6) and photo.read().shape == (8, 6, 3) and photo.file_name == "b.jpg"


GRADIENT = np.arange(0, 240, 5, dtype=np.uint8).reshape(6, 8)


@pytest.mark.parametrize(
    "array",
    [
        GRADIENT,
        GRADIENT[:, :, None],
        GRADIENT.astype(np.uint16) * 257,
        *(np.rint(GRADIENT / 255 * (2**bits - 1)).astype(np.uint16) for bits in (10, 12, 14)),
        GRADIENT.astype(np.uint16),
        GRADIENT.astype(np.int64),
        GRADIENT / 255,
        (GRADIENT / 255).astype(np.float32),
        GRADIENT.astype(np.float64),
        np.dstack([GRADIENT] * 3),
        np.dstack([GRADIENT] * 3 + [np.full_like(GRADIENT, 255)]),
        np.asfortranarray(np.dstack([GRADIENT] * 3)),
    ],
)
def test_arrays_whose_meaning_is_clear(array):
    image = array_to_bgr(array, "it")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.dstack([GRADIENT] * 3))


def test_channels_of_arrays():
    bgra = np.zeros((4, 5, 4), np.uint8)
    bgra[:, :2] = (10, 20, 30, 255)
    assert array_to_bgr(bgra, "it")[0].tolist() == [[10, 20, 30]] * 2 + [[255] * 3] * 3
    assert array_to_bgr(np.eye(3, dtype=bool), "it")[0].tolist() == [[255] * 3, [0] * 3, [0] * 3]


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((3, 20, 30), np.uint8), "transpose"),
        (np.zeros((20, 30, 2), np.uint8), r"\(20, 30, 2\)"),
        (np.zeros((1, 30, 3), np.uint8), "2 pixels"),
        (np.zeros((), np.uint8), "uint8"),
        (np.zeros((0, 0, 3), np.uint8), "2 pixels"),
        (np.full((4, 4, 3), -0.5), "-0.5"),
        (np.full((4, 4, 3), 256.0), "256"),
        (np.full((4, 4, 3), np.nan), "nan"),
        (np.full((4, 4, 3), 300), "300"),
        (np.full((4, 4, 3), 1j), "type"),
        (np.full((4, 4, 3), "a"), "type"),
    ],
)
def test_arrays_of_unclear_meaning_say_what_to_pass(array, says):
    with pytest.raises(ImageError, match=f"(?s)^it: an image array is.*{says}"):
        array_to_bgr(array, "it")
