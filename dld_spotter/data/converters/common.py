"""What all converters share: finding images and their annotation files, reading text safely, writing our JSON."""

import math
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import ExifTags, Image

from dld_spotter.data.problems import Problems
from dld_spotter.data.text_validation import DONT_CARE
from dld_spotter.data.text_writer import TextJsonWriter
from dld_spotter.image_io import IMAGE_SUFFIXES, ImageError, image_size

_ANNOTATION_PREFIX = re.compile(r"^(poly_|rect_)?gt_", re.IGNORECASE)
_LAST_NUMBER = re.compile(r"(\d+)$")


@dataclass(slots=True)
class Word:
    """One annotated word: flat x1, y1, x2, y2, ... as annotated, its text, whether it is don't care."""

    outline: list[float]
    text: str
    ignore: bool
    characters: list[list[float]] | None = None


class Sample(NamedTuple):
    """One image, relative to the image folder, with the size that it has when it is shown upright."""

    file_name: str
    height: int
    width: int
    words: list[Word]


class Source(NamedTuple):
    """What a converter gives: at most ``total`` samples, made one after the other."""

    total: int
    samples: Iterator[Sample]


class TextFile(NamedTuple):
    """An annotation file of a folder or of a zip archive."""

    name: str
    read: Callable[[], bytes]

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem


@dataclass
class Summary:
    """Counts of a conversion."""

    images: int = 0
    images_without_words: int = 0
    words: int = 0
    dont_care: int = 0

    def __str__(self) -> str:
        return (
            f"{self.images} images ({self.images_without_words} without words), {self.words} words: "
            f"{self.words - self.dont_care} cared for, {self.dont_care} don't care"
        )


def make_word(
    outline: Sequence[float], text: str, ignore: bool = False, characters: list[list[float]] | None = None
) -> Word:
    """A word without outer blanks; one that is empty or "###" is don't care.

    Raises:
        ValueError: coordinates that are not finite.
    """
    text = text.strip()
    outline = [float(value) for value in outline]
    if not all(map(math.isfinite, outline)):
        raise ValueError("a coordinate is NaN or infinite")
    return Word(outline, text, ignore or text in ("", DONT_CARE), characters)


def box_outline(left: float, top: float, right: float, bottom: float) -> list[float]:
    """The four corners of a box, clockwise from the top left."""
    return [left, top, right, top, right, bottom, left, bottom]


def decode_text(data: bytes, name: str, problems: Problems) -> str:
    """UTF-8 with or without a byte order mark; else Latin-1, with a warning. Line ends become "\\n"."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.warning("not_utf8", f"{name} is not UTF-8 (byte {error.start}); read as Latin-1.")
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1."""
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def annotation_files(path: Path, *suffixes: str) -> list[TextFile]:
    """Files with these suffixes below a folder or in a zip archive, sorted by name.

    Raises:
        FileNotFoundError: there is no such folder or archive, or none of these files in it.
    """
    if path.is_dir():
        found = [
            TextFile(file.relative_to(path).as_posix(), file.read_bytes)
            for file in path.rglob("*")
            if file.is_file() and _wanted(file.relative_to(path).parts, suffixes)
        ]
    elif path.is_file() and zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(path)  # stays open as long as one of its files may be read
        names = [name for name in archive.namelist() if _wanted(PurePosixPath(name).parts, suffixes)]
        found = [TextFile(name, partial(archive.read, name)) for name in names]
    else:
        raise FileNotFoundError(f"{path} is neither a folder nor a zip archive of annotations.")
    if not found:
        raise FileNotFoundError(f"{path} holds no {' or '.join(suffixes)} file.")
    return sorted(found, key=lambda file: _natural(file.name))


