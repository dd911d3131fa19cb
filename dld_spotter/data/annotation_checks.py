"""What our text JSON may hold: one check for the loader, for ``--check``, for the writer and for the converters.

Each check gives the kind and the message of the first thing that is wrong, or None.
"""

import math
import re
from typing import Any

from dld_spotter.data.problems import shown

MAX_COORDINATE = 1_000_000  # pixels; no photo is larger
MAX_POINTS = 1_000  # of an outline
MAX_CHARACTERS = 1_000  # of a word
MAX_ID = 2**63 - 1

_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]+")  # tabs and ends of lines
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # surrogates too: UTF-8 cannot hold them
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")

Finding = tuple[str, str]  # kind and message


def image_problem(image: Any) -> Finding | None:
    """What is wrong with an entry of "images"."""
    if not isinstance(image, dict):
        return "wrong_type", f"the entry is a {type(image).__name__}, not an object."
    missing = [key for key in ("id", "file_name", "height", "width") if key not in image]
    if missing:
        return "missing_field", f"has no {', '.join(missing)}."
    if not is_id(image["id"]):
        return "wrong_type", f"id is {shown(image['id'])}, not a whole number of 64 bits."
    for key in ("height", "width"):
        if not is_id(image[key]) or not 1 <= image[key] <= MAX_COORDINATE:
            return "wrong_type", f"{key} is {shown(image[key])}, not a whole number from 1 to {MAX_COORDINATE:,}."
    return name_problem(image["file_name"])


def word_problem(annotation: dict) -> Finding | None:
    """What cannot be mended in an annotation; its text matters only where it is to be read."""
    get = annotation.get
    for key in ("ignore", "iscrowd"):
        if get(key, 0) not in (0, 1):
            return "wrong_type", f"{key} is {shown(annotation[key])}; use 1 (don't care) or 0."
    return (
        (None if is_dont_care(annotation) else text_problem(get("text")))
        or _outline_problem(get("segmentation"), get("bbox"))
        or _characters_problem(get("characters"))
    )


def text_problem(text: Any) -> Finding | None:
    """What is wrong with the text of a word that is to be read."""
    if text is None:
        return "missing_field", 'has no text; add the word, or "ignore": 1.'
    if not isinstance(text, str):
        return "wrong_type", f"text is {shown(text)}, not a string; put it between quotes."
    if len(text) > MAX_CHARACTERS:
        return "too_long_text", f"text has {len(text):,} characters; a word has {MAX_CHARACTERS:,} at most."
    control = None if text.isprintable() else _CONTROL.search(clean_text(text))
    return control and ("control_character", f"text is {shown(text)}, with the control character {control[0]!r}.")


def clean_text(text: str) -> str:
    """A text without outer blanks, with a blank for each tab and end of line."""
    return text.strip() if text.isprintable() else _BREAKS.sub(" ", text).strip()


def is_dont_care(annotation: dict) -> bool:
    """Whether nobody needs to find or read the word."""
    return bool(annotation.get("ignore")) or bool(annotation.get("iscrowd"))


def is_id(value: Any) -> bool:
    """Whether a value is a whole number that fits into 64 bits."""
    return type(value) is int and -MAX_ID <= value <= MAX_ID


def is_empty(parts: Any) -> bool:
    """Whether a segmentation holds no outline, so that the box stands in for it."""
    return not parts or parts == [[]]


def name_problem(name: Any) -> Finding | None:
    """What is wrong with the path of an image, which must not lead out of the image folder."""
    if not isinstance(name, str) or not name:
        return "wrong_type", f"file_name is {shown(name)}, not a path."
    if _CONTROL.search(name):
        return "control_character", f"file_name is {name!r}, with a control character or bytes that are not UTF-8."
    if name[0] in "/\\" or _DRIVE.match(name) or ".." in re.split(r"[/\\]", name):
        return "outside_folder", f"file_name is {shown(name)}; give a path below the image folder, without '..'."
    return None


def _outline_problem(parts: Any, box: Any) -> Finding | None:
    """What is wrong with a segmentation or, in its absence, with a box."""
    if is_empty(parts):
        if box is None:
            return "missing_field", "has neither segmentation nor bbox."
        if not isinstance(box, list) or len(box) != 4:
            return "wrong_type", f"bbox is {shown(box)}; use [x, y, width, height]."
        parts = [box]
    if not isinstance(parts, list) or not all(isinstance(part, list) for part in parts):
        return "wrong_type", "segmentation must be [[x1, y1, x2, y2, ...]] (masks in run lengths are not read)."
    return next((problem for problem in map(_numbers_problem, parts) if problem), None)


def _numbers_problem(part: list) -> Finding | None:
    """What is wrong with the numbers of one outline."""
    for value in part:
        if type(value) is not int and type(value) is not float:
            return "wrong_type", f"the outline {shown(part)} holds something that is not a number."
        if not -MAX_COORDINATE <= value <= MAX_COORDINATE:
            if isinstance(value, float) and not math.isfinite(value):
                return "not_finite", f"the outline {shown(part)} holds NaN or infinity."
            return "too_large", f"the outline {shown(part)} holds a number beyond {MAX_COORDINATE:,}."
    if len(part) % 2 or not part:
        return "odd_coordinates", f"the outline has {len(part)} numbers; x and y must come in pairs."
    if len(part) > 2 * MAX_POINTS:
        return "too_many_points", f"the outline has {len(part) // 2:,} points; at most {MAX_POINTS:,} are read."
    return None


def _characters_problem(boxes: Any) -> Finding | None:
    """What is wrong with the boxes of a word's characters, which are optional."""
    if boxes is None:
        return None
    if not isinstance(boxes, list) or not all(isinstance(box, list) and len(box) == 8 for box in boxes):
        return "wrong_type", "characters must be a list of boxes of eight numbers, [[x1, y1, ..., x4, y4], ...]."
    if len(boxes) > MAX_CHARACTERS:
        return "wrong_type", f"has boxes of {len(boxes):,} characters; a word has {MAX_CHARACTERS:,} at most."
    return next(filter(None, map(_numbers_problem, boxes)), None)
