"""Which of the installed fonts has a character, by the files alone: Pillow's own, then the system's."""

from __future__ import annotations

import importlib.util
import logging
import mmap
import os
import struct
import sys
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ImageFont

logger = logging.getLogger(__name__)

BUILT_IN = ""  # the name of Pillow's own font, which has the letters of Western Europe
PREFERRED = ("DejaVuSans.", "NotoSans", "Arial", "wqy")  # beginnings of file names; of the others the first by name
# Beginnings of fonts that show something else than the character: TeX's, boxes for every character, pictures.
UNFIT = ("cm", "stixsiz", "stixnonuni", "lastresort", ".", "notocoloremoji", "opensymbol")
_SLANTED_OR_HEAVY = ("bold", "black", "heavy", "italic", "oblique", "thin", "light", "condensed", "mono")
_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
_Content = bytes | mmap.mmap


def font_with(character: str) -> str | None:
    """The path of the first font that has a character, ``BUILT_IN`` for Pillow's own; None if there is none.

    Of a script that no font has, one line is logged, once.
    """
    found = _first_with(ord(character))
    if found is None:
        say_missing(unicodedata.name(character, "UNNAMED").split()[0])
    return found


@cache
def say_missing(script: str) -> None:
    """Log one line about a script, once."""
    logger.warning(
        "no installed font has all characters of the script %s: they are drawn as boxes. Install one that does, such "
        "as one of the Noto fonts.",
        script,
    )


@cache
def _first_with(code: int) -> str | None:
    if _has(_built_in_ranges(), code):
        return BUILT_IN
    return next((path for path in installed_fonts() if _has(_ranges_of_file(path), code)), None)


@cache
def installed_fonts() -> tuple[str, ...]:
    """The paths of the fonts in the usual folders: the preferred ones first, and upright ones before others."""
    paths = {path for folder in _folders() for path in _fonts_below(folder)}
    return tuple(sorted(paths, key=_rank))


def _rank(path: str) -> tuple[bool, int, str, str]:
    name = os.path.basename(path)
    styled = any(word in name.lower() for word in _SLANTED_OR_HEAVY)
    preferred = next((place for place, start in enumerate(PREFERRED) if name.startswith(start)), len(PREFERRED))
    return styled, preferred, name.lower(), path


def _folders() -> list[Path]:
    """Where fonts are installed, and those that come with matplotlib, which is not loaded for that."""
    home = Path(os.path.expanduser("~"))  # unlike Path.home, it takes a user without a home
    folders = [home / ".fonts", home / ".local/share/fonts", Path("/usr/share/fonts"), Path("/usr/local/share/fonts")]
    if sys.platform == "darwin":
        folders += [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    if sys.platform == "win32":
        folders.append(Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts")
    matplotlib = sys.modules.get("matplotlib", ...) is not None and importlib.util.find_spec("matplotlib")
    if matplotlib and matplotlib.origin:
        folders.append(Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf")
    return folders


def _fonts_below(folder: Path) -> list[str]:
    return [
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(_SUFFIXES) and not name.lower().startswith(UNFIT)
    ]


def _has(ranges: np.ndarray, code: int) -> bool:
    """Whether a code point lies in one of the ranges (N, 2), first and last, in ascending order."""
    index = int(np.searchsorted(ranges[:, 0], code, side="right")) - 1
    return index >= 0 and code <= ranges[index, 1]


@cache
def _built_in_ranges() -> np.ndarray:
    font = ImageFont.load_default(10)
    return read_ranges(font.font_bytes) if isinstance(font, ImageFont.FreeTypeFont) else _NONE


@cache
def _ranges_of_file(path: str) -> np.ndarray:
    try:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return read_ranges(content)
    except (OSError, ValueError):  # removed since the folder was listed, not for us, or empty
        return _NONE


_NONE = np.zeros((0, 2), np.int64)


def read_ranges(font: _Content) -> np.ndarray:
    """The code points that a TrueType or OpenType font maps to glyphs.

    Args:
        font: the file's content; of a collection the first font counts.

    Returns:
        (N, 2) first and last of each range, ascending; none for a font that is damaged or has no Unicode table.
    """
    try:
        place = _unicode_table(font)
        if place is None:
            return _NONE
        ranges = _read_groups(font, place) if _format(font, place) == 12 else _read_segments(font, place)
    except (struct.error, ValueError, IndexError):
        return _NONE
    ranges = ranges[(ranges[:, 0] <= ranges[:, 1]) & (ranges[:, 0] >= 0)]
    return ranges[np.argsort(ranges[:, 0], kind="stable")]


def _format(font: _Content, place: int) -> int:
    return struct.unpack_from(">H", font, place)[0]


def _unicode_table(font: _Content) -> int | None:
    """Where the best of the tables of the "cmap" begins: one of all code points, else one of the first 65 536."""
    start = struct.unpack_from(">I", font, 12)[0] if font[:4] == b"ttcf" else 0
    tables = struct.unpack_from(">H", font, start + 4)[0]
    records = (struct.unpack_from(">4sIII", font, start + 12 + 16 * index) for index in range(tables))
    cmap = next((offset for tag, _, offset, _ in records if tag == b"cmap"), None)
    if cmap is None:
        return None
    found: dict[int, int] = {}
    for index in range(struct.unpack_from(">H", font, cmap + 2)[0]):
        platform, encoding, offset = struct.unpack_from(">HHI", font, cmap + 4 + 8 * index)
        if platform == 0 or (platform, encoding) in ((3, 1), (3, 10)):
            found[_format(font, cmap + offset)] = cmap + offset
    return found.get(12, found.get(4))


def _read_groups(font: _Content, place: int) -> np.ndarray:
    """(N, 2) of a table of format 12: groups of first code point, last one, and glyph."""
    count = struct.unpack_from(">I", font, place + 12)[0]
    return np.frombuffer(font, ">u4", 3 * count, place + 16).reshape(-1, 3)[:, :2].astype(np.int64)


def _read_segments(font: _Content, place: int) -> np.ndarray:
    """(N, 2) of a table of format 4: the segments' last code points, then their first ones."""
    count = struct.unpack_from(">H", font, place + 6)[0] // 2
    last = np.frombuffer(font, ">u2", count, place + 14)
    first = np.frombuffer(font, ">u2", count, place + 16 + 2 * count)
    ranges = np.stack([first, last], axis=1).astype(np.int64)
    return ranges[ranges[:, 0] != 0xFFFF]  # the last segment says that there are no more
