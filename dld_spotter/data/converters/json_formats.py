"""Benchmarks annotated in one JSON file: the data sets as DLD's authors distribute them, and COCO-Text."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from dld_spotter.data.converters.common import Source, Word, as_list, box_outline, is_set, make_word
from dld_spotter.data.converters.reading import Entry, EntryReader, read_samples
from dld_spotter.data.problems import Problems, Unusable, shown
from dld_spotter.data.text_files import read_json
from dld_spotter.photo_suffixes import IMAGE_SUFFIXES


def davar(images: Path, annotations: Path, problems: Problems) -> Source:
    """The JSON of DLD's authors (DAVAR-Lab): image path -> height, width and content_ann.

    ``content_ann`` holds lists as long as one another: bboxes (4 numbers: a box; 6 or more: an outline), texts, cares
    (1 or 0; missing: all 1) and perhaps cbboxes, the characters' boxes. Entries that are no objects and are not
    named like an image (comments) are skipped.
    """
    entries = [
        (name, partial(_davar_entry, name, entry))
        for name, entry in _read_object(annotations).items()
        if isinstance(entry, dict) or PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
    ]
    return Source(len(entries), read_samples(entries, images, problems))


def cocotext(images: Path, annotations: Path, problems: Problems, *, split: str = "train") -> Source:
    """COCO-Text v2 (``cocotext.v2.json``): words that are legible and English are cared for.

    ``split`` is "train" or "val".
    """
    content = _read_object(annotations)
    for key in ("imgs", "anns", "imgToAnns"):
        if not isinstance(content.get(key), dict):
            raise ValueError(f"{annotations} has no object '{key}', so it is not COCO-Text's cocotext.v2.json.")
    entries = list(_cocotext_entries(content, split))
    return Source(len(entries), read_samples(entries, images, problems, stored=True))


def _davar_entry(name: str, entry: dict) -> Entry:
    content = entry.get("content_ann") or {}
    boxes = as_list(content.get("bboxes") or [], "bboxes")
    texts = as_list(content.get("texts") or [""] * len(boxes), "texts")
    cares = as_list(content.get("cares") or [1] * len(boxes), "cares")
    characters = as_list(content.get("cbboxes") or [None] * len(boxes), "cbboxes")
    lengths = [len(column) for column in (boxes, texts, cares, characters)]
    if len(set(lengths)) != 1:
        raise ValueError("bboxes, texts, cares and cbboxes have {}, {}, {} and {} entries".format(*lengths))
    rows = zip(boxes, texts, cares, characters, strict=True)
    words = [(f"word {number}", partial(_davar_word, *row)) for number, row in enumerate(rows, 1)]
    return Entry(name, words, (entry.get("height"), entry.get("width")))


def _davar_word(box: Any, text: Any, care: Any, characters: Any) -> Word:
    return make_word(
        _corners(box), text, not is_set(care, "care"), characters and [_corners(quad) for quad in characters]
    )


def _corners(box: list) -> list:
    """An outline as it is; the corners of a box of four numbers."""
    return box_outline(*box) if len(box) == 4 else box


def _cocotext_entries(content: dict, split: str) -> Iterator[tuple[str, EntryReader]]:
    for key, image in content["imgs"].items():
        if not isinstance(image, dict) or image.get("set") == split:
            yield f"image {key}", partial(_cocotext_entry, image, content)


def _cocotext_entry(image: dict, content: dict) -> Entry:
    if not isinstance(image["id"], int | str):
        raise Unusable("bad_entry", f"id is {shown(image['id'])}, not a number")
    numbers = as_list(content["imgToAnns"].get(str(image["id"]), []), "imgToAnns")
    words = [(f"annotation {number}", partial(_cocotext_word, content["anns"], number)) for number in numbers]
    return Entry(image["file_name"], words)


def _cocotext_word(annotations: dict, number: Any) -> Word:
    annotation = annotations[str(number)]
    mask = annotation.get("mask") or []
    if len(mask) < 6:
        x, y, width, height = annotation["bbox"]
        mask = box_outline(x, y, x + width, y + height)
    cared = annotation.get("legibility") == "legible" and annotation.get("language") == "english"
    return make_word(mask[: len(mask) // 2 * 2], annotation.get("utf8_string"), ignore=not cared)


def _read_object(path: Path) -> dict:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__} instead of an object.")
    return content
