"""Parquet files with the bytes of photos, read row by row without holding more than a few."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dld_spotter.batch.locations import is_url, open_file

IMAGE_COLUMNS = ("image", "bytes", "photo")
NAME_COLUMNS = ("file_name", "path", "name")
_ROWS_AT_ONCE = 8


@dataclass(frozen=True)
class TablePhoto:
    """One row.

    Attributes:
        data: the bytes of the image file; None where the row has none.
        file_name: what the row calls it, or None.
    """

    data: bytes | None
    file_name: str | None


def count_rows(path: str) -> int:
    """Rows of a Parquet file.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: it is no Parquet file, or none with photos.
        OSError: it cannot be opened.
    """
    table = _Table(path)
    try:
        return table.rows
    finally:
        table.close()


class TableReader:
    """Gives rows of Parquet files. It goes on where it stands, so that rows in their order are decoded once."""

    def __init__(self) -> None:
        self._table: _Table | None = None

    def read(self, path: str, row: int) -> TablePhoto:
        """One row.

        Raises:
            As ``count_rows``, and IndexError for a row that is not there.
        """
        if self._table is None or self._table.path != path or self._table.next_row > row:
            self.close()
            self._table = _Table(path)
        try:
            return self._table.read(row)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file that is open."""
        if self._table is not None:
            self._table.close()
            self._table = None


class _Table:
    """An open file, and the place in it.

    Attributes:
        path: of the file.
        rows: that it has.
        next_row: the first one that has not been decoded and given.
    """

    def __init__(self, path: str):
        try:
            import pyarrow
            from pyarrow.parquet import ParquetFile
        except ImportError as error:
            raise ImportError(f"Parquet needs pyarrow ({error}): `pip install 'dld_spotter[batch]'`.") from error
        self.path, self.next_row = path, 0
        self._stream = open_file(path) if is_url(path) else None
        try:
            self._file: Any = ParquetFile(self._stream or path)
            self._image, self._name = _columns(self._file.schema_arrow, path)
        except pyarrow.ArrowException as error:
            self.close()
            raise ValueError(f"{path}: it is no Parquet file ({error}).") from error
        except BaseException:
            self.close()
            raise
        self.rows = self._file.metadata.num_rows
        self._waiting: Iterator[dict] | None = None

    def close(self) -> None:
        with suppress(Exception):
            self._file.close()
        if self._stream is not None:
            self._stream.close()

    def read(self, row: int) -> TablePhoto:
        if not 0 <= row < self.rows:
            raise IndexError(f"{self.path}: there is no row {row}.")
        if self._waiting is None:
            self._waiting = self._rows_from(row)
        for values in self._waiting:
            self.next_row += 1
            if self.next_row > row:
                return self._photo(values)
        raise IndexError(f"{self.path}: there is no row {row}.")

    def _rows_from(self, row: int) -> Iterator[dict]:
        """Beginning with the group of rows that has this one; sets ``next_row`` to its first."""
        group = 0
        self.next_row = 0
        while self.next_row + self._file.metadata.row_group(group).num_rows <= row:
            self.next_row += self._file.metadata.row_group(group).num_rows
            group += 1
        columns = [name for name in (self._image, self._name) if name is not None]
        groups = list(range(group, self._file.num_row_groups))
        batches = self._file.iter_batches(_ROWS_AT_ONCE, row_groups=groups, columns=columns, use_threads=False)
        return (values for batch in batches for values in batch.to_pylist())

    def _photo(self, values: dict) -> TablePhoto:
        image: Any = values[self._image]
        name = values[self._name] if self._name else None
        if isinstance(image, dict):
            image, name = image.get("bytes"), name or image.get("path")
        return TablePhoto(image, None if name is None else str(name))


def _columns(schema: Any, path: str) -> tuple[str, str | None]:
    """The columns of the photos and of their names."""
    import pyarrow.types as kinds

    def holds_bytes(kind: Any) -> bool:
        if kinds.is_struct(kind):
            return any(field.name == "bytes" and holds_bytes(field.type) for field in kind)
        return kinds.is_binary(kind) or kinds.is_large_binary(kind)

    image = next(
        (name for name in IMAGE_COLUMNS if name in schema.names and holds_bytes(schema.field(name).type)), None
    )
    if image is None:
        raise ValueError(
            f"{path}: one of the columns {', '.join(IMAGE_COLUMNS)} must hold the bytes of image files, or a struct "
            f"with bytes; the file has {', '.join(schema.names)}."
        )
    return image, next((name for name in NAME_COLUMNS if name in schema.names), None)
