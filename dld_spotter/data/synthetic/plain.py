"""Draws scenes of clean words with exact outlines: for the demo, the tests and first experiments."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SMALLEST_FONT = 8
TRIES = 30
# Bilinear sampling smears the ink of a rotated word by up to half a pixel over the edge of its box.
EDGE = 1.0


@dataclass
class Scene:
    """An image and its words.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        polygons: for each word (4, 2) float32 x and y in pixels, clockwise from the top-left corner of the word as it
            is read; pixel (column, row) covers [column, column + 1) x [row, row + 1).
        texts: the words.
    """

    image: np.ndarray
    polygons: list[np.ndarray] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def draw_scene(
    rng: np.random.Generator,
    words: Sequence[str],
    size: tuple[int, int] = (192, 256),
    max_angle: float = 8.0,
    font_share: tuple[float, float] = (0.14, 0.26),
) -> Scene:
    """Draw words that do not overlap on a plain or shaded ground, in Pillow's built-in font.

    The ground is drawn first: the same generator state without words gives the same ground.

    Args:
        rng: of the random choices.
        words: each with at least one visible character of the built-in font (Latin letters, digits, punctuation).
        size: height and width in pixels.
        max_angle: words are turned by up to this many degrees, half of them not at all.
        font_share: smallest and largest font size as a share of the image's height; words that find no room shrink.

    Raises:
        ValueError: a word has nothing to draw, or there is no room left for it.
    """
    image, dark_ground = _draw_ground(rng, size)
    scene = Scene(image)
    taken: list[np.ndarray] = []  # boxes x1, y1, x2, y2
    for word in words:
        ink, to_scene, polygon = _place_word(rng, word, size, max_angle, font_share, taken)
        taken.append(np.concatenate([polygon.min(axis=0), polygon.max(axis=0)]))
        colour = rng.uniform(0, 50, 3) if not dark_ground else rng.uniform(205, 255, 3)
        _blend(image, ink, to_scene, colour)
        scene.polygons.append(polygon)
        scene.texts.append(word)
    return scene


def _draw_ground(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, bool]:
    """A linear shade between two similar colours, both light or both dark."""
    dark = bool(rng.random() < 0.5)
    low, high = (20, 90) if dark else (160, 240)
    start, end = rng.uniform(low, high, (2, 3))
    if rng.random() < 0.5:
        end = start  # plain
    height, width = size
    direction = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:height, 0:width]
    along = (columns / width - 0.5) * np.cos(direction) + (rows / height - 0.5) * np.sin(direction) + 0.75
    share = np.clip(along / 1.5, 0, 1)[..., None]
    return np.round(start + (end - start) * share).astype(np.uint8), dark


def _place_word(
    rng: np.random.Generator,
    word: str,
    size: tuple[int, int],
    max_angle: float,
    font_share: tuple[float, float],
    taken: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ink (h, w) in [0, 1], its (2, 3) map into the scene (continuous coordinates) and its outline (4, 2)."""
    height, width = size
    font_size = int(rng.uniform(*font_share) * height)
    while font_size >= SMALLEST_FONT:
        ink = draw_word(word, font_size)
        for _ in range(TRIES):
            angle = 0.0 if rng.random() < 0.5 else rng.uniform(-max_angle, max_angle)
            corner = np.array([rng.uniform(0, width), rng.uniform(0, height)])
            if angle == 0.0:
                corner = np.floor(corner)  # the drawn pixels are the font's own, unsmeared
            to_scene = _turn_and_move(angle, corner)
            polygon = _outline(ink.shape, to_scene)
            box = np.concatenate([polygon.min(axis=0), polygon.max(axis=0)])
            inside = box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height
            if inside and not any(_boxes_touch(box, other) for other in taken):
                return ink, to_scene, polygon
        font_size = int(font_size * 0.8)
    raise ValueError(
        f"no room for the word '{word}' in a scene of {height} x {width} pixels that holds {len(taken)} words; "
        "draw fewer or shorter words, or a larger scene."
    )


def draw_word(word: str, font_size: int) -> np.ndarray:
    """(h, w) float32 in [0, 1]: the ink of a word in the built-in font, cut to its edges.

    Raises:
        ValueError: the word has no ink.
    """
    font = ImageFont.load_default(size=font_size)
    left, top, right, bottom = font.getbbox(word)
    canvas = Image.new("L", (max(1, int(right - left) + 4), max(1, int(bottom - top) + 4)))
    ImageDraw.Draw(canvas).text((2 - left, 2 - top), word, fill=255, font=font)
    box = canvas.getbbox()
    if box is None:
        raise ValueError(f"the word '{word}' has nothing to draw; give it a visible character.")
    return np.asarray(canvas.crop(box), dtype=np.float32) / 255


def _turn_and_move(angle: float, corner: np.ndarray) -> np.ndarray:
    """(2, 3): turn by degrees (positive = clockwise on screen) about the top-left corner, then move that corner."""
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return np.array([[cos, -sin, corner[0]], [sin, cos, corner[1]]])


def _outline(shape: tuple[int, int], to_scene: np.ndarray) -> np.ndarray:
    height, width = shape
    left, top, right, bottom = -EDGE, -EDGE, width + EDGE, height + EDGE
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return (corners @ to_scene[:, :2].T + to_scene[:, 2]).astype(np.float32)


def _boxes_touch(a: np.ndarray, b: np.ndarray, margin: float = 3.0) -> bool:
    return bool((a[:2] < b[2:] + margin).all() and (b[:2] < a[2:] + margin).all())


def _blend(image: np.ndarray, ink: np.ndarray, to_scene: np.ndarray, colour: np.ndarray) -> None:
    """Paint the ink into the image, in place."""
    # OpenCV counts from pixel centres, the map from pixel corners.
    centred = to_scene.copy()
    centred[:, 2] += to_scene[:, :2] @ [0.5, 0.5] - 0.5
    height, width = image.shape[:2]
    alpha = cv2.warpAffine(ink, centred, (width, height), flags=cv2.INTER_LINEAR)[..., None]
    image[:] = np.round(image * (1 - alpha) + colour * alpha).astype(np.uint8)
