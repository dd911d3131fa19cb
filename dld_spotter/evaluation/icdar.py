"""The text files of the ICDAR competitions: one file an image, one word a line, in a folder or a zip.

A line is ``x1,y1,...,xn,yn,text``. In the layout "quad" there are four points, and the text may hold commas; in the
layout "polygon" there is any number of points, and the text holds none.
"""

import logging
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

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
    name = str(name).replace("\\", "/")
    stem = PurePosixPath(name).name
    stem = stem.rsplit(".", 1)[0] if "." in stem else stem
    stem = _PREFIX.sub("", stem)
    numbered = _NUMBERED.match(stem)
    return numbered.group(1) if numbered else stem


def read_text_file(path: Path) -> str:
    """A text file in UTF-8, with or without a byte-order mark; else in Latin-1, with a warning."""
    return _decode(path.read_bytes(), str(path))


def read_text_files(path: str | Path) -> dict[str, str]:
    """The ``.txt`` files of a folder or a zip, subfolders included, by their name without a folder.

    Raises:
        FileNotFoundError: no such folder or file.
        ValueError: no text files in it, two of one name, or a file that is no zip.
    """
    path = Path(path)
    if path.is_dir():
        contents = [(p.name, p.read_bytes()) for p in sorted(path.rglob("*.txt"))]
    elif path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                names = [n for n in archive.namelist() if n.lower().endswith(".txt")]
                contents = [(PurePosixPath(n).name, archive.read(n)) for n in names]
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path} is no zip file ({error}); it should hold one text file an image.") from error
    else:
        raise FileNotFoundError(f"{path} does not exist; it should be a folder or a zip of text files, one an image.")
    texts: dict[str, str] = {}
    for name, content in contents:
        if name.startswith("."):  # "._gt_img_1.txt": written by macOS beside the file itself
            continue
        if name in texts:
            raise ValueError(f"{path} holds two files named {name}; keep one.")
        texts[name] = _decode(content, f"{path}: {name}")
    if not texts:
        raise ValueError(f"{path} holds no .txt files; it should hold one an image, such as img_1.txt.")
    return texts


def read_word_files(path: str | Path, layout: str | None = None) -> dict[str, list[tuple[np.ndarray, str]]]:
    """The words of each file of a folder or zip: outlines (P, 2) in pixels and texts.

    Args:
        layout: "quad" or "polygon"; None finds out from the lines.

    Raises:
        ValueError: a line that is not in the layout (file, line number and line are named).
    """
    texts = read_text_files(path)
    lines = {
        f"{path}: {name}, line {number}": (name, line)
        for name, text in texts.items()
        for number, line in enumerate(text.replace("\r", "").split("\n"), start=1)
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
        ValueError: too few points, an odd number of coordinates, or something that is no number.
    """
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
    return np.array([float(field) for field in fields]).reshape(-1, 2), text.strip()


def guess_layout(lines: Mapping[str, str]) -> str:
    """The layout that all these lines can have; the keys say where each stands.

    A line of a polygon with other than four points has an even number of coordinates other than 8 before its text. A
    quadrilateral whose text holds a comma ("1,000") can look so too, but seldom; an odd number settles it.

    Raises:
        ValueError: some lines can only be quadrilaterals, others only polygons.
    """
    quads, polygons = [], []
    for place, line in lines.items():
        fields = line.split(_HASHES, 1)[0].split(",") + [""] if _HASHES in line else line.split(",")
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


def _decode(content: bytes, place: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        logger.warning("%s is not in UTF-8; it is read as Latin-1.", place)
        return content.decode("latin-1")
