"""Own photos, annotated with labelme or PPOCRLabel."""

import json
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

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
from dld_spotter.data.converters.json_formats import check_size
from dld_spotter.data.problems import Problems

# What PPOCRLabel writes for "to be recognised" and "cannot be recognised", in its English and its Chinese surface.
PLACEHOLDERS = ("TEMPORARY", "NULL", "待识别", "无法识别")


def labelme(images: Path, annotations: Path, problems: Problems, *, text_field: str = "label") -> Source:
    """labelme: a JSON file for each image; polygons and rectangles are words, other shapes are left out.

    A word is don't care if its text is empty or "###", or if a flag of it named ignore, dontcare or difficult is set.

    Args:
        text_field: the field of a shape that holds the word, "label" or "description".
    """
    files, folder = annotation_files(annotations, ".json"), ImageFolder(images)
    return Source(len(files), _labelme_samples(files, folder, problems, text_field))


def ppocrlabel(images: Path, annotations: Path, problems: Problems) -> Source:
    """PPOCRLabel's ``Label.txt``: a line an image, ``path<tab>[{"transcription": ..., "points": ..., ...}]``.

    Args:
        annotations: Label.txt, or the folder that holds it.
    """
    path = annotations / "Label.txt" if annotations.is_dir() else annotations
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; give PPOCRLabel's Label.txt with --annotations.")
    lines = numbered_lines(decode_text(path.read_bytes(), path.name, problems))
    return Source(len(lines), _ppocrlabel_samples(lines, path.name, ImageFolder(images), problems))


def _labelme_samples(
    files: list[TextFile], folder: ImageFolder, problems: Problems, text_field: str
) -> Iterator[Sample]:
    seen: set[str] = set()
    for file in files:
        try:
            content = json.loads(decode_text(file.read(), file.name, problems))
            name = _find_image(folder, content["imagePath"], seen)
            shapes, height, width = content["shapes"], content.get("imageHeight"), content.get("imageWidth")
            words = _labelme_words(shapes, name, problems, text_field)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problems.error("bad_file", f"{file.name} is not a labelme file that fits ({_say(error)}); left out.")
            continue
        sample = check_size(make_sample(folder.root, name, words, problems), height, width, problems)
        if sample is not None:
            yield sample


def _labelme_words(shapes: list[dict], name: str, problems: Problems, text_field: str) -> list[Word]:
    words = []
    for number, shape in enumerate(shapes):
        kind, points = shape.get("shape_type") or "polygon", [tuple(point) for point in shape["points"]]
        if kind == "rectangle" and len(points) == 2:
            (x1, y1), (x2, y2) = points
            outline = box_outline(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        elif kind in ("polygon", "rectangle"):
            outline = [value for point in points for value in point]
        else:
            problems.warning("other_shape", f"a {kind} is no outline of a word; left out.", name, number)
            continue
        flags = shape.get("flags") or {}
        ignore = any(flags.get(flag) for flag in ("ignore", "dontcare", "difficult"))
        words.append(make_word(outline, shape.get(text_field) or "", ignore))
    return words


def _ppocrlabel_samples(
    lines: list[tuple[int, str]], file: str, folder: ImageFolder, problems: Problems
) -> Iterator[Sample]:
    seen: set[str] = set()
    for number, line in lines:
        path, tab, body = line.partition("\t")
        try:
            if not tab:
                raise ValueError("no tab after the path")
            name = _find_image(folder, path, seen)
            words = [_ppocrlabel_word(entry, name, problems) for entry in json.loads(body)]
        except (ValueError, KeyError, TypeError) as error:
            problems.error("bad_line", f"{file}, line {number}: {_say(error)}; left out.")
            continue
        sample = make_sample(folder.root, name, words, problems)
        if sample is not None:
            yield sample


def _ppocrlabel_word(entry: dict, name: str, problems: Problems) -> Word:
    text = entry["transcription"]
    if text in PLACEHOLDERS:
        problems.warning("placeholder", f"a word is still '{text}'; taken as don't care.", name)
        text = ""
    outline = [value for x, y in entry["points"] for value in (x, y)]
    return make_word(outline, text, bool(entry.get("difficult")))


def _find_image(folder: ImageFolder, path: str, seen: set[str]) -> str:
    """An image by the path that a tool wrote, perhaps on another machine: the longest end of it that exists here.

    Raises:
        ValueError: there is none, or it had annotations before.
    """
    windows = PureWindowsPath(path)  # takes both kinds of slashes
    parts = [part for part in windows.parts if part not in ("..", windows.anchor)]
    for start in range(len(parts)):
        name = "/".join(parts[start:])
        if name in folder:
            if name in seen:
                raise ValueError(f"{name} was annotated before")
            seen.add(name)
            return name
    raise ValueError(f"there is no image {path} in {folder.root}")


def _say(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
