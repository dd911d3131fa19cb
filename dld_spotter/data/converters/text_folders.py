"""Benchmarks with one text file an image: ICDAR 2013, 2015, MLT 2017, and own files of the same kind."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from dld_spotter.data.annotation_checks import MAX_POINTS
from dld_spotter.data.converters.common import Sample, Source, Word, box_outline, make_word, numbered_lines
from dld_spotter.data.converters.image_folder import ImageFolder, pair_files
from dld_spotter.data.converters.reading import Entry, PlacedWord, read_samples
from dld_spotter.data.problems import Problems, Unusable
from dld_spotter.data.text_files import TextFile, decode_text, find_text_files

LineParser = Callable[[str], Word]
FileReader = Callable[[TextFile, Problems], list[PlacedWord]]

MLT_SCRIPTS = ("Arabic", "Latin", "Chinese", "Japanese", "Korean", "Bangla", "Hindi", "Symbols", "Mixed", "None")

_NUMBER = r"[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?+"  # takes a field at one go
_FOREIGN = re.compile(r"[^-+0-9.eE,\s]").search  # in no number; float() takes "nan", "1_0" and digits of other scripts
_IS_NUMBER = re.compile(rf"\s*+{_NUMBER}\s*+").fullmatch
_COLUMN = rf"({_NUMBER})(?:\s*+,\s*+|\s++)"
_BOX_LINE = re.compile(rf"^\s*+{_COLUMN * 4}\"(.*)\"\s*$")
_ESCAPED = re.compile(r"\\([\"\\])")


def icdar2013(images: Path, annotations: Path, problems: Problems) -> Source:
    """ICDAR 2013 Focused Scene Text: the boxes of Task 1 (both forms), or the quadrilaterals of the end-to-end task.

    Use the end-to-end files to evaluate: only they have don't-care regions.
    """
    return convert_folder(images, annotations, partial(read_lines, parse=parse_icdar2013), problems)


def icdar2015(images: Path, annotations: Path, problems: Problems) -> Source:
    """ICDAR 2015 Incidental Scene Text: ``x1,y1,x2,y2,x3,y3,x4,y4,word``, where the word may hold commas."""
    return convert_folder(images, annotations, partial(read_lines, parse=parse_points), problems)


def icdar(images: Path, annotations: Path, problems: Problems, *, points: int = 4) -> Source:
    """Own files in the manner of ICDAR: ``x1,y1,...,xn,yn,word`` a line.

    Each word has ``points`` corners; with 0 any number, then the word begins at the last comma (or where the numbers
    end).
    """
    parse = partial(parse_points, points=points) if points else parse_polygon
    return convert_folder(images, annotations, partial(read_lines, parse=parse), problems)


def outlines(images: Path, annotations: Path, problems: Problems) -> Source:
    """Files of outlines without transcriptions, ``x1,y1,...,xn,yn`` a line: all words are don't care."""
    return convert_folder(images, annotations, partial(read_lines, parse=parse_outline), problems)


def mlt2017(
    images: Path,
    annotations: Path,
    problems: Problems,
    *,
    scripts: Sequence[str] = ("Latin",),
    negatives: float = 0.1,
) -> Source:
    """ICDAR 2017 MLT: ``x1,y1,...,x4,y4,script,word``; words of other scripts than the given ones are don't care.

    Args:
        images: the image folder.
        annotations: the folder of the text files.
        problems: where problems are counted.
        scripts: scripts whose words are cared for.
        negatives: share of the images without any word that is cared for that is kept, evenly spread.
    """
    unknown = sorted(set(scripts) - set(MLT_SCRIPTS))
    if unknown:
        raise ValueError(f"--scripts {' '.join(unknown)}: MLT 2017 has {', '.join(MLT_SCRIPTS)}.")
    if not 0 <= negatives <= 1:
        raise ValueError(f"--negatives {negatives} is no share; give a number from 0 to 1.")
    read = partial(read_lines, parse=partial(parse_mlt2017, scripts=frozenset(scripts)))
    source = convert_folder(images, annotations, read, problems)
    return Source(source.total, thin_out_negatives(source.samples, negatives))


