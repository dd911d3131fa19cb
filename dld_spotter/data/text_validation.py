"""Our text JSON's entries as Detectron2's records: mended where they can be, reported where they cannot."""

import os
import posixpath
from collections.abc import Sequence
from typing import Any

from dld_spotter.data.annotation_checks import (
    clean_text,
    image_problem,
    is_dont_care,
    is_empty,
    is_id,
    text_problem,
    word_problem,
)
from dld_spotter.data.problems import Problem, Problems, shown
from dld_spotter.geometry import (
    as_points,
    clip_polygon,
    clockwise,
    crosses_itself,
    polygon_area,
    polygon_box,
    repair_polygon,
)

__all__ = ["DONT_CARE", "Problem", "Problems", "group_annotations", "image_records", "word_records"]

DONT_CARE = "###"
XYXY_ABS = 0  # equal to Detectron2's BoxMode.XYXY_ABS; ground truths are read without Detectron2

Place = tuple[str, int]  # file_name of the image, id of the annotation


def image_records(images: Sequence, image_root: str, problems: Problems) -> dict[int, dict]:
    """Image id -> record without words, for the entries that are in order."""
    records: dict[int, dict] = {}
    names: set[str] = set()
    for index, image in enumerate(images):
        problem = image_problem(image)
        if problem is not None:
            name = image.get("file_name") if isinstance(image, dict) else None
            problems.error(*problem, image=name if isinstance(name, str) and name else f"number {index}")
            continue
        name = posixpath.normpath(image["file_name"])
        if image["id"] in records:
            problems.error("duplicate_image_id", f"id {image['id']} occurs before; give each its own.", name)
        elif name in names:
            problems.error("duplicate_image", "is listed twice; merge its two entries.", name)
        else:
            names.add(name)
            records[image["id"]] = {
                "file_name": os.path.join(image_root, image["file_name"]),
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
        elif not is_id(number) or not is_id(annotation["image_id"]):
            problems.error("wrong_type", "id and image_id must be whole numbers of 64 bits.", None, number)
        elif annotation["image_id"] not in groups:
            problems.error("unknown_image", f"image_id {annotation['image_id']} is not among the images.", None, number)
        elif number in seen:
            name = records[annotation["image_id"]]["file_name"]
            problems.error("duplicate_annotation_id", "the id occurs before; give each its own.", name, number)
        else:
            seen.add(number)
            groups[annotation["image_id"]].append(annotation)
    return groups


def word_records(
    annotations: Sequence[dict], record: dict, problems: Problems, *, as_annotated: bool = False
) -> list[dict]:
    """The words of one image in the form of Detectron2's records; mended, or left out where they cannot be.

    ``as_annotated``: the same words, but with their outlines as they stand in the file.
    """
    words: list[dict] = []
    seen: set[tuple] = set()
    for annotation in annotations:
        where = (record["file_name"], annotation["id"])
        with problems.guard("unusable", *where):
            problem = word_problem(annotation)
            if problem is not None:
                problems.error(*problem, *where)
                continue
            given = _flat_outline(annotation, problems, where)
            outline = _mend_outline(given, record, problems, where)
            if outline is None:
                continue
            text, ignore = _mend_text(annotation, problems, where)
            key = (text, *outline)
            if key in seen:
                problems.warning("duplicate_annotation", f"repeats another word ('{text}'); left out.", *where)
                continue
            seen.add(key)
            words.append(_word_record(annotation, given if as_annotated else outline, text, ignore))
    return words


def _flat_outline(annotation: dict, problems: Problems, where: Place) -> list[float]:
    """x1, y1, x2, y2, ... of a word; the box's corners where there is no segmentation."""
    parts: Any = annotation.get("segmentation")
    if is_empty(parts):
        x, y, width, height = annotation["bbox"]
        return [x, y, x + width, y, x + width, y + height, x, y + height]
    if len(parts) > 1:
        problems.warning("several_parts", f"has {len(parts)} outlines; the largest is kept.", *where)
    return max(parts, key=lambda part: abs(polygon_area(part))) if len(parts) > 1 else parts[0]


def _mend_outline(outline: list, record: dict, problems: Problems, where: Place) -> list[float] | None:
    """Clockwise, simple and inside the image; None (and a warning) for an outline of which nothing is left."""
    width, height = record["width"], record["height"]
    if _is_plain(outline, width, height):
        return outline
    points, name = as_points(outline), f"the outline {shown(outline)}"
    if len({tuple(point) for point in points.tolist()}) < 3:
        problems.warning("too_few_points", f"{name} has fewer than three distinct points; left out.", *where)
        return None
    try:
        if crosses_itself(points):
            points = repair_polygon(points)
            problems.warning("crosses_itself", f"{name} crosses itself; repaired.", *where)
    except ValueError:
        problems.warning("no_area", f"{name} encloses no area, or crosses itself very often; left out.", *where)
        return None
    clipped = clip_polygon(clockwise(points), width, height)
    if clipped is None:
        problems.warning("outside", f"{name} is outside of {width}x{height}; left out.", *where)
        return None
    x1, y1, x2, y2 = polygon_box(points)
    if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
        problems.warning("clipped", f"{name} leaves the image, {width}x{height}; clipped.", *where)
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


def _mend_text(annotation: dict, problems: Problems, where: Place) -> tuple[str, bool]:
    """The word without outer blanks, and whether it is don't care; then a text that cannot be used is empty."""
    text: Any = annotation.get("text")
    ignore = is_dont_care(annotation)
    text = "" if ignore and text_problem(text) else clean_text(text)
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
        "bbox_mode": XYXY_ABS,
        "category_id": 0,
        "segmentation": [outline],
        "text": text,
        "ignore": ignore,
    }
    if annotation.get("characters"):
        word["characters"] = annotation["characters"]
    return word
