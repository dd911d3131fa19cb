"""Total-Text, in the forms that are in circulation: .mat, wrapped .txt, and flat polygon lines."""

import ast
import re
from io import BytesIO
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from dld_spotter.data.converters.common import Source, TextFile, Word, annotation_files, decode_text, make_word
from dld_spotter.data.converters.text_folders import convert_folder, parse_polygon, read_lines
from dld_spotter.data.problems import Problems

_COORDINATES = re.compile(r"([xy]):\s*\[\[(.*?)\]\]", re.DOTALL)
_INTEGER = re.compile(r"-?\d+")
_ORIENTATION = re.compile(r"ornt:\s*\[(.*?)\]", re.DOTALL)
_TEXTS = re.compile(r"transcriptions:\s*\[(.*)\]", re.DOTALL)
_LITERAL = re.compile(r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_NEW_RECORD = re.compile(r"^\s*x:", re.MULTILINE)


def totaltext(images: Path, annotations: Path, problems: Problems) -> Source:
    """Total-Text; the form of each file is recognised.

    Forms: ``poly_gt_img7.mat`` (variable polygt or gt), ``poly_gt_img7.txt`` with ``x: [[...]]`` records wrapped over
    lines, and lines ``x1,y1,...,xn,yn,word`` (also with ``,####`` before the word). Words or orientations "#" and
    words that are missing are don't care.
    """
    suffix = ".mat" if any(file.name.lower().endswith(".mat") for file in _files(annotations)) else ".txt"
    return convert_folder(images, annotations, read_totaltext, problems, suffixes=(suffix,))


def read_totaltext(file: TextFile, problems: Problems) -> list[Word]:
    """The words of one annotation file in any of the forms."""
    if file.name.lower().endswith(".mat"):
        try:
            records = _mat_records(file.read())
        except ValueError as error:
            problems.error("bad_file", f"{file.name}: {error}. Its words are left out.")
            return []
    else:
        text = decode_text(file.read(), file.name, problems)
        if not _NEW_RECORD.search(text):
            return read_lines(file, problems, parse_polygon)
        records = wrapped_records(text)
    words = []
    for number, record in enumerate(records, 1):
        try:
            words.append(_word(*record) if isinstance(record, tuple) else parse_wrapped(record))
        except ValueError as error:
            problems.error("bad_line", f"{file.name}, word {number}: {error}. Left out.")
    return words


def wrapped_records(text: str) -> list[str]:
    """Records that begin with "x:" and go on over any number of lines."""
    starts = [match.start() for match in _NEW_RECORD.finditer(text)]
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def parse_wrapped(record: str) -> Word:
    """``x: [[1 2 ...]], y: [[3 4 ...]], ornt: [u'c'], transcriptions: [u'WORD']``; commas between numbers too."""
    coordinates = {axis: [int(n) for n in _INTEGER.findall(body)] for axis, body in _COORDINATES.findall(record)}
    texts, orientation = _TEXTS.search(record), _ORIENTATION.search(record)
    if coordinates.keys() != {"x", "y"} or texts is None:
        raise ValueError(f"expected x: [[...]], y: [[...]] and transcriptions: [...]; found '{record.strip()}'")
    return _word(
        coordinates["x"], coordinates["y"], _strings(texts[1]), _strings(orientation[1] if orientation else "")
    )


def _word(xs, ys, text: str, orientation: str) -> Word:
    if len(xs) != len(ys):
        raise ValueError(f"has {len(xs)} x but {len(ys)} y")
    outline = np.stack([xs, ys], axis=1).reshape(-1).tolist()
    return make_word(outline, "" if text == "," else text, ignore="#" in (text.strip(), orientation.strip()))


def _strings(body: str) -> str:
    """What the string literals of a printed Python 2 list hold; of several, all with blanks between."""
    return " ".join(ast.literal_eval(literal) for literal in _LITERAL.findall(body))


def _mat_records(data: bytes) -> list[tuple]:
    """x, y, text and orientation of each row of a .mat file."""
    try:
        contents = loadmat(BytesIO(data))
    except Exception as error:  # damaged files make scipy raise nearly anything
        raise ValueError(f"not a .mat file that scipy reads ({error})") from error
    rows = contents.get("polygt", contents.get("gt"))
    if rows is None or rows.ndim != 2 or (len(rows) and rows.shape[1] < 5):
        raise ValueError("there is no table polygt or gt with x, y and text")
    records = []
    for row in rows:
        cells = [np.asarray(cell).reshape(-1) for cell in row]
        text, orientation = (str(cells[i][0]) if len(cells) > i and cells[i].size else "" for i in (4, 5))
        records.append((cells[1], cells[3], text, orientation))
    return records


def _files(annotations: Path) -> list[TextFile]:
    return annotation_files(annotations, ".txt", ".mat")
