"""Letters of labels, drawn with Pillow: each character in a font that has it, one piece of text behind the other.

A character that no font has is drawn as an empty box. Joined letters and scripts from right to left need Pillow's
text layout (Raqm), which most of its packages have; without it they are drawn character by character.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import ImageDraw, ImageFont

from dld_spotter.font_files import BUILT_IN, font_with

_FONTS_KEPT = 256  # each holds its file open


@dataclass(frozen=True)
class Lettering:
    """A text that is ready to be drawn.

    Attributes:
        pieces: texts, each with its font and the place of its left end in pixels.
        width: of all of them, in pixels.
        ascent: pixels from the upper edge to the base line.
        height: of the line in pixels.
    """

    pieces: Sequence[tuple[str, ImageFont.FreeTypeFont, float]]
    width: float
    ascent: float
    height: float

    def draw(self, canvas: ImageDraw.ImageDraw, corner: tuple[float, float], colour: tuple[int, int, int]) -> None:
        """Draw it with its upper left corner there."""
        for text, font, left in self.pieces:
            canvas.text((corner[0] + left, corner[1] + self.ascent), text, colour, font, anchor="ls")


def letter(text: str, size: int) -> Lettering:
    """Choose the fonts of a text and measure it.

    Args:
        text: on one line; characters that cannot be printed are left out.
        size: of the letters in pixels.
    """
    pieces, left = [], 0.0
    main = _font(BUILT_IN, size)
    for part, path in split_by_font(text):
        font = _font(path, size)
        pieces.append((part, font, left))
        left += font.getlength(part)
    ascent, descent = main.getmetrics()
    return Lettering(pieces, left, ascent, ascent + descent)


def split_by_font(text: str) -> list[tuple[str, str]]:
    """(text, path of the font) of the longest pieces that one font has; marks stay with the letter before them."""
    pieces: list[tuple[str, str]] = []
    for character in text:
        if not character.isprintable():
            character = " "
        path = pieces[-1][1] if pieces else BUILT_IN
        if not character.isspace() and not (pieces and unicodedata.category(character).startswith("M")):
            path = font_with(character) or BUILT_IN  # which draws a box for what it does not have
        if pieces and pieces[-1][1] == path:
            pieces[-1] = pieces[-1][0] + character, path
        else:
            pieces.append((character, path))
    return pieces


@lru_cache(_FONTS_KEPT)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    if path != BUILT_IN:
        try:
            return ImageFont.truetype(path, size)
        except OSError:  # a font that FreeType cannot open
            pass
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's packages have FreeType
    return font
