"""The ink of a word in a font, with the box of each character."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dld_spotter.data.synthetic.fonts import FontFace, load_font


@dataclass(frozen=True)
class Lettering:
    """A word as drawn, cut to the edges of its ink.

    Attributes:
        text: the word.
        ink: (h, w) uint8 coverage of the letters with their stroke, if any.
        core: (h, w) uint8 coverage of the letters alone (the same array without a stroke).
        characters: (n, 4) float32 left, top, right, bottom of each character's ink, in pixels of ``ink``.
        base: row of the base line in ``ink``, in pixels.
    """

    text: str
    ink: np.ndarray
    core: np.ndarray
    characters: np.ndarray
    base: float


def draw_letters(face: FontFace, text: str, size: int, tracking: float = 0.0, stroke: int = 0) -> Lettering | None:
    """Draw a word; None where it has no ink.

    Args:
        face: must be able to draw the characters.
        text: the word.
        size: of the font, in pixels.
        tracking: extra space between two characters, in pixels.
        stroke: width of the outline around the letters, in pixels.
    """
    font = load_font(face.path, size)
    pens = np.zeros(len(text))
    for place in range(1, len(text)):
        pair, second = text[place - 1 : place + 1], text[place]
        pens[place] = pens[place - 1] + font.getlength(pair) - font.getlength(second) + tracking
    boxes = np.array([_ink_box(font, character) for character in text], np.float64)
    boxes[:, 0::2] += pens[:, None]
    pad = stroke + 2
    left, top = np.floor(boxes[:, :2].min(axis=0)) - pad
    right, bottom = np.ceil(boxes[:, 2:].max(axis=0)) + pad
    canvas = Image.new("L", (int(right - left), int(bottom - top)))
    _draw(canvas, text, pens - left, -top, font, 0)
    core = canvas
    if stroke:
        canvas = Image.new("L", core.size)
        _draw(canvas, text, pens - left, -top, font, stroke)
    cut = canvas.getbbox()
    if cut is None or core.getbbox() is None:
        return None
    characters = (boxes - [left + cut[0], top + cut[1]] * 2 + [-stroke, -stroke, stroke, stroke]).astype(np.float32)
    height, width = cut[3] - cut[1], cut[2] - cut[0]
    characters = np.clip(characters, 0, [width, height, width, height])
    ascent = font.getmetrics()[0]
    inks = [np.asarray(image.crop(cut)) for image in ((canvas, core) if stroke else (core,))]
    return Lettering(text, inks[0], inks[-1], characters, ascent - top - cut[1])


def _ink_box(font: ImageFont.FreeTypeFont, character: str) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a character's ink; Pillow's own box reaches to the pen and to the base line."""
    mask, (x, y) = font.getmask2(character, mode="L")
    left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
    return x + left, y + top, x + right, y + bottom


def _draw(
    canvas: Image.Image, text: str, pens: np.ndarray, y: float, font: ImageFont.FreeTypeFont, stroke: int
) -> None:
    """Character by character, so that the characters stand where their boxes say."""
    draw = ImageDraw.Draw(canvas)
    for character, pen in zip(text, pens.tolist(), strict=True):
        draw.text((pen, y), character, fill=255, font=font, stroke_width=stroke)
