"""Benchmarks with one text file an image: ICDAR 2013, 2015, MLT 2017, and own files of the same kind."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from dld_spotter.data.converters.common import (
    ImageFolder,
    Sample,
    Source,
    TextFile,
    Word,
    annotation_files,
    box_outline,
    decode_text,
    make_sample,
    make_word,
    numbered_lines,
)
from dld_spotter.data.problems import Problems
from dld_spotter.image_io import ImageError

LineParser = Callable[[str], Word]
FileReader = Callable[[TextFile, Problems], list[Word]]

MLT_SCRIPTS = ("Arabic", "Latin", "Chinese", "Japanese", "Korean", "Bangla", "Hindi", "Symbols", "Mixed", "None")

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_BOX_LINE = re.compile(rf"^{_NUMBER}(?:,|\s){_NUMBER}(?:,|\s){_NUMBER}(?:,|\s){_NUMBER}(?:,|\s)\s*\"(.*)\"\s*$")
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

    Args:
        points: corners of each word; 0: any number, then the word begins at the last comma (or where the
            numbers end).
    """
    parse = partial(parse_points, points=points) if points else parse_polygon
    return convert_folder(images, annotations, partial(read_lines, parse=parse), problems)


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
    return make_word(_numbers(fields[:-1]), fields[-1])


def parse_icdar2013(line: str) -> Word:
    """``l t r b "word"`` and ``l, t, r, b, "word"`` with escaped quotes, or four corners and a word without quotes.

    Right and bottom are taken as they stand, as other converters do, though they name the last pixel inside.
    """
    box = _BOX_LINE.match(line)
    if box:
        return make_word(box_outline(*_numbers(box.groups()[:4])), _ESCAPED.sub(r"\1", box[5]))
    return parse_points(line)


def parse_mlt2017(line: str, scripts: frozenset[str] = frozenset({"Latin"})) -> Word:
    """Four corners, the script, then the word: everything after the ninth comma."""
    fields = line.split(",", 9)
    if len(fields) < 10:
        raise ValueError(f"expected 8 numbers, a script and a word, separated by commas; found '{line}'")
    return make_word(_numbers(fields[:8]), fields[9], ignore=fields[8].strip() not in scripts)


def parse_polygon(line: str) -> Word:
    """Any number of corners, then the word: after ",####" where that occurs, else after the last comma.

    A word with commas is taken from where the numbers end.
    """
    numbers, mark, text = line.partition(",####")
    fields = numbers.split(",")
    if not mark:
        length = next((i for i, field in enumerate(fields[:-1]) if not _is_number(field)), len(fields) - 1)
        length -= length % 2
        fields, text = fields[:length], ",".join(fields[length:])
    if len(fields) % 2 or len(fields) < 2:
        raise ValueError(f"expected pairs of numbers and a word, separated by commas; found '{line}'")
    return make_word(_numbers(fields), text)


def read_lines(file: TextFile, problems: Problems, parse: LineParser) -> list[Word]:
    """The words of a text file with one word a line. Lines that cannot be understood are noted as errors."""
    words = []
    for number, line in numbered_lines(decode_text(file.read(), file.name, problems)):
        try:
            words.append(parse(line))
        except ValueError as error:
            problems.error("bad_line", f"{file.name}, line {number}: {error}. Left out.")
    return words


def convert_folder(
    images: Path, annotations: Path, read: FileReader, problems: Problems, suffixes: Sequence[str] = (".txt",)
) -> Source:
    """The samples of a folder (or zip archive) with an annotation file for each image.

    Errors are noted for annotation files without an image, and a warning for images without annotations (they
    are left out: nobody said that there is no text in them).
    """
    files, folder = annotation_files(annotations, *suffixes), ImageFolder(images)
    return Source(len(files), _folder_samples(files, folder, read, problems))


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


def _folder_samples(
    files: list[TextFile], folder: ImageFolder, read: FileReader, problems: Problems
) -> Iterator[Sample]:
    left = set(folder.names)
    for file in files:
        try:
            name = folder.find(file.stem)
        except ImageError as error:
            problems.error("missing_image", f"{error}; left out.")
            continue
        if name not in left:
            problems.error("duplicate_image", f"{file.name} is a second annotation file; left out.", name)
            continue
        left.remove(name)
        sample = make_sample(folder.root, name, read(file, problems), problems, stored=True)
        if sample is not None:
            yield sample
    for name in sorted(left):
        problems.warning("no_annotation_file", "the image has no annotation file; left out.", name)


def _numbers(fields: Sequence[str]) -> list[float]:
    try:
        return [float(field) for field in fields]
    except ValueError:
        raise ValueError(f"'{','.join(fields)}' are not numbers") from None


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
