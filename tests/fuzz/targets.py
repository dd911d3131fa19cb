"""What reads people's files: add a ``Target`` to ``TARGETS`` for each new reader."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from dld_spotter.data.charset import Charset
from dld_spotter.data.converters import CONVERTERS, Source, write_samples
from dld_spotter.data.converters.mat_reader import MatReader
from dld_spotter.data.converters.reading import read_samples
from dld_spotter.data.converters.synthtext import table_entries
from dld_spotter.data.converters.text_folders import convert_folder
from dld_spotter.data.converters.totaltext import read_totaltext
from dld_spotter.data.problems import Problems
from dld_spotter.data.text_json import check_text_json, load_text_json
from dld_spotter.data.word_crops import read_word_crops
from dld_spotter.evaluation.ground_truth import read_ground_truth
from dld_spotter.evaluation.lexicon import load_lexicon
from dld_spotter.evaluation.submission import read_predictions
from dld_spotter.image_io import read_image
from tests.fuzz import samples
from tests.fuzz.mutations import (
    Mutate,
    mutate_bytes,
    mutate_json,
    mutate_lines_of_json,
    mutate_text,
    mutate_zip,
)

LARGEST = 2_000_001  # of the numbers in an output: widths of boxes between the largest coordinates


class Finding(AssertionError):
    """A reader did what it must not do."""


@dataclass(frozen=True)
class Target:
    """A reader of files.

    Attributes:
        files: name -> content of valid files; one of them is damaged and read.
        mutate: how it is damaged.
        read: reads the file at a path. It may raise ValueError or FileNotFoundError with a message that has the name of
            the file, and :class:`Finding`.
        weight: share of the cases, against other targets.
    """

    files: dict[str, bytes]
    mutate: Mutate
    read: Callable[[Path, "Workplace"], None]
    weight: float = 1.0


@dataclass
class Workplace:
    """A folder with the photos, and what is worth keeping between cases."""

    folder: Path
    mat_reader: MatReader = field(default_factory=MatReader)

    @property
    def images(self) -> Path:
        return self.folder / "images"


@contextmanager
def workplace() -> Iterator[Workplace]:
    """A temporary folder, which goes at the end."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        place = Workplace(Path(folder))
        place.images.mkdir()
        for name, content in samples.images().items():
            if name in samples.NAMES:
                (place.images / name).write_bytes(content)
        with place.mat_reader:
            yield place


def convert(path: Path, place: Workplace, name: str, **options: Any) -> None:
    """Convert the file, or for formats of one file an image the folder that holds it."""
    single = name in ("davar", "cocotext", "ppocrlabel") or path.suffix == ".zip"
    annotations = path if single else path.parent
    _write_and_check(lambda problems: CONVERTERS[name](place.images, annotations, problems, **options), place)


def convert_total_text_mat(path: Path, place: Workplace) -> None:
    """Total-Text's .mat files, with one process for all cases."""
    read = partial(read_totaltext, reader=place.mat_reader)
    _write_and_check(lambda problems: convert_folder(place.images, path.parent, read, problems, (".mat",)), place)


def convert_synth_text(path: Path, place: Workplace) -> None:
    """SynthText's table, with one process for all cases."""

    def convert(problems: Problems) -> Source:
        try:
            total, rows = place.mat_reader.columns(path, ["imnames", "txt", "wordBB", "charBB"])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return Source(total, read_samples(table_entries(list(rows), 6.0), place.images, problems))

    _write_and_check(convert, place)


def check(path: Path, place: Workplace) -> None:
    """``--check`` and the loader must agree, and what loads must be of use."""
    found = check_text_json(str(path), str(place.images), _charset(), 10, read_images=False)
    _printable(map(str, found))
    errors = [problem for problem in found if problem.severity == "error"]
    try:
        records = load_text_json(path, place.images)
    except ValueError:
        if not errors:
            raise Finding("the loader refuses what --check passes") from None
        return
    if errors:
        raise Finding(f"--check has an error, but the file loads: {errors[0]}")
    truths = load_text_json(path, as_annotated=True)
    for record, truth in zip(records, truths, strict=True):
        if [word["id"] for word in record["annotations"]] != [word["id"] for word in truth["annotations"]]:
            raise Finding("the truth has other words than the records for training")
        for word in record["annotations"]:
            outline = word["segmentation"][0]
            inside = all(0 <= value <= record["width"] for value in outline[::2])
            inside &= all(0 <= value <= record["height"] for value in outline[1::2])
            if not inside or len(outline) < 6 or (type(word["text"]), type(word["ignore"])) != (str, bool):
                raise Finding(f"the word {word} is of no use")


def crops(path: Path, place: Workplace) -> None:
    """Lists of word crops."""
    problems = Problems(path.name)
    for crop in read_word_crops(place.images, path, problems):
        _printable([crop.text])
    _printable(map(str, problems.kept))