class ImageFolder:
    """The images below a folder, to be found by the names of their annotation files."""

    def __init__(self, root: Path):
        if not root.is_dir():
            raise FileNotFoundError(f"there is no image folder {root}.")
        self.root = root
        self.names = sorted(
            Path(folder, file).relative_to(root).as_posix()
            for folder, _, files in os.walk(root)
            for file in files
            if Path(file).suffix.lower() in IMAGE_SUFFIXES and not file.startswith(".")
        )
        if not self.names:
            raise FileNotFoundError(f"{root} holds no image ({', '.join(IMAGE_SUFFIXES)}).")
        self._by_stem: dict[str, list[str]] = {}
        self._by_number: dict[int, list[str]] = {}
        for name in self.names:
            stem = PurePosixPath(name).stem.lower()
            self._by_stem.setdefault(stem, []).append(name)
            number = _LAST_NUMBER.search(stem)
            if number:
                self._by_number.setdefault(int(number[1]), []).append(name)

    def __contains__(self, name: str) -> bool:
        return (self.root / name).is_file()

    def find(self, annotation_stem: str) -> str:
        """The image of ``gt_img_7`` (``img_7.jpg``, any suffix), of ``poly_gt_img7``, of ``0000007`` (``img7.jpg``).

        Raises:
            ImageError: no image or several fit.
        """
        stem = _ANNOTATION_PREFIX.sub("", annotation_stem).lower()
        if Path(stem).suffix in IMAGE_SUFFIXES:
            stem = Path(stem).stem
        number = _LAST_NUMBER.search(stem)
        found = self._by_stem.get(stem) or (self._by_number.get(int(number[1]), []) if number else [])
        if len(found) != 1:
            what = f"fits {', '.join(found[:3])}" if found else "has no image"
            raise ImageError(f"the annotation file {annotation_stem} {what} in {self.root}")
        return found[0]


def make_sample(root: Path, name: str, words: list[Word], problems: Problems, *, stored: bool = False) -> Sample | None:
    """A sample with the image's size from its header; None, and an error noted, if that cannot be read.

    Words with fewer than three points are left out with a warning.

    Args:
        stored: the coordinates are those of the stored pixels, so that words in a photo with an EXIF orientation
            must be turned with it. (Benchmarks are annotated so; labelling tools show the photo upright.)
    """
    path = root / name
    try:
        height, width = image_size(path)
    except ImageError as error:
        problems.error("unreadable_image", f"{error} Left out.", name)
        return None
    kept = []
    for word in words:
        if len(word.outline) < 6:
            problems.warning("too_few_points", f"'{word.text}' has {len(word.outline) // 2} points; left out.", name)
        else:
            kept.append(word)
    orientation = exif_orientation(path) if stored else 1
    if orientation != 1 and kept:
        problems.warning("turned", f"turned the words with the photo (EXIF orientation {orientation}).", name)
        for word in kept:
            word.outline = upright(word.outline, orientation, height, width)
            if word.characters:
                word.characters = [upright(quad, orientation, height, width) for quad in word.characters]
    return Sample(name, height, width, kept)


def exif_orientation(path: Path) -> int:
    """EXIF orientation of an image, 1 to 8; 1 (upright) where there is none."""
    if path.suffix.lower() not in (".jpg", ".jpeg", ".tif", ".tiff", ".png", ".webp"):
        return 1
    try:
        with Image.open(path) as header:
            orientation = header.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF data counts as none, as in image_io
        return 1
    return orientation if orientation in range(1, 9) else 1


def upright(flat: Sequence[float], orientation: int, height: int, width: int) -> list[float]:
    """Points of the stored pixels in the upright image, whose height and width are given (EXIF 2.3, tag 0x0112)."""
    points = []
    for x, y in zip(flat[0::2], flat[1::2], strict=True):
        if orientation >= 5:  # these store the columns as rows
            x, y = y, x
        points += [
            width - x if orientation in (2, 3, 6, 7) else x,
            height - y if orientation in (3, 4, 7, 8) else y,
        ]
    return points


def write_samples(samples: Iterable[Sample], output: Path, info: dict) -> Summary:
    """Write samples as our JSON while they come; only what is being written is in memory. All or nothing.

    Raises:
        ValueError: there is not one sample.
    """
    summary = Summary()
    with TextJsonWriter(output, info) as writer:
        for sample in samples:
            image_id = writer.add_image({"file_name": sample.file_name, "height": sample.height, "width": sample.width})
            for word in sample.words:
                writer.add_annotation(_annotation(word, image_id))
            summary.images += 1
            summary.images_without_words += not sample.words
            summary.words += len(sample.words)
            summary.dont_care += sum(word.ignore for word in sample.words)
        if not summary.images:
            raise ValueError("no image could be converted, so nothing is written.")
    return summary


def _annotation(word: Word, image_id: int) -> dict:
    annotation = {"image_id": image_id, "segmentation": [word.outline], "text": word.text, "ignore": word.ignore}
    return annotation | ({"characters": word.characters} if word.characters else {})


def _wanted(parts: tuple[str, ...], suffixes: tuple[str, ...]) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return bool(parts) and not hidden and PurePosixPath(parts[-1]).suffix.lower() in suffixes


def _natural(name: str) -> list:
    """Sorting key that puts img_2 before img_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]
