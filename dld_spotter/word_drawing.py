"""Drawing the words of a result on their photo: outlines with a light fill, and labels beside them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageDraw

from dld_spotter.label_letters import Lettering, letter
from dld_spotter.label_placement import place_label

# Bright enough for labels on black, and far apart for most kinds of colour blindness (Okabe and Ito's set, lighter).
WORD_COLORS = ("#56b4e9", "#e69f00", "#2fd8a0", "#f0e442", "#ff8a5c", "#e79ac8")

_FILL = 0.15  # share of the colour inside an outline
_GROUND = 0.8  # share of black below a label
_MARGIN = 2  # pixels between a label's letters and the edge of its ground
_LETTERS = 65  # how many of the largest letters fill the photo's mean side
_LEAST_LETTERS = 14  # pixels of the largest letters, at least
_SMALLEST = 0.65  # of the largest letters: those of small words
_FRACTION_BITS = 4  # of OpenCV's coordinates, which are whole numbers


def draw_words(image: np.ndarray, polygons: Sequence, labels: Sequence[str], scale: float | None = None) -> np.ndarray:
    """Draw N words.

    Args:
        image: (H, W, 3) uint8 in BGR order; it stays as it is.
        polygons: (P, 2) outline of each word in pixels.
        labels: what is written beside each; nothing for "".
        scale: the share of the full resolution, written into the lower left corner.

    Returns:
        (H, W, 3) uint8 in BGR order.
    """
    drawn = np.ascontiguousarray(image).copy()
    outlines = [np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in polygons]
    colours = [ImageColor.getrgb(WORD_COLORS[index % len(WORD_COLORS)])[:3] for index in range(len(outlines))]
    width = max(1, round(_largest_letters(image) / 14))
    for outline, colour in zip(outlines, colours, strict=True):
        _fill(drawn, outline, colour)
    for outline, colour in zip(outlines, colours, strict=True):
        points = _to_fixed(outline)
        cv2.polylines(drawn, [points], True, colour[::-1], width, cv2.LINE_AA, _FRACTION_BITS)
    written = _place_labels(image.shape[:2], outlines, labels, colours)
    if scale is not None:
        lettering = letter(f"scale {scale:g}", round(_largest_letters(image)))
        written.append((lettering, _in_corner(lettering, image.shape[0]), (255, 255, 255)))
    return _write(drawn, written) if written else drawn


_Written = tuple[Lettering, np.ndarray, tuple[int, ...]]  # what, the box (4,) of its ground, colour in RGB order


def _largest_letters(image: np.ndarray) -> float:
    """Pixels."""
    return max(np.sqrt(image.shape[0] * image.shape[1]) / _LETTERS, _LEAST_LETTERS)


def _to_fixed(outline: np.ndarray) -> np.ndarray:
    """Pixel coordinates, in which the upper left pixel's centre is (0.5, 0.5), as OpenCV's, in which it is (0, 0)."""
    return np.round((outline - 0.5) * 2**_FRACTION_BITS).astype(np.int32)


def _fill(image: np.ndarray, outline: np.ndarray, colour: tuple[int, ...]) -> None:
    """Tint what an outline encloses."""
    low = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
    high = np.ceil(outline.max(axis=0)).astype(int)
    part = image[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
    if part.size == 0:
        return
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(mask, [_to_fixed(outline - low)], 1, cv2.LINE_8, _FRACTION_BITS)
    tinted = cv2.addWeighted(part, 1 - _FILL, np.full_like(part, colour[::-1]), _FILL, 0)
    np.copyto(part, tinted, where=mask[:, :, None].astype(bool))


def _place_labels(
    size: tuple[int, int], outlines: Sequence[np.ndarray], labels: Sequence[str], colours: Sequence[tuple[int, ...]]
) -> list[_Written]:
    """The labels with their places: none covers a word or another label, if there is such a place."""
    largest = _largest_letters(np.empty((*size, 0)))
    boxes = [np.concatenate([outline.min(axis=0), outline.max(axis=0)]) for outline in outlines]
    taken = list(boxes)
    written: list[_Written] = []
    for box, label, colour in zip(boxes, labels, colours, strict=True):
        if not label:
            continue
        letters = np.clip(0.5 * min(box[2:] - box[:2]), _SMALLEST * largest, largest)
        lettering = letter(label, round(letters))
        ground = lettering.width + 2 * _MARGIN, lettering.height + 2 * _MARGIN
        place = place_label(ground, box, np.array(taken), size)
        taken.append(place)
        written.append((lettering, place, colour))
    return written


def _in_corner(lettering: Lettering, height: int) -> np.ndarray:
    """The box of what is written into the lower left corner of an image of that height."""
    return np.array([0, height - lettering.height - 2 * _MARGIN, lettering.width + 2 * _MARGIN, height])


def _write(image: np.ndarray, written: Sequence[_Written]) -> np.ndarray:
    """The image with labels on it."""
    for _, box, _ in written:
        left, top, right, bottom = np.maximum(np.round(box), 0).astype(int)
        part = image[top:bottom, left:right]
        part[:] = (part * (1 - _GROUND)).astype(np.uint8)
    canvas = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    pen = ImageDraw.Draw(canvas)
    for lettering, box, (red, green, blue) in written:
        lettering.draw(pen, (float(box[0]) + _MARGIN, float(box[1]) + _MARGIN), (red, green, blue))
    return cv2.cvtColor(np.asarray(canvas), cv2.COLOR_RGB2BGR)
