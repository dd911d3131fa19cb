"""The process that decodes photos: bytes in on standard input, pixels out on standard output, one after another.

A decoder that hangs, crashes or takes too much memory costs this process alone. ``PhotoDecoder`` starts it.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import struct
import sys
from typing import BinaryIO

import cv2
import numpy as np

from dld_spotter.image_io import read_image
from dld_spotter.pixels import ImageError, ImageTooLarge

READY = b"\1"  # the first byte of the answers
REQUEST = struct.Struct("<QQ")  # bytes of the photo, pixels allowed
ANSWER = struct.Struct("<BII")  # kind; height and width, or bytes of a sentence and 0
PIXELS, TOO_LARGE, UNREADABLE = range(3)

_BYTES_A_PIXEL, _OTHER_BYTES = 48, 1 << 30  # of memory: some formats are decoded to four 32-bit channels, and copied


def main() -> None:
    """Decode until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service stops this process when it is done
    logging.basicConfig(level=logging.ERROR)
    cv2.setNumThreads(1)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a decoder prints is no answer
    answers.write(READY)
    answers.flush()
    serve(sys.stdin.buffer, answers)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer each request of a stream."""
    while header := requests.read(REQUEST.size):
        length, max_pixels = REQUEST.unpack(header)
        limit_memory(_OTHER_BYTES + _BYTES_A_PIXEL * max_pixels)
        kind, sides, content = decode(requests.read(length), max_pixels)
        answers.write(ANSWER.pack(kind, *sides))
        answers.write(content)
        answers.flush()


def decode(data: bytes, max_pixels: int) -> tuple[int, tuple[int, int], bytes | memoryview]:
    """Kind, height and width, and the pixels (H, W, 3) uint8 in BGR order; of a refused photo its sentence."""
    try:
        image = read_image(data, max_pixels=max_pixels, name="the photo")
    except (ImageError, MemoryError) as error:
        sentence = str(error) or "the photo: decoding it takes too much memory; save it again as a plain JPEG."
        encoded = sentence.encode("utf-8", "replace")
        return TOO_LARGE if isinstance(error, ImageTooLarge) else UNREADABLE, (len(encoded), 0), encoded
    return PIXELS, image.shape[:2], np.ascontiguousarray(image).data.cast("B")


def limit_memory(most: int) -> None:
    """Bound the address space of this process in bytes."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    main()
