"""Fonts for matplotlib's labels in any script: for each character the first installed font that has it."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from dld_spotter.font_files import say_missing

DEFAULT_FONT = "DejaVu Sans"  # comes with matplotlib and has the Latin, Greek and Cyrillic letters, among others
PREFERRED = ("Noto Sans", "Arial Unicode MS", "WenQuanYi")  # beginnings of names; of the others the first by name
# Fonts whose characters are not what they are called: TeX's, symbols, and boxes for every character.
_UNFIT = ("cm", "STIXNonUnicode", "STIXSize", "Last Resort", ".", "Noto Color")


def font_families(text: str = "") -> list[str]:
    """Names of fonts that together have the characters of a text, in the order in which they are to be tried.

    Of a script that no installed font has, one line is logged, once; its characters are drawn as boxes.
    """
    families = [DEFAULT_FONT]
    for character in dict.fromkeys(text):
        if not character.isprintable() or character.isspace():
            continue
        family = _family_with(character)
        if family is None:
            say_missing(unicodedata.name(character, "UNNAMED").split()[0])
        elif family not in families:
            families.append(family)
    return families


@contextmanager
def quiet_about_glyphs() -> Iterator[None]:
    """Without matplotlib's warning for each character that no font has; ``font_families`` says it once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@cache
def _family_with(character: str) -> str | None:
    return next((name for name, path in _installed() if ord(character) in _code_points(path)), None)


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    """(name, path) of the upright fonts of normal weight, the default first, then the preferred ones."""
    paths: dict[str, str] = {}
    for entry in font_manager.fontManager.ttflist:
        if entry.style == "normal" and entry.weight in (400, "normal", "regular") and not entry.name.startswith(_UNFIT):
            paths.setdefault(entry.name, entry.fname)
    return tuple(
        sorted(paths.items(), key=lambda item: (item[0] != DEFAULT_FONT, not item[0].startswith(PREFERRED), item[0]))
    )


@cache
def _code_points(path: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # removed since matplotlib listed it, or damaged
        return frozenset()
