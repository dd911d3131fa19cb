"""How far a run is: a bar on a terminal, else a line a minute; both on standard error."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

from dld_spotter.reading.output_errors import OutputClosed

BAR_FROM = 10  # photos
INTERVAL = 60.0  # seconds


class ReadingProgress:
    """Counts photos, and writes their words between its own lines.

    Args:
        total: photos to read; None if nobody knows.
        interval: seconds between lines.
    """

    def __init__(self, total: int | None, interval: float = INTERVAL):
        self._total, self._interval = total, interval
        self._count = self._failed = 0
        self._start = self._said = time.monotonic()
        wanted = sys.stderr.isatty() and (total is None or total >= BAR_FROM)
        self._bar = tqdm(total=total, unit="photo", file=sys.stderr) if wanted else None

    def __enter__(self) -> ReadingProgress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def note(self, failed: bool) -> None:
        """One more photo is done."""
        self._count += 1
        self._failed += failed
        if self._bar is not None:
            self._bar.update()
            return
        now = time.monotonic()
        if now - self._said >= self._interval:
            self._said = now
            of = "" if self._total is None else f" of {self._total}"
            speed = self._count / (now - self._start)
            print(f"{self._count}{of} photos, {self._failed} failed, {speed:.3g} photos a second", file=sys.stderr)

    def say(self, line: str) -> None:
        """Write a line to standard output.

        Raises:
            BrokenPipeError: nobody listens.
            OutputClosed: the disk is full, for example.
        """
        with tqdm.external_write_mode(file=sys.stdout):
            try:
                print(line, flush=True)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise OutputClosed(f"standard output cannot be written ({error.strerror or error}).") from error

    def complain(self, line: str) -> None:
        """Write a line to standard error."""
        with tqdm.external_write_mode(file=sys.stderr):
            print(line, file=sys.stderr)
