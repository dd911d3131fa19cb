"""Checks of our text JSON: what is wrong in which image and annotation, and what can be mended."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from detectron2.structures import BoxMode

from dld_spotter.geometry import (
    as_points,
    clip_polygon,
    clockwise,
    crosses_itself,
    polygon_area,
    polygon_box,
    repair_polygon,
)

DONT_CARE = "###"


class Problem(NamedTuple):
    """One finding. An "error" stops a training run; a "warning" is mended or, for words, left out."""

    severity: str
    kind: str
    file: str
    image: str | None
    annotation: int | str | None
    message: str

    def __str__(self) -> str:
        where = self.file
        if self.image is not None:
            where += f", image {self.image}"
        if self.annotation is not None:
            where += f", annotation {self.annotation}"
        return f"{where}: {self.message}"


class Problems:
    """Counts findings by kind and keeps the first few of each kind (all of them with ``keep=None``)."""

    def __init__(self, file: str, keep: int | None = None):
        self.file = file
        self.counts: Counter[tuple[str, str]] = Counter()
        self.kept: list[Problem] = []
        self._keep = keep

    def add(self, severity: str, kind: str, message: str, image: Any = None, annotation: Any = None) -> None:
        self.counts[severity, kind] += 1
        if self._keep is None or self.counts[severity, kind] <= self._keep:
            self.kept.append(Problem(severity, kind, self.file, image, annotation, message))

    def error(self, kind: str, message: str, image: Any = None, annotation: Any = None) -> None:
        self.add("error", kind, message, image, annotation)

    def warning(self, kind: str, message: str, image: Any = None, annotation: Any = None) -> None:
        self.add("warning", kind, message, image, annotation)

    def count(self, severity: str) -> int:
        return sum(count for (found, _), count in self.counts.items() if found == severity)

    def of(self, severity: str) -> list[Problem]:
        return [problem for problem in self.kept if problem.severity == severity]


def image_records(images: Sequence, image_root: str, problems: Problems) -> dict[int, dict]:
    """Image id -> record without words, for the entries that are in order."""
    records: dict[int, dict] = {}
    names: set[str] = set()
    for index, image in enumerate(images):
        problem = _image_problem(image)
        if problem is not None:
            name = image.get("file_name", f"number {index}") if isinstance(image, dict) else f"number {index}"
            problems.error(*problem, image=name)
            continue
        name = image["file_name"]
        if image["id"] in records:
            problems.error("duplicate_image_id", f"id {image['id']} occurs before; give each its own.", name)
        elif name in names:
            problems.error("duplicate_image", "is listed twice; merge its two entries.", name)
        else:
            names.add(name)
            records[image["id"]] = {
                "file_name": os.path.join(image_root, name),
                "image_id": image["id"],
                "height": image["height"],
                "width": image["width"],
                "annotations": [],
            }
    return records


def group_annotations(annotations: list, records: dict[int, dict], problems: Problems) -> dict[int, list[dict]]:
    """Image id -> its annotations, for those with an id of their own and a known image. Empties the given list."""
    groups: dict[int, list[dict]] = {image_id: [] for image_id in records}
    seen: set[int] = set()
    annotations.reverse()
    index = -1
    while annotations:
        annotation = annotations.pop()
        index += 1
        if not isinstance(annotation, dict):
            problems.error("wrong_type", f"is a {type(annotation).__name__}, not an object.", None, f"number {index}")
            continue
        missing = [key for key in ("id", "image_id") if key not in annotation]
        number = annotation.get("id", f"number {index}")
        if missing:
            problems.error("missing_field", f"has no {' and no '.join(missing)}.", None, number)
        elif not _is_integer(number) or not _is_integer(annotation["image_id"]):
            problems.error("wrong_type", "id and image_id must be whole numbers.", None, number)
        elif annotation["image_id"] not in groups:
            problems.error("unknown_image", f"image_id {annotation['image_id']} is not among the images.", None, number)
        elif number in seen:
            name = records[annotation["image_id"]]["file_name"]
            problems.error("duplicate_annotation_id", "the id occurs before; give each its own.", name, number)
        else:
            seen.add(number)
            groups[annotation["image_id"]].append(annotation)
    return groups


def word_records(annotations: Sequence[dict], record: dict, problems: Problems) -> list[dict]:
    """The words of one image in the form of Detectron2's records; mended, or left out where they cannot be."""
    words, seen = [], set()
    for annotation in annotations:
        where = (record["file_name"], annotation["id"])
        problem = _word_problem(annotation)
        if problem is not None:
            problems.error(*problem, *where)
            continue
        outline = _mend_outline(_flat_outline(annotation, problems, where), record, problems, where)
        if outline is None:
            continue
        text, ignore = _mend_text(annotation, problems, where)
        key = (text, *outline)
        if key in seen:
            problems.warning("duplicate_annotation", f"repeats another word ('{text}'); left out.", *where)
            continue
        seen.add(key)
        words.append(_word_record(annotation, outline, text, ignore))
    return words


