"""SynthText: 858,750 rendered images, annotated in one large .mat file."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from dld_spotter.data.converters.common import Sample, Source, Word, make_sample, make_word
from dld_spotter.data.problems import Problems


def synthtext(
    images: Path, annotations: Path, problems: Problems, *, characters: bool = False, min_size: float = 6.0
) -> Source:
    """SynthText's ``gt.mat``.

    Images whose words and boxes differ in number are left out with a warning. Coordinates are kept as they are, also
    where they leave the image; our loader clips them.

    Memory: the .mat file is loaded once, as a whole: about 2.4 GB for all of SynthText with the character boxes, less
    without. Everything else is made and written image by image, and what was written is let go, so that
    memory shrinks while the conversion goes on. Image sizes come from the files' headers.

    Args:
        annotations: gt.mat, or the folder that holds it.
        characters: keep the characters' boxes too; images where they do not fit the words are left out.
        min_size: words whose shorter side is below this many pixels are don't care.
    """
    path = annotations / "gt.mat" if annotations.is_dir() else annotations
    names = ["imnames", "wordBB", "txt", *(["charBB"] if characters else [])]
    table = _load(path, names)
    return Source(len(table["imnames"]), _samples(images, table, problems, min_size))


def split_words(lines: np.ndarray) -> list[str]:
    """The words of an image: its strings hold one or more lines, padded with blanks, each of one or more words."""
    return [word for line in np.asarray(lines).reshape(-1) for word in str(line).split()]


def quadrilaterals(boxes: np.ndarray) -> list[list[float]]:
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


def _load(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """The wanted cell arrays of the .mat file, flat."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; give SynthText's gt.mat with --annotations.")
    try:
        contents = loadmat(path, variable_names=names)
    except NotImplementedError:
        raise ValueError(f"{path} is a .mat file of version 7.3; save it as version 7 or older.") from None
    except Exception as error:  # damaged files make scipy raise nearly anything
        raise ValueError(f"{path} is not a .mat file that scipy reads ({error}).") from error
    missing = [name for name in names if name not in contents]
    if missing:
        raise ValueError(f"{path} has no {', '.join(missing)}; SynthText's gt.mat has.")
    table = {name: contents[name].reshape(-1) for name in names}
    if len({len(column) for column in table.values()}) != 1:
        raise ValueError(f"{path}: {', '.join(names)} differ in length.")
    return table


def _samples(images: Path, table: dict[str, np.ndarray], problems: Problems, min_size: float) -> Iterator[Sample]:
    for index in range(len(table["imnames"])):
        name = str(np.asarray(table["imnames"][index]).reshape(-1)[0])
        row = {key: column[index] for key, column in table.items()}
        for column in table.values():
            column[index] = None  # let it go
        try:
            words = _words(row, min_size)
        except ValueError as error:
            problems.warning("mismatch", f"{error}; left out.", name)
            continue
        sample = make_sample(images, name, words, problems)
        if sample is not None:
            yield sample


def _words(row: dict, min_size: float) -> list[Word]:
    texts, quads = split_words(row["txt"]), quadrilaterals(row["wordBB"])
    if len(texts) != len(quads):
        raise ValueError(f"{len(texts)} words but {len(quads)} boxes")
    characters = [None] * len(texts)
    if "charBB" in row:
        boxes = quadrilaterals(row["charBB"])
        ends = np.cumsum([0, *map(len, texts)])
        if len(boxes) != ends[-1]:
            raise ValueError(f"{ends[-1]} characters but {len(boxes)} boxes of characters")
        characters = [boxes[start:end] for start, end in zip(ends[:-1], ends[1:], strict=True)]
    return [
        make_word(quad, text, shorter_side(quad) < min_size, boxes)
        for quad, text, boxes in zip(quads, texts, characters, strict=True)
    ]
