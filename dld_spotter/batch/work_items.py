"""What a job reads: photos of folders, lists, Parquet files and object stores become numbered items."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from dld_spotter.batch.locations import absolute, is_url, list_files, open_file, without_secrets
from dld_spotter.photo_files import list_images
from dld_spotter.photo_suffixes import IMAGE_SUFFIXES

LIST_SUFFIXES = (".txt", ".lst")
PARQUET_SUFFIXES = (".parquet", ".pq")


@dataclass(frozen=True)
class Item:
    """One photo of a job, before it is fetched.

    Attributes:
        file_name: what it is called in its record; of a row of a Parquet file the file's name and the row's number.
        path: an absolute path, or an address; of a row that of its Parquet file.
        row: of a Parquet file, from 0; None for a photo that is a file.
    """

    file_name: str
    path: str
    row: int | None = None

    @property
    def place(self) -> str:
        """Path, and the row where there is one; without passwords."""
        path = without_secrets(self.path) if is_url(self.path) else self.path
        return path if self.row is None else f"{path}#{self.row}"

    def to_json(self) -> str:
        """One line of ASCII: file names need not be text."""
        return json.dumps({key: value for key, value in asdict(self).items() if value is not None})

    @staticmethod
    def from_json(text: str) -> Item:
        """As ``to_json`` wrote it.

        Raises:
            ValueError: it is something else.
        """
        try:
            return Item(**json.loads(text))
        except TypeError as error:
            raise ValueError(f"no item of a job: {text[:100]!r}.") from error


def list_items(inputs: Iterable[str], recursive: bool = False) -> Iterator[Item]:
    """The photos of a job, one by one, in the order in which they are given.

    Args:
        inputs: photos; folders; lists, which are text files with a path or address on each line; Parquet files. Each
            can be an address such as ``s3://bucket/photos/``. An address of a folder ends with ``/``.
        recursive: read the subfolders of folders, too.

    Raises:
        OSError, ValueError, ImportError: an input is not there, holds no photo, or cannot be listed. What a list names
            is looked at when it is read.
    """
    for given in inputs:
        suffix = os.path.splitext(given)[1].lower()
        if is_url(given) and (given.endswith("/") or not suffix):
            yield from _stored_folder(given, recursive)
        elif not is_url(given) and os.path.isdir(given):
            yield from _folder(given, recursive)
        elif suffix in PARQUET_SUFFIXES:
            yield from _table(given)
        elif suffix in LIST_SUFFIXES:
            yield from _list(given)
        elif is_url(given) or os.path.lexists(given):
            yield Item(given.rpartition("/")[2], absolute(given))
        else:
            raise FileNotFoundError(f"{given}: there is no such file or folder.")


def _folder(folder: str, recursive: bool) -> Iterator[Item]:
    """Photos and, in a folder of tables, the rows of its Parquet files."""
    tables = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in PARQUET_SUFFIXES)
    visible = [path for path in tables if not path.name.startswith(".")]
    for path in visible:
        yield from _table(str(path))
    if visible:
        return
    for image in list_images(folder, recursive):
        yield Item(image.relative_to(folder).as_posix(), absolute(str(image)))


def _stored_folder(url: str, recursive: bool) -> Iterator[Item]:
    found = list_files(url, recursive)
    images = [file for file in found if file[0].lower().endswith(tuple(IMAGE_SUFFIXES))]
    tables = [path for path, _ in found if path.lower().endswith(PARQUET_SUFFIXES)]
    if not (images or tables):
        raise ValueError(f"{without_secrets(url)}: the folder holds no image and no Parquet file.")
    for path, name in images:
        yield Item(name, path)
    for path in tables:
        yield from _table(path)


def _list(path: str) -> Iterator[Item]:
    """The lines that are not empty; paths of files are those from the current folder."""
    with open_file(absolute(path)) as stream:
        for line in stream:
            name = os.fsdecode(line.strip(b"\r\n"))
            if name.strip():
                yield Item(without_secrets(name) if is_url(name) else name, absolute(name))


def _table(path: str) -> Iterator[Item]:
    from dld_spotter.batch.photo_tables import count_rows

    name = os.path.basename(path)
    for row in range(count_rows(absolute(path))):
        yield Item(f"{name}#{row}", absolute(path), row)
