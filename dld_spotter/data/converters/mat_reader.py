"""Reading .mat files, of which a damaged one may end the process that reads it or keep it busy for ever."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Timer
from typing import IO, Any, cast

import numpy as np

MEMORY = 2**31  # bytes of address space that the other process may have
SECONDS = 2.0  # that it may take for a file
SECONDS_TO_START = 60.0

_WORKER = Path(__file__).with_name("mat_worker.py")


class MatReader:
    """Reads .mat files in another process, which starts with the first file and anew after one that ended it.

    Use it as a context manager, or call :meth:`close` at the end.

    Args:
        seconds: a file that takes longer is an error.
        memory: bytes of address space of the other process.
    """

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY):
        self._seconds = seconds
        self._memory = memory
        self._process: subprocess.Popen | None = None

    def table(self, data: bytes, names: Sequence[str]) -> list[list]:
        """The rows of the first of the named variables that a file has: lists of arrays of float64, texts and lists.

        A row with anything else in it is ``{"error": ...}``.

        Raises:
            ValueError: it is no .mat file, has no such table, is damaged so that reading ends, or takes too long.
        """
        request = {"variables": list(names), "columns": False, "bytes": len(data)}
        return list(self._ask(request, data)[1])

    def columns(self, path: Path, names: Sequence[str]) -> tuple[int, Iterator[Any]]:
        """The number of rows, and the rows one after the other, of the named variables side by side, each flat.

        The next request must wait until all rows were taken.

        Raises:
            ValueError: as in :meth:`table`, or a variable is missing or longer than another.
        """
        return self._ask({"variables": list(names), "columns": True, "path": os.path.abspath(path)}, b"")

    def close(self) -> None:
        """End the other process."""
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        self._process = None

    def __enter__(self) -> "MatReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: dict, data: bytes) -> tuple[int, Iterator[Any]]:
        process = self._started()
        limit = Timer(self._seconds, process.kill)
        limit.start()
        try:
            requests = cast("IO[bytes]", process.stdin)
            requests.write(json.dumps(request).encode() + b"\n" + data)
            requests.flush()
            answer = self._line(process)
            rows = self._rows(process, answer["rows"]) if "rows" in answer else iter(())
            if not request["columns"]:
                rows = iter(list(rows))
        except OSError as error:  # the other process ended before it had read everything
            self.close()
            raise ValueError("the file is damaged so that it cannot be read") from error
        finally:
            limit.cancel()
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["rows"], rows

    def _rows(self, process: subprocess.Popen, count: int) -> Iterator[Any]:
        for _ in range(count):
            yield self._line(process)

    def _line(self, process: subprocess.Popen) -> Any:
        line = cast("IO[bytes]", process.stdout).readline()
        if not line.endswith(b"\n"):
            self.close()
            raise ValueError(f"the file is damaged so that it cannot be read, or takes longer than {self._seconds:g} s")
        return json.loads(line, object_hook=_array)

    def _started(self) -> subprocess.Popen:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_WORKER), str(self._memory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # each thread takes address space
            )
            limit = Timer(SECONDS_TO_START, self._process.kill)
            limit.start()
            try:
                self._line(self._process)
            finally:
                limit.cancel()
        return self._process


def _array(value: dict) -> Any:
    """An array of numbers as the other process writes it; other dicts as they are."""
    if "float64" not in value:
        return value
    return np.frombuffer(base64.b64decode(value["float64"]), dtype="<f8").reshape(value["shape"])
