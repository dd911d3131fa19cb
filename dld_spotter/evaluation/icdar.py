"""The text files of the ICDAR competitions: one file an image, one word a line, in a folder or a zip.

A line is ``x1,y1,...,xn,yn,text``. In the layout "quad" there are four points, and the text may hold commas; in the
layout "polygon" there is any number of points, and the text holds none.
"""

import itertools
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from dld_spotter.data.text_files import TextFile, decode_text, find_text_files

logger = logging.getLogger(__name__)

LAYOUTS = ("quad", "polygon")

_PREFIX = re.compile(r"^(?:poly_gt_|rect_gt_|gt_|res_|new_voc_|voc_)")
_NUMBERED = re.compile(r"^(?:img_?)?0*(\d+)$", re.IGNORECASE)
_NUMBER = re.compile(r"\s*-?\d+(?:\.\d+)?\s*")
_HASHES = ",####"  # another separator in circulation: coordinates, then four hashes, then the text


def image_key(name: str | int) -> str:
    """What the names of an image, of its annotations, of its results and of its word list have in common.

    ``img_7.jpg``, ``gt_img_7.txt``, ``res_img_7.txt``, ``voc_img_7.txt``, ``poly_gt_img7.txt``, ``0000007.txt`` and
    7 give "7"; any other name gives its stem without these prefixes.
    """
    stem = _strip_prefix(to_path(name)).stem
    numbered = _NUMBERED.match(stem)
    return numbered.group(1) if numbered else stem


def image_keys(names: Sequence[str]) -> list[str]:
    """A key for each of the images of one data set, no two alike: the ``image_key`` where it is the only one.

    Images of one stem take the shortest part of their path that tells them apart: ``a/img_1.jpg`` and ``b/img_1.jpg``
    give "a_img_1" and "b_img_1", ``p.jpg`` and ``p.png`` give "p.jpg" and "p.png".
    """
    return _distinct([key_forms(name) for name in names])


def key_forms(name: str | int) -> list[str]:
    """The keys that an image of this name can have among others, the shortest first."""
    return [image_key(name), *_path_forms(_strip_prefix(to_path(name)))]


def result_stems(names: Sequence[str]) -> list[str]:
    """For each image the stem of its result's file, no two alike: its own, or that of :func:`image_keys`."""
    keys = image_keys(names)
    alone = [
        _path_forms(to_path(name))[0] if key == image_key(name) else key for name, key in zip(names, keys, strict=True)
    ]
    return _distinct([[stem, key] for stem, key in zip(alone, keys, strict=True)])


def to_path(name: str | int) -> PurePosixPath:
    """A file's name with slashes, composed characters (macOS writes others into archives), and without a root."""
    path = PurePosixPath(unicodedata.normalize("NFC", str(name)).replace("\\", "/"))
    return path.relative_to(path.anchor)


def list_text_files(path: str | Path) -> dict[str, TextFile]:
    """The ``.txt`` files of a folder or a zip, subfolders included, by name; with their folders where two have one.

    Raises:
        FileNotFoundError: no such folder or zip, or no text files in it.
        ValueError: a damaged zip.
    """
    files = find_text_files(Path(path), ".txt")
    counts = Counter(to_path(file.name).name for file in files)
    names = [to_path(file.name) for file in files]
    return {str(name) if counts[name.name] > 1 else name.name: file for name, file in zip(names, files, strict=True)}


def read_word_files(path: str | Path, layout: str | None = None) -> dict[str, list[tuple[np.ndarray, str]]]:
    """The words of each file of a folder or zip: outlines (P, 2) in pixels and texts.

    Args:
        path: a folder or zip.
        layout: "quad" or "polygon"; None finds out from the lines.

    Raises:
        ValueError: a line that is not in the layout (file, line number and line are named).
    """
    files = list_text_files(path)
    texts = {name: decode_text(file.read(), f"{path}: {name}", logger.warning) for name, file in files.items()}
    lines = {
        f"{path}: {name}, line {number}": (name, line)
        for name, text in texts.items()
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    }
    layout = layout or guess_layout({place: line for place, (_, line) in lines.items()})
    words: dict[str, list[tuple[np.ndarray, str]]] = {name: [] for name in texts}
    for place, (name, line) in lines.items():
        try:
            words[name].append(parse_line(line, layout))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    return words