def _write_and_check(make: Callable[[Problems], Source], place: Workplace) -> None:
    problems = Problems("annotations")
    output = place.folder / "output.json"
    try:
        write_samples(make(problems).samples, output, {})
    except ValueError as error:
        if "nothing is written" not in str(error):
            raise
        return
    finally:
        _printable(map(str, problems.kept))
    content = json.loads(output.read_text(encoding="utf-8"), parse_constant=_not_finite)
    for word in content["annotations"]:
        if not 0 <= word.pop("area") <= LARGEST**2:
            raise Finding(f"the word {word} has no area that can be")
    for number in _numbers(content):
        if not abs(number) <= LARGEST:
            raise Finding(f"the output holds the number {number}")
    refused = [p for p in check_text_json(str(output), str(place.images), read_images=False) if p.severity == "error"]
    if refused:
        raise Finding(f"--check refuses what was converted: {refused[0]}")
    load_text_json(output, place.images)


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _numbers(part)
    elif isinstance(value, int | float):
        yield value


def _not_finite(name: str) -> float:
    raise Finding(f"the output holds {name}")


def _printable(messages) -> None:
    for message in messages:
        message.encode("utf-8")
        if "\x1b" in message:
            raise Finding("a message holds a control character")


@cache
def _charset() -> Charset:
    return Charset.load("printable95")


def _converter(name: str, file: str, content: bytes, mutate: Mutate, **options: Any) -> Target:
    return Target({file: content}, mutate, partial(convert, name=name, **options))


def _reader(read: Callable[[Path], Any], file: str, content: bytes, mutate: Mutate) -> Target:
    return Target({file: content}, mutate, lambda path, place: read(path))


_GT = {"gt_img_1.txt": samples.ICDAR, "gt_img_2.txt": samples.lines(f"{samples.flat(samples.QUADS[0])},b")}
_RESULTS = {"res_img_1.txt": samples.ICDAR, "res_img_2.txt": samples.ICDAR}
_WORD_LISTS = {"voc_img_1.txt": samples.WORDS, "voc_img_2.txt": samples.WORDS}

TARGETS: dict[str, Target] = {
    "icdar2013": _converter("icdar2013", "gt_img_1.txt", samples.ICDAR_2013, mutate_text),
    "icdar2015": _converter("icdar2015", "gt_img_1.txt", samples.ICDAR, mutate_text),
    "icdar2015_zip": _converter("icdar2015", "gt.zip", samples.as_zip(_GT), mutate_zip),
    "icdar_polygons": _converter("icdar", "img_1.txt", samples.POLYGONS, mutate_text, points=0),
    "outlines": _converter("outlines", "img_2.txt", samples.OUTLINES, mutate_text),
    "mlt2017": _converter("mlt2017", "gt_img_1.txt", samples.MLT_2017, mutate_text, negatives=1.0),
    "totaltext_wrapped": _converter("totaltext", "poly_gt_img_1.txt", samples.WRAPPED, mutate_text),
    "totaltext_flat": _converter("totaltext", "poly_gt_img_1.txt", samples.POLYGONS, mutate_text),
    "totaltext_mat": Target({"poly_gt_img_1.mat": samples.total_text_mat()}, mutate_bytes, convert_total_text_mat),
    "synthtext": Target({"gt.mat": samples.synth_text_mat()}, mutate_bytes, convert_synth_text),
    "davar": _converter("davar", "train.json", samples.as_json(samples.DAVAR), mutate_json),
    "cocotext": _converter("cocotext", "cocotext.v2.json", samples.as_json(samples.COCO_TEXT), mutate_json),
    "labelme": _converter("labelme", "img_1.json", samples.as_json(samples.LABELME), mutate_json),
    "ppocrlabel": _converter("ppocrlabel", "Label.txt", samples.PPOCR, mutate_lines_of_json),
    "check": Target({"words.json": samples.as_json(samples.OURS)}, mutate_json, check, weight=2.0),
    "charset": _reader(Charset.load, "set.txt", "abcé0123\n".encode(), mutate_text),
    "word_crops": Target({"gt.txt": samples.CROPS}, mutate_text, crops),
    "lexicon": _reader(load_lexicon, "words.txt", samples.WORDS, mutate_text),
    "lexicon_zip": _reader(load_lexicon, "strong.zip", samples.as_zip(_WORD_LISTS), mutate_zip),
    "submission_zip": _reader(read_predictions, "results.zip", samples.as_zip(_RESULTS), mutate_zip),
    "submission_json": _reader(read_predictions, "results.json", samples.as_json(samples.RESULTS), mutate_json),
    "submission_rows": _reader(read_predictions, "rows.json", samples.as_json(samples.ROWS), mutate_json),
    "truth_json": _reader(read_ground_truth, "truth.json", samples.as_json(samples.OURS), mutate_json),
    "truth_zip": _reader(read_ground_truth, "gt.zip", samples.as_zip(_GT), mutate_zip),
    "images": Target(samples.images(), mutate_bytes, lambda path, place: read_image(path), weight=2.0),
}
