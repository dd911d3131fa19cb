"""What converters make: words, samples and, of these, our JSON."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dld_spotter.data.annotation_checks import clean_text, text_problem, word_problem
from dld_spotter.data.problems import Unusable, shown
from dld_spotter.data.text_validation import DONT_CARE
from dld_spotter.data.text_writer import TextJsonWriter


@dataclass(slots=True)
class Word:
    """One annotated word: flat x1, y1, x2, y2, ... as annotated, its text, whether it is don't care."""

    outline: list[float]
    text: str
    ignore: bool
    characters: list[list[float]] | None = None


class Sample(NamedTuple):
    """One image, relative to the image folder, with the size that it has when it is shown upright."""

    file_name: str
    height: int
    width: int
    words: list[Word]


class Source(NamedTuple):
    """What a converter gives: at most ``total`` samples, made one after the other."""

    total: int
    samples: Iterator[Sample]


@dataclass
class Summary:
    """Counts of a conversion."""

    images: int = 0
    images_without_words: int = 0
    words: int = 0
    dont_care: int = 0

    def __str__(self) -> str:
        return (
            f"{self.images} images ({self.images_without_words} without words), {self.words} words: "
            f"{self.words - self.dont_care} cared for, {self.dont_care} don't care"
        )


def make_word(outline: Sequence[float], text: Any, ignore: bool = False, characters: Any = None) -> Word:
    """A word that our JSON may hold, from whatever a file says.

    The text loses outer blanks. A word without text or with "###" is don't care, and what a don't-care word says does
    not matter: a text that cannot be used becomes empty.

    Raises:
        Unusable: an outline, text or characters' boxes that our JSON must not hold, or fewer than three points.
    """
    text = clean_text(text) if isinstance(text, str) else text
    ignore = bool(ignore) or text in (None, "", DONT_CARE)
    word = Word(list(outline), text, ignore, characters or None)
    problem = word_problem(_annotation(word))
    if problem is not None:
        raise Unusable(*problem)
    if len(word.outline) < 6:
        points = len(word.outline) // 2
        raise Unusable("too_few_points", f"the outline of '{text}' has {points} points", "warning")
    if ignore and text_problem(text):
        word.text = ""
    return word


def as_list(value: Any, name: str) -> list:
    """A list of a file; texts and objects can be iterated over, too, and would give other words.

    Raises:
        Unusable: it is none.
    """
    if not isinstance(value, list):
        raise Unusable("bad_entry", f"{name} is {shown(value)}, not a list")
    return value


def is_set(value: Any, name: str) -> bool:
    """Whether a mark such as "difficult" is set; texts such as "false" would count as set.

    Raises:
        Unusable: it is neither true nor false.
    """
    if value is not None and (not isinstance(value, int | float) or value not in (0, 1)):
        raise Unusable("bad_word", f"{name} is {shown(value)}; use true or false")
    return bool(value)


def box_outline(left: float, top: float, right: float, bottom: float) -> list[float]:
    """The four corners of a box, clockwise from the top left."""
    return [left, top, right, top, right, bottom, left, bottom]


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1."""
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def write_samples(samples: Iterable[Sample], output: Path, info: dict) -> Summary:
    """Write samples as our JSON while they come; only what is being written is in memory. All or nothing.

    Raises:
        ValueError: there is not one sample.
    """
    summary = Summary()
    with TextJsonWriter(output, info) as writer:
        for sample in samples:
            image_id = writer.add_image({"file_name": sample.file_name, "height": sample.height, "width": sample.width})
            for word in sample.words:
                writer.add_annotation({"image_id": image_id, **_annotation(word)})
            summary.images += 1
            summary.images_without_words += not sample.words
            summary.words += len(sample.words)
            summary.dont_care += sum(word.ignore for word in sample.words)
        if not summary.images:
            raise ValueError("no image could be converted, so nothing is written.")
    return summary


def _annotation(word: Word) -> dict:
    annotation = {"segmentation": [word.outline], "text": word.text, "ignore": word.ignore}
    return annotation | ({"characters": word.characters} if word.characters else {})
