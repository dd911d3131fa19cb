"""Where photos lie: on this machine's disks, or in an object store that fsspec knows."""

from __future__ import annotations

import os
from typing import IO, Any
from urllib.parse import urlsplit

# Others of fsspec's do more than to fetch a file: some of them run what stands in it.
PROTOCOLS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hdfs", "http", "https", "file", "memory")
MAX_BYTES = 1 << 28  # of a photo that is fetched


def is_url(path: str) -> bool:
    """Whether a path has a protocol, such as ``s3://bucket/photo.jpg``."""
    return "://" in path


def open_file(path: str) -> IO[bytes]:
    """Open a file for reading.

    Raises:
        OSError, ValueError, ImportError: it cannot be opened; each store has errors of its own, too.
    """
    if not is_url(path):
        return open(path, "rb")
    system, inner = file_system(path)
    return system.open(inner, "rb")


def fetch(path: str) -> bytes:
    """What a file holds.

    Raises:
        ValueError: it is larger than ``MAX_BYTES``; and as ``open_file``.
    """
    with open_file(path) as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path}: the file has more than {MAX_BYTES:,} bytes.")
    return data


def file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and what the file or folder is called there.

    Raises:
        ValueError: a protocol that is not in ``PROTOCOLS``, or several.
        ImportError: fsspec, or what it needs for the protocol, is not installed.
    """
    protocol = url.partition("://")[0].lower()
    if protocol not in PROTOCOLS:
        raise ValueError(f"{without_secrets(url)}: the protocol must be one of {', '.join(PROTOCOLS)}.")
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ImportError(f"object stores need fsspec ({error}): `pip install 'dld_spotter[batch]'`.") from error
    system, inner = url_to_fs(url)
    return system, inner


def list_files(url: str, recursive: bool = False) -> list[tuple[str, str]]:
    """(address, path from the folder) of the files of a folder in a store, sorted; hidden ones are left.

    Args:
        url: of the folder.
        recursive: in its subfolders, too.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    system, inner = file_system(url)
    if not system.isdir(inner):
        raise FileNotFoundError(f"{without_secrets(url)}: there is no such folder.")
    found = system.find(inner, maxdepth=None if recursive else 1)
    protocol = url.partition("://")[0]
    files = ((f"{protocol}://{name.removeprefix(f'{protocol}://')}", _below(name, inner)) for name in found)
    return sorted((path, below) for path, below in files if not any(part[:1] == "." for part in below.split("/")))


def absolute(path: str) -> str:
    """A path that means the same on every machine that has the same disks."""
    return path if is_url(path) else os.path.abspath(path)


def without_secrets(url: str) -> str:
    """An address without a password and what stands behind a question mark."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _below(name: str, folder: str) -> str:
    return name.removeprefix(folder.rstrip("/")).lstrip("/")