def _image_problem(image: Any) -> tuple[str, str] | None:
    """Kind and message of what is wrong with an entry of "images"."""
    if not isinstance(image, dict):
        return "wrong_type", f"the entry is a {type(image).__name__}, not an object."
    missing = [key for key in ("id", "file_name", "height", "width") if key not in image]
    if missing:
        return "missing_field", f"has no {', '.join(missing)}."
    if not _is_integer(image["id"]):
        return "wrong_type", f"id is {image['id']!r}, not a whole number."
    if not isinstance(image["file_name"], str) or not image["file_name"]:
        return "wrong_type", f"file_name is {image['file_name']!r}, not a path."
    for key in ("height", "width"):
        if not _is_integer(image[key]) or image[key] < 1:
            return "wrong_type", f"{key} is {image[key]!r}, not a positive whole number."
    return None


def _word_problem(annotation: dict) -> tuple[str, str] | None:
    """Kind and message of what cannot be mended in an annotation."""
    text, ignore = annotation.get("text"), annotation.get("ignore", 0)
    if ignore not in (0, 1):
        return "wrong_type", f"ignore is {ignore!r}; use 1 (don't care) or 0."
    if text is None and not ignore and not annotation.get("iscrowd"):
        return "missing_field", 'has no text; add the word, or "ignore": 1.'
    if text is not None and not isinstance(text, str):
        return "wrong_type", f"text is {text!r}, not a string; put it between quotes."
    return _outline_problem(annotation.get("segmentation"), annotation.get("bbox")) or _characters_problem(
        annotation.get("characters")
    )


def _characters_problem(boxes: Any) -> tuple[str, str] | None:
    """Kind and message of what is wrong with the boxes of a word's characters, which are optional."""
    if boxes is None:
        return None
    if not isinstance(boxes, list) or not all(isinstance(box, list) and len(box) == 8 for box in boxes):
        return "wrong_type", "characters must be a list of boxes of eight numbers, [[x1, y1, ..., x4, y4], ...]."
    return next(filter(None, map(_numbers_problem, boxes)), None)


def _outline_problem(parts: Any, box: Any) -> tuple[str, str] | None:
    """Kind and message of what is wrong with a segmentation or, in its absence, with a box."""
    if not parts and box is None:
        return "missing_field", "has neither segmentation nor bbox."
    if not parts and (not isinstance(box, list) or len(box) != 4):
        return "wrong_type", f"bbox is {box!r}; use [x, y, width, height]."
    parts = parts or [box]
    if not isinstance(parts, list) or not all(isinstance(part, list) for part in parts):
        return "wrong_type", "segmentation must be [[x1, y1, x2, y2, ...]] (masks in run lengths are not read)."
    return next(filter(None, map(_numbers_problem, parts)), None)


