"""Total-Text, in the forms that are in circulation: .mat, wrapped .txt, and flat polygon lines."""

import ast
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dld_spotter.data.converters.common import Sample, Source, Word, make_word
from dld_spotter.data.converters.mat_reader import MatReader
from dld_spotter.data.converters.reading import PlacedWord
from dld_spotter.data.converters.text_folders import convert_folder, parse_numbers, parse_polygon, read_lines
from dld_spotter.data.problems import Problems
from dld_spotter.data.text_files import TextFile, decode_text, find_text_files

# Each pattern stops at the next bracket or line, so that no file makes matching slow.
_NEW_RECORD = re.compile(r"^[ \t]*x:", re.MULTILINE)
_COORDINATES = re.compile(r"([xy]):\s*\[\[([^\[\]]*)\]\]")
_ORIENTATION = re.compile(r"ornt:\s*\[([^\[\]]*)\]")
_TEXTS = re.compile(r"transcriptions:\s*\[")
_LITERAL = re.compile(r"""u?('(?:[^'\\]|\\.)*+(?:'|\Z)|"(?:[^"\\]|\\.)*+(?:"|\Z))""", re.DOTALL)


def totaltext(images: Path, annotations: Path, problems: Problems) -> Source:
    """Total-Text; the form of each file is recognised.

    Forms: ``poly_gt_img7.mat`` (variable polygt or gt), ``poly_gt_img7.txt`` with ``x: [[...]]`` records wrapped over
    lines, and lines ``x1,y1,...,xn,yn,word`` (also with ``,####`` before the word). Words or orientations "#" and
    words that are missing are don't care.
    """
    has_mat = any(file.name.lower().endswith(".mat") for file in find_text_files(annotations, ".txt", ".mat"))
    suffix = ".mat" if has_mat else ".txt"
    reader = MatReader()
    source = convert_folder(images, annotations, partial(read_totaltext, reader=reader), problems, suffixes=(suffix,))
    return Source(source.total, _closing(source.samples, reader))


def read_totaltext(file: TextFile, problems: Problems, reader: MatReader) -> list[PlacedWord]:
    """The words of one annotation file in any of the forms."""
    if file.name.lower().endswith(".mat"):
        rows = reader.table(file.read(), ("polygt", "gt"))
        return [(f"word {number}", partial(_word_of_row, row)) for number, row in enumerate(rows, 1)]
    text = decode_text(file.read(), file.name, partial(problems.warning, "not_utf8"))
    if not _NEW_RECORD.search(text):
        return read_lines(file, problems, parse_polygon)
    records = enumerate(wrapped_records(text), 1)
    return [(f"word {number}", partial(parse_wrapped, record)) for number, record in records]


def wrapped_records(text: str) -> list[str]:
    """Records that begin with "x:" and go on over any number of lines."""
    starts = [match.start() for match in _NEW_RECORD.finditer(text)]
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def parse_wrapped(record: str) -> Word:
    """``x: [[1 2 ...]], y: [[3 4 ...]], ornt: [u'c'], transcriptions: [u'WORD']``; commas between numbers too."""
    coordinates = {axis: parse_numbers(body.replace(",", " ").split()) for axis, body in _COORDINATES.findall(record)}
    texts, orientation = _TEXTS.search(record), _ORIENTATION.search(record)
    end = record.rfind("]")
    if coordinates.keys() != {"x", "y"} or texts is None or end < texts.end():
        raise ValueError(f"expected x: [[...]], y: [[...]] and transcriptions: [...]; found '{record.strip()}'")
    text = _strings(record[texts.end() : end])
    return _word(coordinates["x"], coordinates["y"], text, _strings(orientation[1] if orientation else ""))


def _word_of_row(row: Any) -> Word:
    """x, y, text and orientation of a row of a .mat file."""
    if not isinstance(row, list) or len(row) < 5:
        raise ValueError(row["error"] if isinstance(row, dict) else "the row has no x, y and text")
    cells = [list(_flat(cell)) for cell in row]
    text, orientation = (cells[i][0] if len(cells) > i and cells[i] else "" for i in (4, 5))
    return _word(cells[1], cells[3], text, orientation)


def _word(xs: list, ys: list, text: Any, orientation: Any) -> Word:
    if len(xs) != len(ys):
        raise ValueError(f"has {len(xs)} x but {len(ys)} y")
    ignore = "#" in (str(text).strip(), str(orientation).strip())
    outline = [value for point in zip(xs, ys, strict=True) for value in point]
    return make_word(outline, "" if text == "," else text, ignore)


def _strings(body: str) -> str:
    """What the string literals of a printed Python 2 list hold; of several, all with blanks between."""
    return " ".join(ast.literal_eval(literal.replace("\n", " ")) for literal in _LITERAL.findall(body))


def _flat(cell: Any) -> Iterator[Any]:
    if isinstance(cell, list):
        for part in cell:
            yield from _flat(part)
    elif isinstance(cell, np.ndarray):
        yield from cell.reshape(-1).tolist()
    else:
        yield cell


def _closing(samples: Iterator[Sample], reader: MatReader) -> Iterator[Sample]:
    with reader:
        yield from samples
