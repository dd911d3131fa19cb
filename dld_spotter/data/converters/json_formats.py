"""Benchmarks annotated in one JSON file: the data sets as DLD's authors distribute them, and COCO-Text."""

import json
from collections.abc import Iterator
from pathlib import Path

from dld_spotter.data.converters.common import Sample, Source, Word, box_outline, make_sample, make_word
from dld_spotter.data.problems import Problems


def davar(images: Path, annotations: Path, problems: Problems) -> Source:
    """The JSON of DLD's authors (DAVAR-Lab): image path -> height, width and content_ann.

    ``content_ann`` holds lists as long as one another: bboxes (4 numbers: a box; 8 or more: an outline), texts, cares
    (1 or 0; missing: all 1) and perhaps cbboxes, the characters' boxes. Entries that are no objects (comments)
    are skipped.
    """
    entries = _read_object(annotations)
    entries = {name: entry for name, entry in entries.items() if isinstance(entry, dict)}
    return Source(len(entries), _davar_samples(images, entries, problems))


def cocotext(images: Path, annotations: Path, problems: Problems, *, split: str = "train") -> Source:
    """COCO-Text v2 (``cocotext.v2.json``): words that are legible and English are cared for.

    Args:
        split: "train" or "val".
    """
    content = _read_object(annotations)
    for key in ("imgs", "anns", "imgToAnns"):
        if not isinstance(content.get(key), dict):
            raise ValueError(f"{annotations} has no object '{key}', so it is not COCO-Text's cocotext.v2.json.")
    entries = [entry for entry in content["imgs"].values() if entry.get("set") == split]
    return Source(len(entries), _cocotext_samples(images, entries, content, problems))


def check_size(sample: Sample | None, height: int | None, width: int | None, problems: Problems) -> Sample | None:
    """None, and an error noted, for a sample whose image has another size than its annotations say."""
    if sample is None or not height or not width or (height, width) == (sample.height, sample.width):
        return sample
    message = f"is {sample.width}x{sample.height}, but was annotated as {width}x{height}; left out."
    problems.error("wrong_size", message, sample.file_name)
    return None


def _davar_samples(images: Path, entries: dict, problems: Problems) -> Iterator[Sample]:
    for name, entry in entries.items():
        try:
            words = _davar_words(entry.get("content_ann", {}))
        except (ValueError, TypeError, AttributeError) as error:
            problems.error("bad_entry", f"{error}; left out.", name)
            continue
        sample = make_sample(images, name, words, problems)
        sample = check_size(sample, entry.get("height"), entry.get("width"), problems)
        if sample is not None:
            yield sample


def _davar_words(content: dict) -> list[Word]:
    boxes = content.get("bboxes", [])
    texts = content.get("texts") or [""] * len(boxes)
    cares = content.get("cares") or [1] * len(boxes)
    characters = content.get("cbboxes") or [None] * len(boxes)
    lengths = [len(column) for column in (boxes, texts, cares, characters)]
    if len(set(lengths)) != 1:
        raise ValueError("bboxes, texts, cares and cbboxes have {}, {}, {} and {} entries".format(*lengths))
    outlines = [box_outline(*box) if len(box) == 4 else box for box in boxes]
    if any(len(outline) % 2 for outline in outlines):
        raise ValueError("an outline has an odd number of coordinates")
    columns = zip(outlines, texts, cares, characters, strict=True)
    return [make_word(outline, text or "", not care, quads or None) for outline, text, care, quads in columns]


def _cocotext_samples(images: Path, entries: list, content: dict, problems: Problems) -> Iterator[Sample]:
    for entry in entries:
        try:
            numbers = content["imgToAnns"].get(str(entry["id"]), [])
            words = [_cocotext_word(content["anns"][str(number)]) for number in numbers]
        except (ValueError, TypeError, KeyError) as error:
            problems.error("bad_entry", f"its words cannot be read ({error!r}); left out.", entry.get("file_name"))
            continue
        sample = make_sample(images, entry["file_name"], words, problems, stored=True)
        if sample is not None:
            yield sample


def _cocotext_word(annotation: dict) -> Word:
    mask = annotation.get("mask") or []
    if len(mask) < 6:
        x, y, width, height = annotation["bbox"]
        mask = box_outline(x, y, x + width, y + height)
    cared = annotation.get("legibility") == "legible" and annotation.get("language") == "english"
    return make_word(mask[: len(mask) // 2 * 2], annotation.get("utf8_string", ""), ignore=not cared)


def _read_object(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"there is no annotation file {path}.")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a JSON file in UTF-8: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__} instead of an object.")
    return content
