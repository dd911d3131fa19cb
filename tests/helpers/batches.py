"""Small photos, and a stand-in for the model, for tests of batches. It needs neither PyTorch nor Ray."""

import json
import os
import signal
import time
from dataclasses import replace

import cv2
import numpy as np

from dld_spotter.image_io import ImageError
from dld_spotter.photo_sources import Photo
from dld_spotter.results import TextResult, Word

KILLS = "kills"  # in the name of a photo that kills the process which reads it


def draw_photos(folder, number, bad=()):
    """Small photos with a word; those whose numbers are in ``bad`` are no images."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        path = folder / f"photo_{index:03d}.jpg"
        if index in bad:
            path.write_bytes(b"no image")
            continue
        image = np.full((48, 96, 3), 255, np.uint8)
        cv2.putText(image, str(index), (5, 35), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 0), 2)
        cv2.imwrite(str(path), image)
    return folder


class StandIn:
    """Says of each photo what it is called.

    Args:
        seconds: that it takes for one.
        pids: a folder in which it leaves the number of its process.
    """

    def __init__(self, seconds=0.0, pids=None):
        self.seconds = seconds
        if pids is not None:
            (pids / str(os.getpid())).touch()

    def stream(self, photos, batch_size=1, **options):
        for photo in photos:
            assert isinstance(photo, Photo)
            if KILLS in photo.file_name:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.seconds)
            yield self._read(photo)

    @staticmethod
    def _read(photo):
        result = TextResult(photo.file_name, page=photo.page)
        try:
            height, width = photo.read().shape[:2]
        except ImageError as error:
            return replace(result, error=str(error))
        outline = [[0.0, 0.0], [float(width), 0.0], [float(width), float(height)]]
        word = Word(photo.file_name.rpartition("/")[2], 0.5, 0.5, 1.0, outline)
        return replace(result, height=height, width=width, scale=1.0, words=[word])


def rows_of(output):
    """All rows of a job, of either format, in the order of the shards."""
    rows = []
    for path in sorted((output / "parts").glob("part-*")):
        if path.suffix == ".jsonl":
            rows += [json.loads(line) for line in path.read_text().splitlines()]
        else:
            from pyarrow import parquet

            rows += parquet.read_table(path).to_pylist()
    return rows


def failures_of(output):
    return [json.loads(line) for line in (output / "failures.jsonl").read_text().splitlines()]
