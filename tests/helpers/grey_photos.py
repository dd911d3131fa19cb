"""Photos of one grey, which the stand-in of fake_spotter.py finds its words in unless they are black."""

import cv2
import numpy as np


def photo(height=60, width=80, value=200):
    return np.full((height, width, 3), value, np.uint8)


def write_photos(folder, names, **kwargs):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for path in paths:
        cv2.imwrite(str(path), photo(**kwargs))
    return paths


def texts(result):
    return [word.text for word in result.words]
