"""Where the results of a run go: records, tables, texts, hOCR and drawings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path

from dld_spotter import __version__
from dld_spotter.drawing_files import Drawings
from dld_spotter.growing_file import GrowingFile
from dld_spotter.record_files import RecordFile, read_records
from dld_spotter.results import TextResult
from dld_spotter.word_formats import HOCR_BEGIN, HOCR_END, csv_header, csv_rows, hocr_page, text_block


@dataclass(frozen=True)
class OutputPaths:
    """The files of a run; None for those that are not wanted. Records are in ``json`` or ``jsonl``."""

    json: str | None = None
    jsonl: str | None = None
    csv: str | None = None
    text: str | None = None
    hocr: str | None = None

    @property
    def records(self) -> Path | None:
        """The file that a run can be gone on with."""
        path = self.json or self.jsonl
        return Path(path) if path else None

    def check(self, drawings: Drawings, resume: bool, overwrite: bool) -> None:
        """Raises:
        ValueError: a file would replace a photo, another one of these, or one that is there unasked.
        """
        if resume and self.records is None:
            raise ValueError("--resume needs the --json or --jsonl of the run that it shall go on with.")
        seen: set[str] = set()
        for path in (getattr(self, field.name) for field in fields(self)):
            if path is None:
                continue
            if drawings.is_photo(Path(path)):
                raise ValueError(f"the results would replace the photo {path}; give another file.")
            if os.path.realpath(path) in seen:
                raise ValueError(f"{path} is named for two kinds of results; give each its own file.")
            seen.add(os.path.realpath(path))
            if os.path.exists(path) and not (resume or overwrite):
                raise ValueError(f"{path} is there already; --resume goes on with it, --overwrite replaces it.")


class Outputs:
    """The open files of a run.

    The records are written first. What else there is, is made again from them when a run is gone on with.

    Args:
        paths: of the files.
        drawings: where drawings go.
        resume: go on with the records that are there.
        overwrite: replace files that are there.
        columns: the records tell the words' ``columns``.

    Raises:
        OSError, ValueError: as ``RecordFile``.
    """

    def __init__(
        self,
        paths: OutputPaths,
        drawings: Drawings,
        resume: bool = False,
        overwrite: bool = False,
        columns: bool = False,
    ):
        self._drawings = drawings
        self._columns = columns
        self._records: RecordFile | None = None
        self._texts: list[tuple[GrowingFile, Callable[[TextResult], str]]] = []
        with ExitStack() as opened:
            if paths.records is not None:
                self._records = RecordFile(paths.records, paths.jsonl is not None, resume, overwrite)
                opened.callback(self._records.close)
            if resume and paths.records is not None:
                _check_ours(paths, read_records(paths.records))
            numbers = count(1)
            self._open(opened, paths.csv, csv_header(), "", csv_rows)
            self._open(opened, paths.text, "", "", text_block)
            self._open(opened, paths.hocr, HOCR_BEGIN, HOCR_END, lambda result: _numbered_page(result, numbers))
            if resume and paths.records is not None and self._texts:
                self._write_texts(TextResult.from_dict(record) for record in read_records(paths.records))
            self._opened = opened.pop_all()

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def write(self, result: TextResult) -> bool:
        """Write all of a result, and draw it; False if there is no drawing because it failed.

        Raises:
            OSError: a file cannot be written; what was written before is kept.
        """
        if self._records is not None:
            self._records.write(result.to_dict(self._columns))
        self._write_texts([result])
        return result.error is not None or self._drawings.write(result)

    def _open(
        self, opened: ExitStack, path: str | None, begin: str, end: str, form: Callable[[TextResult], str]
    ) -> None:
        if path is not None:
            file = GrowingFile(Path(path), begin.encode(), end.encode())
            opened.callback(file.close)
            self._texts.append((file, form))

    def _write_texts(self, results: Iterable[TextResult]) -> None:
        for result in results:
            for file, form in self._texts:
                file.add(form(result).encode())


def _check_ours(paths: OutputPaths, records: Iterable[Mapping]) -> None:
    """Raise ValueError where a run that is gone on with would replace a file that no such run wrote."""
    blocks = (text_block(TextResult.from_dict(record)) for record in records)
    first_line = next((block.partition("\n")[0] for block in blocks if block), "")
    beginnings = {paths.csv: csv_header(), paths.text: first_line, paths.hocr: HOCR_BEGIN.partition(__version__)[0]}
    for path, beginning in beginnings.items():
        if path is None or not os.path.exists(path):
            continue
        with open(path, "rb") as stream:
            found = stream.read(max(len(beginning.encode()), 1))
        if not beginning.encode().startswith(found):
            raise ValueError(f"{path} is there already, and is no file of the run to go on with; give another one.")


def _numbered_page(result: TextResult, numbers: count) -> str:
    return "" if result.error is not None else hocr_page(result, next(numbers))
