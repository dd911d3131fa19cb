"""Files of records that are whole after each record, so that an interrupted run loses nothing and can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from dld_spotter.growing_file import GrowingFile
from dld_spotter.results import to_json

_BEGINNING = b'{"file_name": "'  # of every record


class RecordFile:
    """Records, one a line: JSON Lines, or a JSON array that is closed again after each record.

    Args:
        path: the file; missing folders are made.
        lines: write JSON Lines; else an array.
        resume: go on with a file that is there; a last line that was cut off is dropped.
        overwrite: replace a file that is there.

    Raises:
        FileExistsError: there is a file, and it is neither to be gone on with nor to be replaced.
        ValueError: the file to go on with holds something else than records, one a line.
        OSError: it cannot be written.
    """

    def __init__(self, path: str | os.PathLike, lines: bool = False, resume: bool = False, overwrite: bool = False):
        self.path = Path(path)
        self._begin, self._separator, self._end = (b"", b"\n", b"\n") if lines else (b"[\n", b",\n", b"\n]\n")
        if self.path.exists() and not (resume or overwrite):
            raise FileExistsError(f"{path} is there already.")
        kept = self._whole_length() if resume and self.path.exists() else 0
        self._empty = kept == 0
        self._file = GrowingFile(self.path, self._begin, self._end, kept)

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; it is whole."""
        self._file.close()

    def write(self, record: Mapping) -> None:
        """Add a record; the file is whole, and with the operating system, when this returns.

        Raises:
            OSError: the disk is full, for example; the file is as before then.
        """
        self._file.add((b"" if self._empty else self._separator) + to_json(dict(record)).encode())
        self._empty = False

    def _whole_length(self) -> int:
        """Bytes of the file up to the end of its last whole record, without what stands behind it."""
        return max((end for end, _ in _whole_lines(self.path)), default=0)


def read_records(path: str | os.PathLike) -> Iterator[dict]:
    """The whole records of a file that ``RecordFile`` wrote, of either kind.

    Raises:
        ValueError: a line that is no record, other than a last one that was cut off.
    """
    return (record for _, record in _whole_lines(Path(path)))


def _whole_lines(path: Path) -> Iterator[tuple[int, dict]]:
    """(place of its end, record) of each line; brackets of an array are skipped."""
    place = 0
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            content = line.strip().removesuffix(b",")
            end = place + len(line.rstrip().removesuffix(b","))
            place += len(line)
            if content in (b"", b"[", b"]", b"[]"):
                continue
            record = _parse(content)
            if record is None and not line.endswith(b"\n") and _BEGINNING.startswith(content[: len(_BEGINNING)]):
                return  # cut off
            if record is None:
                raise ValueError(f"{path}: line {number} is no record; a file to go on with holds one record a line.")
            yield end, record


def _parse(content: bytes) -> dict | None:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "file_name" in record else None