def parse_line(line: str, layout: str) -> tuple[np.ndarray, str]:
    """The outline (P, 2) and the text of one line. Blanks round the text are removed.

    Raises:
        ValueError: too few points, an odd number of coordinates, something that is no number, or a NUL.
    """
    if "\0" in line:
        raise ValueError(f"{line!r} holds a NUL character; save the file as UTF-8.")
    if _HASHES in line:
        numbers, text = line.split(_HASHES, 1)
        fields = numbers.split(",")
    elif layout == "quad":
        *fields, text = line.split(",", 8)
    else:
        *fields, text = line.split(",")
    wrong = [field for field in fields if not _NUMBER.fullmatch(field)]
    if wrong or len(fields) < 6 or len(fields) % 2 or (layout == "quad" and len(fields) != 8):
        wanted = "x1,y1,x2,y2,x3,y3,x4,y4,text" if layout == "quad" else "x1,y1,...,xn,yn,text without commas"
        problem = f"{wrong[0]!r} is no number" if wrong else f"{len(fields)} coordinates"
        raise ValueError(f"expected {wanted}, found {problem} in {line!r}.")
    points = np.array([float(field) for field in fields]).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError(f"a coordinate has too many digits in {line[:200]!r}.")
    return points, text.strip()


def guess_layout(lines: Mapping[str, str]) -> str:
    """The layout that all these lines can have; the keys say where each stands.

    A line of a polygon with other than four points has an even number of coordinates other than 8 before its text. A
    quadrilateral whose text holds a comma ("1,000") can look so too, but seldom; an odd number settles it.

    Raises:
        ValueError: some lines can only be quadrilaterals, others only polygons.
    """
    quads, polygons = [], []
    for place, line in lines.items():
        fields = [*line.split(_HASHES, 1)[0].split(","), ""] if _HASHES in line else line.split(",")
        leading = next((i for i, f in enumerate(fields) if not _NUMBER.fullmatch(f)), len(fields))
        coordinates = min(leading, len(fields) - 1)
        if coordinates >= 8 and (coordinates % 2 or coordinates < len(fields) - 1):
            quads.append(place)
        elif coordinates >= 6 and coordinates != 8 and not coordinates % 2:
            polygons.append(place)
    if quads and polygons:
        raise ValueError(
            f"{quads[0]} can only be a quadrilateral whose text holds a comma, {polygons[0]} looks like another "
            "polygon; say which layout it is, 'quad' or 'polygon'."
        )
    return "polygon" if polygons else "quad"


def _strip_prefix(path: PurePosixPath) -> PurePosixPath:
    return path.with_name(_PREFIX.sub("", path.name)) if _PREFIX.sub("", path.name) else path


def _path_forms(path: PurePosixPath) -> list[str]:
    """The stem, then with one folder more each, then the same with the file's ending."""
    folders = path.parent.parts
    heads = ["_".join((*folders[len(folders) - depth :], "")) for depth in range(len(folders) + 1)]
    return [head + path.stem for head in heads] + [head + path.name for head in heads]


def _distinct(forms: Sequence[Sequence[str]]) -> list[str]:
    """For each of several things its first form if no other has the same, else its first one that tells it apart."""
    firsts = Counter(own[0] for own in forms)
    taken = {form for form, count in firsts.items() if count == 1}
    shared = [own for own in forms if own[0] not in taken]
    counts = Counter(form for own in shared for form in set(own))
    chosen = []
    for own in forms:
        form = own[0]
        if form not in taken or firsts[form] > 1:
            form = next((form for form in own if counts[form] == 1 and form not in taken), own[-1])
            numbered = (f"{form}_{number}" for number in itertools.count(2))
            form = form if form not in taken else next(name for name in numbered if name not in taken)
            taken.add(form)
        chosen.append(form)
    return chosen
