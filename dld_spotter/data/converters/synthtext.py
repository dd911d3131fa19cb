"""SynthText: 858,750 rendered images, annotated in one large .mat file."""

import math
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dld_spotter.data.converters.common import Sample, Source, make_word
from dld_spotter.data.converters.mat_reader import MEMORY, SECONDS, MatReader
from dld_spotter.data.converters.reading import Entry, EntryReader, read_samples
from dld_spotter.data.problems import Problems, Unusable

_BYTES_A_SECOND = 2**20  # that are read at the least


def synthtext(
    images: Path, annotations: Path, problems: Problems, *, characters: bool = False, min_size: float = 6.0
) -> Source:
    """SynthText's ``gt.mat``.

    Images whose words and boxes differ in number are left out with a warning. Coordinates are kept as they are, also
    where they leave the image; our loader clips them.

    Memory: the .mat file is loaded once, as a whole, in a process of its own: about 2.4 GB for all of SynthText with
    the characters' boxes, less without. Everything else is made and written image by image, and what was written
    is let go, so that memory shrinks while the conversion goes on. Image sizes come from the files' headers.

    Args:
        images: the image folder.
        annotations: gt.mat, or the folder that holds it.
        problems: where problems are counted.
        characters: keep the characters' boxes too; images where they do not fit the words are left out.
        min_size: words whose shorter side is below this many pixels are don't care.
    """
    path = annotations / "gt.mat" if annotations.is_dir() else annotations
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; give SynthText's gt.mat with --annotations.")
    size = path.stat().st_size
    reader = MatReader(SECONDS + size / _BYTES_A_SECOND, MEMORY + 8 * size)
    try:
        total, rows = reader.columns(path, ["imnames", "txt", "wordBB", *(["charBB"] if characters else [])])
    except ValueError as error:
        raise ValueError(f"{path}: {error}.") from error
    entries = table_entries(rows, min_size)
    return Source(total, _closing(entries, images, problems, reader))


def table_entries(rows: Iterable[Any], min_size: float) -> Iterator[tuple[str, EntryReader]]:
    """An entry for each row: name, texts, boxes of words and perhaps boxes of characters."""
    for number, row in enumerate(rows, 1):
        yield f"image {number}", partial(_entry, row, min_size)


def split_words(lines: Any) -> list[str]:
    """The words of an image: its strings hold one or more lines, padded with blanks, each of one or more words."""
    return [word for line in np.asarray(lines).reshape(-1) for word in str(line).split()]


def quadrilaterals(boxes: Any) -> list[list[float]]:
    """(2, 4, n) x and y of the corners, or (2, 4) for a single one -> n flat x1, y1, ..., x4, y4."""
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.size == 0:
        return []
    if boxes.shape[:2] != (2, 4):
        raise ValueError(f"boxes have the shape {boxes.shape} instead of (2, 4, n)")
    return boxes.reshape(2, 4, -1).transpose(2, 1, 0).reshape(-1, 8).tolist()


def shorter_side(quad: list[float]) -> float:
    """Length of a quadrilateral's shorter side, in pixels; opposite sides are averaged."""
    a, b, c, d = (quad[i : i + 2] for i in range(0, 8, 2))
    return min(math.dist(a, b) + math.dist(c, d), math.dist(b, c) + math.dist(d, a)) / 2


def _closing(
    entries: Iterator[tuple[str, EntryReader]], images: Path, problems: Problems, reader: MatReader
) -> Iterator[Sample]:
    with reader:
        yield from read_samples(entries, images, problems)


def _entry(row: Any, min_size: float) -> Entry:
    if isinstance(row, dict):
        raise ValueError(row["error"])
    name = str(np.asarray(row[0]).reshape(-1)[0])
    texts, quads = split_words(row[1]), quadrilaterals(row[2])
    if len(texts) != len(quads):
        raise Unusable("mismatch", f"{name} has {len(texts)} words but {len(quads)} boxes", "warning")
    characters: list = [None] * len(texts)
    if len(row) > 3:
        boxes = quadrilaterals(row[3])
        ends = np.cumsum([0, *map(len, texts)])
        if len(boxes) != ends[-1]:
            message = f"{name} has {ends[-1]} characters but {len(boxes)} boxes of characters"
            raise Unusable("mismatch", message, "warning")
        characters = [boxes[start:end] for start, end in pairwise(ends)]
    words = [
        (f"word {number}", partial(make_word, quad, text, shorter_side(quad) < min_size, boxes))
        for number, (quad, text, boxes) in enumerate(zip(quads, texts, characters, strict=True), 1)
    ]
    return Entry(name, words)
