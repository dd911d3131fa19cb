"""Own photos, annotated with labelme or PPOCRLabel."""

import posixpath
from collections import Counter
from collections.abc import Container, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from dld_spotter.data.converters.common import Source, Word, as_list, box_outline, is_set, make_word, numbered_lines
from dld_spotter.data.converters.image_folder import ImageFolder
from dld_spotter.data.converters.reading import Entry, EntryReader, read_samples
from dld_spotter.data.problems import Problems, Unusable
from dld_spotter.data.text_files import TextFile, decode_text, find_text_files, parse_json, read_text

# What PPOCRLabel writes for "to be recognised" and "cannot be recognised", in its English and its Chinese surface.
PLACEHOLDERS = ("TEMPORARY", "NULL", "待识别", "无法识别")

_BODY = "what stands after the path"
IGNORE_FLAGS = ("ignore", "dontcare", "difficult")


def labelme(images: Path, annotations: Path, problems: Problems, *, text_field: str = "label") -> Source:
    """labelme: a JSON file for each image; polygons and rectangles are words, other shapes are left out.

    A word is don't care if its text is empty or "###", or if a flag of it named ignore, dontcare or difficult is set; a
    field ``difficult`` beside the flags, as related tools write it, counts too. Files in our own format, which may
    stand beside the others, are skipped. ``text_field`` is the field of a shape that holds the word, "label" or
    "description".
    """
    files = find_text_files(annotations, ".json")
    entries = _labelme_entries(files, ImageFolder(images), problems, text_field)
    return Source(len(files), read_samples(entries, images, problems))


def ppocrlabel(images: Path, annotations: Path, problems: Problems) -> Source:
    """PPOCRLabel's ``Label.txt``: a line an image, ``path<tab>[{"transcription": ..., "points": ..., ...}]``.

    ``annotations`` is Label.txt, or the folder that holds it.
    """
    path = annotations / "Label.txt" if annotations.is_dir() else annotations
    folder = ImageFolder(images)
    lines = numbered_lines(read_text(path, partial(problems.warning, "not_utf8")))
    ambiguous = folder.ambiguous((line.partition("\t")[0], "") for _, line in lines)
    entries = [
        (f"line {number}", partial(_ppocrlabel_entry, line, folder, ambiguous, problems)) for number, line in lines
    ]
    return Source(len(entries), read_samples(entries, images, problems))


class _Labels:
    """What stands in the labels and descriptions of all shapes: words, or one label for all words."""

    def __init__(self) -> None:
        self._labels: set[str] = set()
        self._descriptions: set[str] = set()

    def add(self, shape: dict) -> None:
        for found, text in ((self._labels, shape.get("label")), (self._descriptions, shape.get("description"))):
            if len(found) < 2 and isinstance(text, str) and text.strip():
                found.add(text)

    def hint(self) -> str | None:
        if len(self._labels) != 1 or len(self._descriptions) < 2:
            return None
        label = next(iter(self._labels))
        return f"every label is '{label}', but descriptions differ; for the words in them: --text-field description."


def _labelme_entries(
    files: list[TextFile], folder: ImageFolder, problems: Problems, text_field: str
) -> Iterator[tuple[str, EntryReader]]:
    labels = _Labels()
    ambiguous = folder.ambiguous(_places_of_twins(files))
    for file in files:
        yield file.name, partial(_labelme_entry, file, folder, ambiguous, problems, text_field, labels)
    hint = labels.hint()
    if hint is not None and text_field == "label":
        problems.warning("equal_labels", hint)


def _places_of_twins(files: list[TextFile]) -> Iterator[tuple[str, str]]:
    """Image path and folder of the files that are called like another one; the others fit one image at most."""
    counts = Counter(posixpath.basename(file.name) for file in files)
    for file in files:
        if counts[posixpath.basename(file.name)] > 1:
            try:
                content = parse_json(decode_text(file.read(), file.name, _ignore), file.name)
                yield content["imagePath"], file.folder
            except Exception:  # reading the entry says why
                continue


def _ignore(message: str) -> None:
    pass


def _labelme_entry(
    file: TextFile,
    folder: ImageFolder,
    ambiguous: Container[tuple[str, str]],
    problems: Problems,
    text_field: str,
    labels: _Labels,
) -> Entry | None:
    text = decode_text(file.read(), file.name, partial(problems.warning, "not_utf8"))
    content = parse_json(text, file.name)
    if isinstance(content, dict) and "shapes" not in content and {"images", "annotations"} <= content.keys():
        return None
    words = [
        (f"shape {number}", partial(_labelme_word, shape, text_field, labels))
        for number, shape in enumerate(as_list(content["shapes"], "shapes"), 1)
    ]
    name = _locate(folder, content["imagePath"], file.folder, ambiguous)
    return Entry(name, words, (content.get("imageHeight"), content.get("imageWidth")))


def _locate(folder: ImageFolder, path: str, beside: str, ambiguous: Container[tuple[str, str]]) -> str:
    name = folder.locate(path, beside)
    if (path, beside) in ambiguous:
        raise Unusable("ambiguous_image", f"{path} and another entry fit the image {name}")
    return name


def _labelme_word(shape: dict, text_field: str, labels: _Labels) -> Word:
    kind, points = shape.get("shape_type") or "polygon", [(x, y) for x, y in shape["points"]]
    if kind == "rectangle" and len(points) == 2:
        (x1, y1), (x2, y2) = points
        outline = box_outline(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    elif kind in ("polygon", "rectangle"):
        outline = [value for point in points for value in point]
    else:
        raise Unusable("other_shape", f"a {kind} is no outline of a word", "warning")
    labels.add(shape)
    flags = shape.get("flags") or {}
    marks = {"difficult": shape.get("difficult")} | {flag: flags.get(flag) for flag in IGNORE_FLAGS if flags.get(flag)}
    ignore = any(is_set(value, name) for name, value in marks.items())
    return make_word(outline, shape.get(text_field), ignore)


def _ppocrlabel_entry(
    line: str, folder: ImageFolder, ambiguous: Container[tuple[str, str]], problems: Problems
) -> Entry:
    path, tab, body = line.partition("\t")
    if not tab:
        raise ValueError("no tab after the path")
    name = _locate(folder, path, "", ambiguous)
    words = [
        (f"word {number}", partial(_ppocrlabel_word, entry, name, problems))
        for number, entry in enumerate(as_list(parse_json(body, _BODY), _BODY), 1)
    ]
    return Entry(name, words)


def _ppocrlabel_word(entry: dict, name: str, problems: Problems) -> Word:
    text: Any = entry["transcription"]
    if text in PLACEHOLDERS:
        problems.warning("placeholder", f"a word is still '{text}'; taken as don't care.", name)
        text = ""
    return make_word(
        [value for x, y in entry["points"] for value in (x, y)], text, is_set(entry.get("difficult"), "difficult")
    )
