"""``dld-spotter read`` with a quick stand-in for a model; what a photo's first pixel is decides what happens to it.

The processes that it starts run this file, too, and so have the stand-in. STUB_LOG names a file with a line for each
photo that was read, and STUB_DELAY are seconds for each.
"""

import os
import signal
import sys
import time

import numpy as np

from dld_spotter import predictor
from dld_spotter.cli import read
from dld_spotter.network_size import NetworkSize
from dld_spotter.results import TextResult, Word

KILLS, RAISES, FULL_MEMORY = 201, 202, 203


class StubReader:
    """Finds one word in each image: "w" and the image's first value."""

    size = NetworkSize(48, 96, 1)
    chooses_scale = False
    costs = None
    calibration = None

    def read(self, images, scale=None):
        return [self._read(image) for image in images]

    def _read(self, image: np.ndarray) -> TextResult:
        value = int(image[0, 0, 0])
        with open(os.environ["STUB_LOG"], "a") as log:
            log.write(f"{value} {os.getpid()}\n")
        time.sleep(float(os.environ.get("STUB_DELAY", "0")))
        if value == KILLS:
            os.kill(os.getpid(), signal.SIGKILL)
        if value == RAISES:
            raise RuntimeError("no such layer\nmore of it")
        if value == FULL_MEMORY:
            raise MemoryError
        square = [[1.0, 1.0], [30.0, 1.0], [30.0, 20.0], [1.0, 20.0]]
        return TextResult("", *image.shape[:2], None, [Word(f"w{value}", 0.9, 0.9, 1.0, square)])


if __name__ in ("__main__", "__mp_main__"):  # in its own processes, not where a test takes the names above
    predictor.make_reader = lambda *arguments: StubReader()

if __name__ == "__main__":
    sys.exit(read.main())
