"""Text files as people have them: in any Unicode encoding, in folders or in zip archives, and read within limits."""

import codecs
import json
import os
import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

MAX_FILE_BYTES = 128 * 2**20  # of one file of a folder or archive; labelme stores the photo itself in its files
MAX_TOTAL_BYTES = 2**30  # of an archive's files together, unpacked
MAX_MEMBERS = 50_000  # of an archive
MAX_DIRECTORY_BYTES = 8 * 2**20  # of an archive's list of members, which is read as a whole

_BYTE_ORDER_MARKS = (  # UTF-32's mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_NOT_IN_WINDOWS_1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")
_END_OF_DIRECTORY = b"PK\x05\x06"
_END_OF_DIRECTORY_BYTES = 22 + 0xFFFF  # with the longest comment


class TextFile(NamedTuple):
    """A file of a folder or of a zip archive; ``read`` raises ValueError where its bytes cannot be had."""

    name: str
    read: Callable[[], bytes]

    @property
    def stem(self) -> str:
        return posixpath.splitext(posixpath.basename(self.name))[0]

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.name)


def find_text_files(path: Path, *suffixes: str) -> list[TextFile]:
    """Files with these suffixes below a folder or in a zip archive, in natural order; hidden ones are left out.

    Nothing is unpacked to the disk, and archives are read within the limits above. A member that is encrypted,
    damaged or too large raises ValueError when it is read; the others can still be read.

    Raises:
        FileNotFoundError: there is no such folder or archive, or none of these files in it.
        ValueError: the archive as a whole is damaged or beyond the limits.
    """
    if path.is_dir():
        found = [
            TextFile(name, partial(read_bytes, os.path.join(path, name), MAX_FILE_BYTES))
            for name in walk_files(path)
            if posixpath.splitext(name)[1].lower() in suffixes
        ]
    elif path.is_file() and zipfile.is_zipfile(path):
        found = _members(path, suffixes)
    else:
        raise FileNotFoundError(f"{path} is neither a folder nor a zip archive of annotations.")
    if not found:
        raise FileNotFoundError(f"{path} holds no {' or '.join(suffixes)} file.")
    return sorted(found, key=lambda file: _natural(file.name))


def walk_files(root: Path) -> Iterator[str]:
    """The regular files below a folder, relative to it, with slashes; without hidden ones, and those in hidden folders.

    Links to folders are not followed.
    """
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if not _is_hidden(name)]
        below = os.path.relpath(folder, root).replace(os.sep, "/")
        for name in files:
            if not _is_hidden(name) and os.path.isfile(os.path.join(folder, name)):
                yield name if below == "." else f"{below}/{name}"


def read_bytes(path: str | os.PathLike, limit: int | None = None) -> bytes:
    """The content of a regular file; pipes and devices, which may never end, are not read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no regular file, it cannot be read, or it has more bytes than ``limit``.
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        if not os.path.exists(name):
            raise FileNotFoundError(f"there is no file {name}.")
        raise ValueError(f"{name} is no regular file.")
    try:
        with open(name, "rb") as file:
            data = file.read(-1 if limit is None else limit + 1)
    except OSError as error:
        raise ValueError(f"{name} cannot be read ({error.strerror}).") from error
    if limit is not None and len(data) > limit:
        raise ValueError(f"{name} has more than the {limit:,} bytes that a file of this kind may have.")
    return data


def decode_text(data: bytes, name: str, warn: Callable[[str], None] | None = None) -> str:
    """UTF-8 with or without a byte order mark, or UTF-16 or UTF-32 with one. Line ends become "\\n".

    Args:
        data: the content of the file.
        name: of the file, for messages.
        warn: called with a message where the text is none of these and is taken as Windows-1252 (as Latin-1 if it has
            bytes that Windows-1252 lacks). Without it such a text is an error.

    Raises:
        ValueError: the text is not in the encoding that its byte order mark names, or in UTF-16 or UTF-32 without one.
    """
    # An eighth of NULs is more than a damaged file has, and less than a text in UTF-16.
    if data.count(0) * 8 > len(data) and not data.startswith(_WIDE_MARKS):
        raise ValueError(f"{name} is in UTF-16 or UTF-32 without a byte order mark, or no text; save it as UTF-8.")
    encoding = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if warn is None or encoding != "utf-8":
            wanted = "UTF-8" if encoding == "utf-8" else f"{encoding.upper()}, as its byte order mark says"
            raise ValueError(f"{name} is not in {wanted} (byte {error.start}: {error.reason}).") from error
        warn(f"{name} is not UTF-8 (byte {error.start}); read as Windows-1252.")
        text = data.decode("cp1252" if _NOT_IN_WINDOWS_1252.isdisjoint(data) else "latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\n\ufeff", "\n") if "\ufeff" in text else text  # where files with marks were joined


def parse_json(text: str, name: str) -> Any:
    """The content of a JSON text.

    Raises:
        ValueError: it is no JSON, nested too deeply, or holds a number with too many digits.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"{name} is not valid JSON: {error}.") from error


