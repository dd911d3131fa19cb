"""What the tests of tools/demo.py share: photos, and records."""

import json

import cv2
import numpy as np
from fake_spotter import fake_cfg


def two_photos(tmp_path):
    """A folder with two photos, one of them black, and the config file of the stand-in."""
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.jpg"), np.full((60, 80, 3), 200, np.uint8))
    cv2.imwrite(str(folder / "b.png"), np.zeros((60, 80, 3), np.uint8))
    return folder, fake_cfg(tmp_path)[1]


def many(folder, number):
    """More photos, with three words each."""
    for index in range(number):
        cv2.imwrite(str(folder / f"c{index}.png"), np.full((60, 80, 3), 200, np.uint8))


def names_of(path):
    text = path.read_text(encoding="utf-8")
    records = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    return [record["file_name"] for record in records]
