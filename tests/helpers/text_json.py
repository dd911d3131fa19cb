"""Entries of our text JSON, to be changed in single fields."""

import json

import cv2
import numpy as np

SQUARE = [10, 10, 30, 10, 30, 20, 10, 20]


def image_entry(**changes):
    return {"id": 1, "file_name": "a.png", "height": 40, "width": 60, **changes}


def word_entry(outline=SQUARE, **changes):
    return {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [outline], "text": "Exit", "ignore": 0, **changes}


def without(entry, key):
    return {k: v for k, v in entry.items() if k != key}


def write(folder, images=None, annotations=None, size=(40, 60)):
    """A JSON with what is given, one grey image a.png beside it; returns both paths."""
    cv2.imwrite(str(folder / "a.png"), np.full((*size, 3), 128, np.uint8))
    content = {
        "images": images or [image_entry()],
        "annotations": [word_entry()] if annotations is None else annotations,
    }
    (folder / "words.json").write_text(json.dumps(content), encoding="utf-8")
    return str(folder / "words.json"), str(folder)