def read_text(path: str | os.PathLike, warn: Callable[[str], None] | None = None) -> str:
    """A text file; see :func:`read_bytes` and :func:`decode_text`."""
    return decode_text(read_bytes(path), os.fspath(path), warn)


def read_json(path: str | os.PathLike) -> Any:
    """The content of a JSON file; see :func:`read_bytes`, :func:`decode_text` and :func:`parse_json`."""
    return parse_json(read_text(path), os.fspath(path))


def _members(path: Path, suffixes: tuple[str, ...]) -> list[TextFile]:
    """The wanted members of an archive, which stays open as long as one of them may be read."""
    if _directory_bytes(path) > MAX_DIRECTORY_BYTES:
        raise ValueError(f"{path} has a list of members beyond {MAX_DIRECTORY_BYTES:,} bytes; unpack it to a folder.")
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # damaged archives make zipfile raise nearly anything
        raise ValueError(f"{path} is a damaged zip archive ({error}).") from error
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ValueError(
            f"{path} has {len(members):,} members; at most {MAX_MEMBERS:,} are read. Unpack it to a folder."
        )
    wanted = []
    for member in members:
        name = PurePosixPath(member.filename)
        if name.suffix.lower() in suffixes and not any(map(_is_hidden, name.parts)):
            wanted.append(member)
    total = sum(member.file_size for member in wanted)
    if total > MAX_TOTAL_BYTES:
        raise ValueError(f"{path} unpacks to {total:,} bytes; at most {MAX_TOTAL_BYTES:,} are read.")
    return [TextFile(member.filename, partial(_read_member, archive, member)) for member in wanted]


def _directory_bytes(path: Path) -> int:
    """Bytes of an archive's list of members, as its end says; those of 64-bit archives count as too many."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _END_OF_DIRECTORY_BYTES))
        tail = file.read()
    start = tail.rfind(_END_OF_DIRECTORY)
    is_64_bit = b"PK\x06\x07" in tail[max(0, start - 20) : start]
    return MAX_DIRECTORY_BYTES + 1 if is_64_bit else int.from_bytes(tail[start + 12 : start + 16], "little")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    name = f"{member.filename} in {archive.filename}"
    if member.flag_bits & 1:
        raise ValueError(f"{name} is encrypted; unpack the archive to a folder.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # the others unpack without a limit
        raise ValueError(f"{name} is compressed in another way than deflation; unpack the archive to a folder.")
    if member.file_size > MAX_FILE_BYTES:
        raise ValueError(f"{name} has {member.file_size:,} bytes; at most {MAX_FILE_BYTES:,} are read.")
    try:
        with archive.open(member) as stream:
            data = stream.read(member.file_size + 1)
    except Exception as error:  # damaged members make zipfile raise nearly anything
        raise ValueError(f"{name} is damaged ({error}).") from error
    if len(data) != member.file_size:
        raise ValueError(f"{name} is damaged ({len(data):,} bytes instead of {member.file_size:,}).")
    return data


def _is_hidden(name: str) -> bool:
    return name == "__MACOSX" or (name.startswith(".") and name not in (".", ".."))


def _natural(name: str) -> list:
    """Sorting key that puts img_2 before img_10."""
    parts = re.split(r"([0-9]+)", name)  # every second part is a number
    return [(len(part.lstrip("0")), part.lstrip("0"), part) if i % 2 else part for i, part in enumerate(parts)]
