"""A file that is whole after each addition, so that a run that is stopped or finds the disk full loses nothing."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType


class GrowingFile:
    """A file with an end that stands behind the last addition at any time, such as the closing bracket of an array.

    Args:
        path: the file; missing folders are made, and what is there is replaced.
        begin: the first bytes.
        end: the last ones.
        kept: bytes of the file that stay, if it is to be gone on with.

    Raises:
        OSError: it cannot be written; the message names the file.
    """

    def __init__(self, path: Path, begin: bytes = b"", end: bytes = b"", kept: int = 0):
        self.path, self._end, self._place = path, end, kept
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what a full disk refuses must not be tried again when the file is closed.
        self._stream = open(path, "r+b" if kept else "wb", buffering=0)  # noqa: SIM115 (closed by close)
        if not (kept or begin):
            return
        try:
            self.add(b"" if kept else begin)
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> GrowingFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, content: bytes) -> None:
        """Add to the file; it is whole, and with the operating system, when this returns.

        If it cannot be added, or Ctrl-C comes in between, the file is left as it was before.
        """
        try:
            self._put(content + self._end)
        except BaseException as error:
            self._take_back()
            if isinstance(error, OSError):
                reason = error.strerror or error
                raise OSError(f"{self.path} cannot be written ({reason}); what was written before is kept.") from error
            raise
        self._place += len(content)

    def close(self) -> None:
        """Close it; nothing is written."""
        self._stream.close()

    def _put(self, content: bytes) -> None:
        if not content:
            return
        self._stream.seek(self._place)
        left = memoryview(content)
        while left:
            left = left[self._stream.write(left) :]
        self._stream.truncate()

    def _take_back(self) -> None:
        """The end where it stood before: its place is there already, so that no disk is too full for it."""
        try:
            self._put(self._end)
            os.truncate(self._stream.fileno(), self._place + len(self._end))
        except OSError:  # no regular file, or no disk any more
            pass