def parse_points(line: str, points: int = 4) -> Word:
    """A fixed number of corners, then the word: everything after the last of their commas."""
    fields = line.split(",", 2 * points)
    if len(fields) <= 2 * points:
        raise ValueError(f"expected {2 * points} numbers and a word, separated by commas; found '{line}'")
    return make_word(parse_numbers(fields[:-1]), fields[-1])


def parse_icdar2013(line: str) -> Word:
    """``l t r b "word"`` and ``l, t, r, b, "word"`` with escaped quotes, or four corners and a word without quotes.

    Right and bottom are taken as they stand, as other converters do, though they name the last pixel inside.
    """
    box = _BOX_LINE.match(line)
    if box:
        return make_word(box_outline(*parse_numbers(box.groups()[:4])), _ESCAPED.sub(r"\1", box[5]))
    return parse_points(line)


def parse_mlt2017(line: str, scripts: frozenset[str] = frozenset({"Latin"})) -> Word:
    """Four corners, the script, then the word: everything after the ninth comma."""
    fields = line.split(",", 9)
    if len(fields) < 10:
        raise ValueError(f"expected 8 numbers, a script and a word, separated by commas; found '{line}'")
    return make_word(parse_numbers(fields[:8]), fields[9], ignore=fields[8].strip() not in scripts)


def parse_polygon(line: str) -> Word:
    """Any number of corners, then the word: after ",####" where that occurs, else after the last comma.

    A word with commas is taken from where the numbers end.
    """
    numbers, mark, text = line.partition(",####")
    fields = numbers.split(",", 2 * MAX_POINTS)
    if not mark:
        length = next((i for i, field in enumerate(fields[:-1]) if not _IS_NUMBER(field)), len(fields) - 1)
        length -= length % 2
        fields, text = fields[:length], ",".join(fields[length:])
    if len(fields) % 2 or len(fields) < 2:
        raise ValueError(f"expected pairs of numbers and a word, separated by commas; found '{line}'")
    return make_word(parse_numbers(fields), text)


def parse_outline(line: str) -> Word:
    """Corners without a word: it is don't care."""
    fields = line.rstrip(", \t").split(",")
    return make_word(parse_numbers(fields), "", ignore=True)


def parse_numbers(fields: Sequence[str]) -> list[float]:
    """Numbers in the usual way of writing: digits, a point, an exponent."""
    if len(fields) > 2 * MAX_POINTS:
        raise Unusable("too_many_points", f"has {len(fields):,} numbers; at most {MAX_POINTS:,} points are read")
    try:
        if _FOREIGN(",".join(fields)):
            raise ValueError
        return [float(field) for field in fields]
    except ValueError:
        wrong = next((field for field in fields if not _IS_NUMBER(field)), "")
        raise ValueError(f"'{wrong}' is not a number") from None


def read_lines(file: TextFile, problems: Problems, parse: LineParser) -> list[PlacedWord]:
    """The words of a text file with one word a line."""
    text = decode_text(file.read(), file.name, partial(problems.warning, "not_utf8"))
    return [(f"line {number}", partial(parse, line)) for number, line in numbered_lines(text)]


def convert_folder(
    images: Path, annotations: Path, read: FileReader, problems: Problems, suffixes: Sequence[str] = (".txt",)
) -> Source:
    """The samples of a folder (or zip archive) with an annotation file for each image; see :func:`pair_files`."""
    pairs = pair_files(find_text_files(annotations, *suffixes), ImageFolder(images), problems)
    entries = [(file.name, partial(_read_file, file, name, read, problems)) for file, name in pairs]
    return Source(len(pairs), read_samples(entries, images, problems, stored=True))


def _read_file(file: TextFile, image: str, read: FileReader, problems: Problems) -> Entry:
    return Entry(image, read(file, problems))


def thin_out_negatives(samples: Iterator[Sample], share: float) -> Iterator[Sample]:
    """Drop most of the images without a word that is cared for, and keep the given share of them, evenly spread."""
    found = kept = 0
    for sample in samples:
        if all(word.ignore for word in sample.words):
            found += 1
            if kept + 1 > found * share + 1e-9:  # multiples of a tenth are not exact
                continue
            kept += 1
        yield sample