def _numbers_problem(part: list) -> tuple[str, str] | None:
    """Kind and message of what is wrong with the numbers of one outline."""
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in part):
        return "wrong_type", f"the outline {part} holds something that is not a number."
    if not all(map(math.isfinite, part)):
        return "not_finite", f"the outline {part} holds NaN or infinity."
    if len(part) % 2 or not part:
        return "odd_coordinates", f"the outline has {len(part)} numbers; x and y must come in pairs."
    return None


def _flat_outline(annotation: dict, problems: Problems, where: tuple) -> list[float]:
    """x1, y1, x2, y2, ... of a word; the box's corners where there is no segmentation."""
    parts = annotation.get("segmentation")
    if not parts:
        x, y, width, height = annotation["bbox"]
        return [x, y, x + width, y, x + width, y + height, x, y + height]
    if len(parts) > 1:
        problems.warning("several_parts", f"has {len(parts)} outlines; the largest is kept.", *where)
    return max(parts, key=lambda part: abs(polygon_area(part))) if len(parts) > 1 else parts[0]


def _mend_outline(outline: list, record: dict, problems: Problems, where: tuple) -> list[float] | None:
    """Clockwise, simple and inside the image; None (and a warning) for an outline of which nothing is left."""
    width, height = record["width"], record["height"]
    if _is_plain(outline, width, height):
        return outline
    points = as_points(outline)
    if len({tuple(point) for point in points.tolist()}) < 3:
        problems.warning("too_few_points", f"{outline} has fewer than three distinct points; left out.", *where)
        return None
    try:
        if crosses_itself(points):
            points = repair_polygon(points)
            problems.warning("crosses_itself", f"the outline {outline} crosses itself; repaired.", *where)
    except ValueError:
        problems.warning("no_area", f"the outline {outline} encloses no area; left out.", *where)
        return None
    clipped = clip_polygon(clockwise(points), width, height)
    if clipped is None:
        problems.warning("outside", f"the outline {outline} is outside of {width}x{height}; left out.", *where)
        return None
    x1, y1, x2, y2 = polygon_box(points)
    if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
        problems.warning("clipped", f"the outline {outline} leaves the image, {width}x{height}; clipped.", *where)
    return clipped.reshape(-1).tolist()


def _is_plain(flat: list, width: int, height: int) -> bool:
    """Whether nothing needs mending in a three or four-cornered outline: inside, clockwise, convex.

    Almost every word of the large sets is one, and Python's own arithmetic tests it ten times faster than NumPy.
    Up to four turns that are all to the right make one round, so such an outline cannot cross itself.
    """
    if len(flat) not in (6, 8):
        return False
    xs, ys = flat[0::2], flat[1::2]
    if min(xs) < 0 or min(ys) < 0 or max(xs) > width or max(ys) > height:
        return False
    for i in range(len(xs)):
        j, k = i - 1, i - 2
        if (xs[j] - xs[k]) * (ys[i] - ys[j]) - (ys[j] - ys[k]) * (xs[i] - xs[j]) <= 0:
            return False
    return True


def _mend_text(annotation: dict, problems: Problems, where: tuple) -> tuple[str, bool]:
    """The word without outer blanks, and whether it is don't care."""
    text = (annotation.get("text") or "").strip()
    ignore = bool(annotation.get("ignore")) or bool(annotation.get("iscrowd"))
    if not ignore and text in ("", DONT_CARE):
        kind = "empty_word" if text == "" else "unmarked_dont_care"
        problems.warning(kind, f"the text is '{text}' but ignore is 0; taken as don't care.", *where)
        ignore = True
    return text, ignore


def _word_record(annotation: dict, outline: list[float], text: str, ignore: bool) -> dict:
    xs, ys = outline[0::2], outline[1::2]
    word = {
        "id": annotation["id"],
        "bbox": [min(xs), min(ys), max(xs), max(ys)],
        "bbox_mode": BoxMode.XYXY_ABS,
        "category_id": 0,
        "segmentation": [outline],
        "text": text,
        "ignore": ignore,
    }
    if annotation.get("characters"):
        word["characters"] = annotation["characters"]
    return word


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
