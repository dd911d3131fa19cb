"""What can be read, whatever it comes as: paths, folders, bytes, arrays and PIL images become named photos."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sized
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from dld_spotter.image_io import count_pages, header_size, image_size, read_image
from dld_spotter.photo_files import list_images
from dld_spotter.pixels import MIN_SIDE, ImageError, array_to_bgr, pil_to_rgb

logger = logging.getLogger(__name__)

Source = str | os.PathLike | bytes | bytearray | memoryview | np.ndarray | Image.Image
_BYTES = (bytes, bytearray, memoryview)


@dataclass(frozen=True, eq=False)
class Photo:
    """One image to read.

    Attributes:
        source: a path, the bytes of an image file, an array (see ``array_to_bgr``) or a PIL image.
        file_name: what the image is called in its record.
        name: the stem of the files that are written of it, distinct in a run.
        page: of a TIFF of several pages, from 1; else None.
    """

    source: Path | bytes | np.ndarray | Image.Image
    file_name: str
    name: str
    page: int | None = None

    def size(self) -> tuple[int, int]:
        """(height, width), without decoding more than a header.

        Raises:
            ImageError: it cannot be told.
        """
        if isinstance(self.source, (Path, bytes)):
            return image_size(self.source, self.page)
        if isinstance(self.source, Image.Image):
            return header_size(self.source)
        return self.read().shape[:2]

    def read(self) -> np.ndarray:
        """(H, W, 3) uint8 in BGR order.

        Raises:
            ImageError: it cannot be read.
        """
        if isinstance(self.source, np.ndarray):
            return array_to_bgr(self.source, self.file_name)
        if isinstance(self.source, Image.Image):
            return _from_pil(self.source, self.file_name)
        if isinstance(self.source, Path) and os.path.isdir(self.source):
            list_images(self.source)  # says that there is no image in it
        return read_image(self.source, page=self.page, name=None if isinstance(self.source, Path) else self.file_name)


def to_photos(
    inputs: Source | Photo | Iterable[Source | Photo],
    recursive: bool = False,
    exclude: Collection[str | os.PathLike] = (),
) -> Iterator[Photo]:
    """The photos among what is given, in its order; folders give their images, and TIFFs a photo for each page.

    An image is called by its file's name, in a folder by its path from there. Where several would be called
    alike, by the path as given; of an iterator only what came before is known. A folder without an image stays, to
    be reported as unreadable.

    Args:
        inputs: one source, or any number of them.
        recursive: read subfolders, too.
        exclude: subfolders that are not read.

    Raises:
        TypeError: something else than a source.
    """
    single = (str, os.PathLike, *_BYTES, np.ndarray, Image.Image, Photo)
    inputs = [inputs] if isinstance(inputs, single) else inputs
    expanded = _expand(inputs, recursive, exclude)
    shared: set[str] = set()
    if isinstance(inputs, Sized):
        listed = list(expanded)
        shared = {label for label, number in Counter(label for _, label in listed).items() if number > 1}
        expanded = iter(listed)
    names = _Names(shared)
    for position, (source, label) in enumerate(expanded):
        yield from [source] if isinstance(source, Photo) else names.photos(source, label, position)


class _Names:
    """Gives photos their names.

    Args:
        shared: labels that several photos have.
    """

    def __init__(self, shared: Collection[str]):
        self._called = set(shared)
        self._stems: set[str] = set()

    def photos(self, source: Path | bytes | np.ndarray | Image.Image, label: str, position: int) -> Iterator[Photo]:
        """A photo for each page of a source."""
        shared = label in self._called
        self._called.add(label)
        if isinstance(source, Path):
            file_name, stem = source.as_posix() if shared else label, source.stem
        elif label and not shared:
            file_name, stem = label, Path(label).stem
        else:
            file_name = stem = f"{_kind(source)}_{position}"
        for page in _pages(source):
            name = self._distinct(stem if page is None else f"{stem}_page_{page}")
            yield Photo(source, file_name, name, page)

    def _distinct(self, stem: str) -> str:
        """The stem, or with a number if a file of that name is due; also where case or accents' form do not count."""
        for number in count(1):
            name = stem if number == 1 else f"{stem}_{number}"
            key = unicodedata.normalize("NFC", name).casefold()
            if key not in self._stems:
                break
        self._stems.add(key)
        return name


def _expand(inputs: Iterable, recursive: bool, exclude: Collection) -> Iterator[tuple]:
    """(source, label) of each; the label is "" for what has no file name."""
    for source in inputs:
        if isinstance(source, (Photo, np.ndarray)):
            yield source, ""
        elif isinstance(source, Image.Image):
            yield source, Path(getattr(source, "filename", "")).name
        elif isinstance(source, _BYTES):
            yield bytes(source), ""
        elif isinstance(source, (str, os.PathLike)):
            if not os.fspath(source):
                raise ValueError("an input is an empty path; '.' is the current folder.")
            yield from _expand_path(Path(source), recursive, exclude)
        else:
            raise TypeError(
                "an input is a path, the bytes of an image file, a NumPy array or a PIL image, not a "
                f"{type(source).__name__}."
            )


def _expand_path(path: Path, recursive: bool, exclude: Collection) -> Iterator[tuple[Path, str]]:
    if not os.path.isdir(path):  # unlike Path.is_dir, it takes any name
        yield path, path.name
        return
    try:
        images = list_images(path, recursive, exclude)
    except ImageError:
        yield path, path.name
        return
    for image in images:
        yield image, image.relative_to(path).as_posix()


def _pages(source: Path | bytes | np.ndarray | Image.Image) -> list[int] | list[None]:
    """The numbers of a source's pages; [None] for one that has no other."""
    if not isinstance(source, Path | bytes):
        return [None]
    try:
        pages = count_pages(source)
    except ImageError:  # reading it says why
        return [None]
    return list(range(1, pages + 1)) if pages > 1 else [None]


def _kind(source: object) -> str:
    return "array" if isinstance(source, np.ndarray) else "bytes" if isinstance(source, bytes) else "image"


def _from_pil(image: Image.Image, name: str) -> np.ndarray:
    if min(image.size) < MIN_SIDE:
        raise ImageError(f"{name}: the image is {image.width} x {image.height} pixels; {MIN_SIDE} or more a side.")
    if image.format != "MPO" and getattr(image, "is_animated", False):  # phones put smaller copies into MPO files
        logger.warning("%s: only one of its pages is read, where it stands; give the file.", name)
    try:
        return np.ascontiguousarray(pil_to_rgb(image)[:, :, ::-1])
    except Exception as error:  # broken files make the decoders raise nearly anything
        raise ImageError(f"{name}: the image is damaged or of an unknown kind ({error}).") from error
