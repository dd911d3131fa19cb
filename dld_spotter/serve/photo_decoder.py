"""Decoding photos that anybody may have made: in a process of its own, which is stopped when it takes too long."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event, Timer
from typing import IO, cast

import numpy as np

import dld_spotter
from dld_spotter.serve.decoder_process import ANSWER, PIXELS, READY, REQUEST, TOO_LARGE
from dld_spotter.serve.limits import Limits, Refusal

_ATTEMPTS = 2  # a process that ended between two photos is no fault of the second


class PhotoDecoder:
    """One process that decodes, started anew whenever it ends; for one thread.

    Args:
        limits: of pixels and of time.
    """

    def __init__(self, limits: Limits):
        self.limits = limits
        self._process, self._ready = _start(), False

    def decode(self, data: bytes) -> np.ndarray:
        """Pixels of a photo.

        Args:
            data: of its file.

        Returns:
            (H, W, 3) uint8 in BGR order.

        Raises:
            Refusal: it has too many pixels, is no photo, or takes too long.
            RuntimeError: no process can be started.
        """
        for _ in range(_ATTEMPTS):
            self._wait_until_ready()
            expired = Event()
            timer = Timer(self.limits.decoding_seconds, _end, (self._process, expired))
            timer.daemon = True
            timer.start()
            try:
                return self._ask(data)
            except (OSError, EOFError):  # its end of the pipe is gone
                self._restart()
            finally:
                timer.cancel()
            if expired.is_set():
                seconds = f"{self.limits.decoding_seconds:g}"
                raise Refusal(422, f"decoding the photo took more than {seconds} seconds; save it as a plain JPEG.")
        raise Refusal(422, "the photo cannot be decoded: it made the decoder fail; save it as a plain JPEG.")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                cast(IO[bytes], stream).close()

    def _wait_until_ready(self) -> None:
        """Let the process start: that takes a second, which is no fault of the photo."""
        if self._ready:
            return
        if cast(IO[bytes], self._process.stdout).read(len(READY)) != READY:
            self._restart()
            raise RuntimeError("the process that decodes photos does not start")
        self._ready = True

    def _ask(self, data: bytes) -> np.ndarray:
        requests, answers = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        requests.write(REQUEST.pack(len(data), self.limits.max_pixels))
        requests.write(data)
        requests.flush()
        kind, *sides = ANSWER.unpack(_read(answers, ANSWER.size))
        if kind == PIXELS:
            return np.frombuffer(_read(answers, sides[0] * sides[1] * 3), np.uint8).reshape(*sides, 3)
        sentence = _read(answers, sides[0]).decode("utf-8")
        raise Refusal(413 if kind == TOO_LARGE else 422, sentence)

    def _restart(self) -> None:
        self.close()
        self._process, self._ready = _start(), False


def _start() -> subprocess.Popen[bytes]:
    root = str(Path(dld_spotter.__file__).parents[1])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "dld_spotter.serve.decoder_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": paths},
        start_new_session=True,  # Ctrl-C is for the service, which finishes first
    )


def _end(process: subprocess.Popen[bytes], expired: Event) -> None:
    expired.set()
    process.kill()


def _read(stream: IO[bytes], length: int) -> bytearray:
    """Exactly so many bytes.

    Raises:
        EOFError: the stream ends earlier.
    """
    content = bytearray(length)
    view, place = memoryview(content), 0
    while place < length:
        count = stream.readinto(view[place:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        place += count
    return content
