"""Writing our text JSON as a stream: memory does not grow with the number of words."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dld_spotter.data.annotation_checks import Finding, image_problem, word_problem
from dld_spotter.geometry import polygon_area

CATEGORIES = [{"id": 1, "name": "text"}]
_BEGINNING = b'{"info":'


class TextJsonWriter:
    """Writes one text JSON, image by image; the file appears under its name only when all is written.

    Annotations go to a second temporary file beside the first, since both lists of a COCO file grow together. An
    exception (Ctrl-C too) inside the ``with`` block removes both and leaves an older file of that name as it was.
    What would not load again raises ValueError, and so does a file of that name that no such writer wrote.

    Args:
        path: the file to write; its folder is made.
        info: anything that JSON can hold: where the data are from, the options of the conversion.
    """

    def __init__(self, path: str | os.PathLike, info: dict | None = None):
        self.path = Path(path)
        self.info = info or {}
        self.num_images = 0
        self.num_annotations = 0

    def __enter__(self) -> "TextJsonWriter":
        if self.path.exists() and not is_text_json(self.path):
            raise ValueError(f"{self.path} is there already, and is no file in our format; write to another one.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {
            "mode": "w+",
            "encoding": "utf-8",
            "dir": self.path.parent,
            "prefix": f".{self.path.name}.",
        }
        self._images = tempfile.NamedTemporaryFile(**options, delete=False)
        self._annotations = tempfile.TemporaryFile(**options)
        start = {"info": self.info, "categories": CATEGORIES}  # is_text_json looks at the beginning
        self._images.write(json.dumps(start, ensure_ascii=False, allow_nan=False)[:-1] + ',\n"images": [')
        return self

    def add_image(self, image: dict) -> int:
        """Append an image (file_name, height, width). A missing id becomes the next number. Returns its id."""
        self.num_images += 1
        image = {"id": self.num_images, **image}
        self._refuse(image_problem(image), f"image {self.num_images}")
        self._append(self._images, image, self.num_images)
        return image["id"]

    def add_annotation(self, annotation: dict) -> int:
        """Append a word: image_id, segmentation ([[x1, y1, ...]]), text, ignore. Returns its id."""
        self.num_annotations += 1
        annotation = _tidy_annotation(annotation)
        self._refuse(word_problem(annotation), f"annotation {self.num_annotations}")
        annotation = _complete_annotation(annotation, self.num_annotations)
        self._append(self._annotations, annotation, self.num_annotations)
        return annotation["id"]

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        temporary = Path(self._images.name)
        try:
            if kind is None:
                self._images.write('\n],\n"annotations": [')
                self._annotations.seek(0)
                shutil.copyfileobj(self._annotations, self._images)
                self._images.write("\n]}\n")
                self._images.close()
                temporary.chmod(0o666 & ~_umask())  # temporary files are private; this one is not temporary any more
                temporary.replace(self.path)
        finally:
            self._images.close()
            self._annotations.close()
            temporary.unlink(missing_ok=True)

    def _refuse(self, problem: Finding | None, place: str) -> None:
        if problem is not None:
            raise ValueError(f"{self.path}, {place}: {problem[1]}")

    @staticmethod
    def _append(file: Any, item: dict, number: int) -> None:
        file.write((",\n" if number > 1 else "\n") + json.dumps(item, ensure_ascii=False, allow_nan=False))


def is_text_json(path: str | os.PathLike) -> bool:
    """Whether a file begins as those that ``TextJsonWriter`` writes do, or is empty."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(len(_BEGINNING)) in (_BEGINNING, b"")


def write_text_json(
    path: str | os.PathLike, images: Iterable[dict], annotations: Iterable[dict], info: dict | None = None
) -> None:
    """Write one text JSON (the format is in datasets/README.md), all or nothing.

    Args:
        path: of the file.
        images: dicts with file_name, height, width and mostly id.
        annotations: dicts with image_id, segmentation, text, ignore; id, category_id, iscrowd, bbox and area are
            filled in where missing.
        info: goes into the file's "info".
    """
    with TextJsonWriter(path, info) as writer:
        for image in images:
            writer.add_image(image)
        for annotation in annotations:
            writer.add_annotation(annotation)


def _tidy_annotation(annotation: dict) -> dict:
    """A word with coordinates rounded to hundredths of a pixel."""
    outline = annotation["segmentation"][0]
    if not isinstance(outline, list) or not outline or isinstance(outline[0], Iterable):
        outline = np.ravel(outline).tolist()
    tidy = {
        **annotation,
        "segmentation": [[_tidy(value) for value in outline]],
        "ignore": int(annotation.get("ignore", 0)),
    }
    if "characters" in annotation:
        tidy["characters"] = [[_tidy(value) for value in quad] for quad in annotation["characters"]]
    return tidy


def _complete_annotation(annotation: dict, number: int) -> dict:
    """A word with all fields of our JSON."""
    outline = annotation["segmentation"][0]
    xs, ys = outline[0::2], outline[1::2]
    left, top = min(xs), min(ys)
    return {
        "id": number,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [left, top, _tidy(max(xs) - left), _tidy(max(ys) - top)],
        "area": _tidy(abs(polygon_area(outline))),
        **annotation,
    }


def _tidy(value: float) -> float | int:
    if type(value) is int:
        return value
    value = round(float(value), 2)
    return int(value) if value.is_integer() else value


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
