"""The one way in which all converters read: nothing that an entry holds or raises costs more than that entry."""

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dld_spotter.data.annotation_checks import image_problem, name_problem
from dld_spotter.data.converters.common import Sample, Word, make_word
from dld_spotter.data.problems import Problems, Unusable, shown
from dld_spotter.exif_orientation import upright
from dld_spotter.image_io import ImageError, size_and_orientation

LOST_LETTERS = ("\ufffd", "ï¿½")  # what stands for a letter that another program could not read, and that in Latin-1

WordReader = Callable[[], Word]  # reads one word, or raises anything
PlacedWord = tuple[Any, WordReader]  # where the word stands in its entry, for messages


class Entry(NamedTuple):
    """What a format says about one image.

    Attributes:
        image: its path, relative to the image folder.
        words: how to read each word.
        size: (height, width) with which it was annotated, where the format says so.
    """

    image: str
    words: Iterable[PlacedWord]
    size: tuple[Any, Any] = (None, None)


EntryReader = Callable[[], Entry | None]  # reads one entry, or raises anything; None is no entry at all


def read_samples(
    entries: Iterable[tuple[str, EntryReader]], root: Path, problems: Problems, *, stored: bool = False
) -> Iterator[Sample]:
    """The samples of all entries that can be used. Whatever else happens is counted as a problem, and the others go on.

    Args:
        entries: where each entry stands, for messages, and how to read it.
        root: the image folder.
        problems: where they are counted.
        stored: the coordinates are those of the stored pixels, so that words in a photo with an EXIF orientation
            must be turned with it. (Benchmarks are annotated so; labelling tools show the photo upright.)
    """
    seen: set[str] = set()
    for place, read in entries:
        sample = None
        with problems.guard("bad_entry", annotation=place):
            entry = read()
            if entry is not None:
                sample = _read_sample(entry, place, root, problems, stored, seen)
        if sample is not None:
            yield sample


def read_words(words: Iterable[PlacedWord], problems: Problems, image: str | None, place: str) -> list[Word]:
    """The words of one entry that can be used."""
    kept = []
    for number, read in words:
        where = (image, f"{place}, {number}")
        with problems.guard("bad_word", *where):
            word = read()
            if not (word.ignore or word.text.isascii()) and any(mark in word.text for mark in LOST_LETTERS):
                problems.warning("lost_letter", f"'{word.text}' lacks a letter; taken as don't care.", *where)
                word.ignore = True
            kept.append(word)
    return kept


def _read_sample(
    entry: Entry, place: str, root: Path, problems: Problems, stored: bool, seen: set[str]
) -> Sample | None:
    """A sample with the image's size from its header. Only what loads again is let through."""
    name = entry.image
    with problems.guard("bad_entry", name if isinstance(name, str) else shown(name), place):
        (height, width), orientation = _checked_size(entry, root)
        key = posixpath.normpath(name)
        if key in seen:
            raise Unusable("duplicate_image", "the image was annotated before")
        orientation = orientation if stored else 1
        words: Iterable[PlacedWord] = entry.words
        if orientation != 1:
            words = [(number, partial(_read_turned, read, orientation, height, width)) for number, read in words]
        kept = read_words(words, problems, name, place)
        if orientation != 1 and kept:
            problems.warning("turned", f"turned the words with the photo (EXIF orientation {orientation}).", name)
        seen.add(key)
        return Sample(name, height, width, kept)
    return None


def _checked_size(entry: Entry, root: Path) -> tuple[tuple[int, int], int]:
    """(height, width) of the image of an entry, and its EXIF orientation.

    Raises:
        Unusable: its path leaves the image folder, it cannot be read, or it has another size than it should.
    """
    problem = name_problem(entry.image)
    if problem is not None:
        raise Unusable(*problem)
    path = os.path.join(root, entry.image)
    if not os.path.isfile(path):
        raise Unusable("missing_image", f"there is no image {entry.image} in {root}")
    try:
        (height, width), orientation = size_and_orientation(path)
    except ImageError as error:
        raise Unusable("unreadable_image", str(error)) from error
    problem = image_problem({"id": 0, "file_name": entry.image, "height": height, "width": width})
    if problem is not None:
        raise Unusable(*problem)
    if all(entry.size) and tuple(entry.size) != (height, width):
        annotated = f"{shown(entry.size[1])}x{shown(entry.size[0])}"
        raise Unusable("wrong_size", f"is {width}x{height}, but was annotated as {annotated}")
    return (height, width), orientation


def _read_turned(read: WordReader, orientation: int, height: int, width: int) -> Word:
    """Read a word of the stored pixels, and turn it upright."""
    word = read()
    outline = upright(word.outline, orientation, height, width)
    characters = word.characters and [upright(quad, orientation, height, width) for quad in word.characters]
    return make_word(outline, word.text, word.ignore, characters)
