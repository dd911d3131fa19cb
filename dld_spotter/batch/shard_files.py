"""The files of finished shards: Parquet or JSON Lines, each written as a whole; and the list of failures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dld_spotter.batch.atomic_files import remove_unfinished, whole_file
from dld_spotter.batch.manifest import FOLDER
from dld_spotter.word_formats import printable

FORMATS = ("parquet", "jsonl")
PARTS = "parts"
FAILURES = "failures.jsonl"
_PLAIN = ("file_name", "path", "page", "height", "width", "scale", "tiles", "error")


class ShardFiles:
    """The finished shards of a job: ``parts/part-00000.parquet`` and so on.

    A shard with failures has them in a file of their own, which is written before the shard: a shard that is there has
    no failure that is not listed.

    Args:
        output: the job's folder.
        kind: one of ``FORMATS``.

    Raises:
        ImportError: Parquet needs pyarrow.
        ValueError: another format.
    """

    def __init__(self, output: Path, kind: str):
        if kind not in FORMATS:
            raise ValueError(f"the format is '{kind}'; use one of {', '.join(FORMATS)}.")
        self.output, self.kind = output, kind
        if kind == "parquet":
            _schema()

    def path(self, shard: int) -> Path:
        """Of a shard's file."""
        return self.output / PARTS / f"part-{shard:05d}.{self.kind}"

    def missing(self, shards: int) -> list[int]:
        """Those of the first ``shards`` that are not finished."""
        return [shard for shard in range(shards) if not self.path(shard).exists()]

    def tidy(self) -> None:
        """Remove what runs that were killed have left."""
        for folder in (self.output, self.output / PARTS, self.output / FOLDER):
            remove_unfinished(folder)

    def write(self, shard: int, rows: Sequence[dict[str, Any]]) -> None:
        """Write a shard.

        Args:
            shard: its number.
            rows: records with a ``path``, in the order of the photos.

        Raises:
            OSError: it cannot be written; there is no file then.
        """
        failures = [row for row in rows if row.get("error") is not None]
        if failures:
            with whole_file(self._failures_path(shard)) as path:
                path.write_bytes(b"".join(map(_line, failures)))
        else:
            self._failures_path(shard).unlink(missing_ok=True)
        with whole_file(self.path(shard)) as path:
            if self.kind == "jsonl":
                path.write_bytes(b"".join(map(_line, rows)))
            else:
                _write_parquet(path, rows)

    def collect_failures(self, shards: int) -> int:
        """Write ``failures.jsonl`` from those of the shards; how many rows it has.

        Raises:
            OSError: it cannot be written.
        """
        count = 0
        with whole_file(self.output / FAILURES) as path, open(path, "wb") as stream:
            for shard in range(shards):
                source = self._failures_path(shard)
                if source.exists():
                    content = source.read_bytes()
                    count += content.count(b"\n")
                    stream.write(content)
        return count

    def _failures_path(self, shard: int) -> Path:
        return self.output / FOLDER / f"failures-{shard:05d}.jsonl"


def _line(row: dict[str, Any]) -> bytes:
    return printable(json.dumps(row, ensure_ascii=False)).encode() + b"\n"


def _schema() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError(f"Parquet needs pyarrow ({error}): `pip install 'dld_spotter[batch]'`.") from error
    number, text = pa.float64(), pa.string()
    word = pa.struct(
        [
            ("text", text),
            ("score", number),
            ("det_score", number),
            ("text_score", number),
            ("confidence", number),
            ("polygon", pa.list_(pa.list_(number))),
        ]
    )
    kinds = (text, text, pa.int32(), pa.int32(), pa.int32(), number, pa.int32(), text)
    return pa.schema([*zip(_PLAIN, kinds, strict=True), ("words", pa.list_(word))])


def _write_parquet(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pylist([_clean(row) for row in rows], schema=_schema())
    parquet.write_table(table, path, compression="zstd")


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    """With strings that UTF-8 can write, and the words of each row, if there are none either."""
    plain = {key: printable(value) if isinstance(value, str) else value for key, value in row.items()}
    return plain | {"words": [word | {"text": printable(word["text"])} for word in row.get("words", [])]}
