"""Grounds without text: one to a few surfaces with a texture each, as a camera sees walls, trees and streets."""

from collections.abc import Sequence

import cv2
import numpy as np

from dld_spotter.data.synthetic.textures import SHIFT


def random_colour(rng: np.random.Generator, brightness: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    """(3,) float32 BGR in 0..255; mostly muted, as things are, sometimes a painted sign's full colour."""
    hue = rng.uniform(0, 180)
    if rng.random() < 0.5:
        hue = rng.normal(rng.choice([12, 18, 105, 60]), 8) % 180  # earth, sand, sky, leaves
    saturation = rng.beta(1.2, 3.5) if rng.random() < 0.75 else rng.uniform(0.5, 1.0)
    value = rng.uniform(*brightness)
    pixel = np.array([[[hue * 2, saturation, value]]], np.float32)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0] * 255


def luminance(colour: np.ndarray) -> np.ndarray:
    """Of BGR values (..., 3), by the weights of ITU-R BT.601."""
    return colour @ np.array([0.114, 0.587, 0.299], np.float32)


def colour_ramp(rng: np.random.Generator, contrast: float, middle: np.ndarray | None = None) -> np.ndarray:
    """(256, 1, 3) uint8 table from a grey pattern to colours between two or three similar ones."""
    middle = random_colour(rng) if middle is None else middle
    spread = contrast * rng.uniform(0.3, 1.0)
    ends = [middle * (1 - 0.7 * spread) + rng.normal(0, 12 * spread, 3), middle + (255 - middle) * 0.55 * spread]
    if rng.random() < 0.3:
        ends[1] = ends[1] * 0.5 + random_colour(rng, (0.3, 1)) * 0.5 * spread + ends[1] * 0.5 * (1 - spread)
    share = np.linspace(0, 1, 256)[:, None]
    ramp = ends[0] * (1 - share) ** 2 + 2 * middle * share * (1 - share) + ends[1] * share**2
    return np.clip(ramp, 0, 255).astype(np.uint8)[:, None]


def textured(
    rng: np.random.Generator, bank: Sequence[np.ndarray], size: tuple[int, int], contrast: float
) -> np.ndarray:
    """(H, W, 3) uint8: a pattern of the bank in random colours, scale and slant."""
    pattern = bank[int(rng.integers(len(bank)))]
    height, width = size
    scale = np.exp(rng.uniform(np.log(0.5), np.log(2.2)))
    angle = rng.choice([0.0, rng.normal(0, 0.12), rng.uniform(-1.6, 1.6)])
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    lean = rng.normal(0, 0.15)
    matrix = np.array([[cos, sin + lean, 0], [-sin, cos, 0], [0, 0, 1]])
    matrix[:2, 2] = [rng.uniform(-pattern.shape[1], 0), rng.uniform(-pattern.shape[0], 0)]
    matrix[2, :2] = rng.normal(0, 0.0004, 2)
    grey = cv2.warpPerspective(pattern, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return cv2.LUT(cv2.merge([grey] * 3), colour_ramp(rng, contrast))


def draw_background(
    rng: np.random.Generator, bank: Sequence[np.ndarray], size: tuple[int, int], texture: float
) -> np.ndarray:
    """(H, W, 3) uint8: surfaces behind, beside and below each other, partly out of focus."""
    contrast = texture * rng.beta(1.6, 1.6)
    image = textured(rng, bank, size, contrast)
    for _ in range(int(rng.choice([0, 1, 2, 3, 5], p=[0.2, 0.25, 0.25, 0.2, 0.1])) if texture > 0.5 else 0):
        _lay_surface(rng, image, textured(rng, bank, size, texture * rng.beta(1.6, 1.6)))
    # Mostly out of focus, or smooth: text stands in front of it.
    sigma = rng.choice([0.6, rng.uniform(0.6, 2.5), rng.uniform(2, 9)], p=[0.3, 0.4, 0.3])
    return cv2.GaussianBlur(image, (0, 0), sigma)


def _lay_surface(rng: np.random.Generator, image: np.ndarray, surface: np.ndarray) -> None:
    """Put part of a surface over the image, in place, with a shadow along its edge."""
    height, width = image.shape[:2]
    kind = rng.random()
    if kind < 0.3:  # a wall beside
        x, lean = rng.uniform(0.15, 0.85) * width, rng.normal(0, 0.08) * width
        corners = [[x, -9], [width + 9, -9], [width + 9, height + 9], [x + lean, height + 9]]
    elif kind < 0.55:  # the floor or street below
        y, lean = rng.uniform(0.3, 0.9) * height, rng.normal(0, 0.1) * height
        corners = [[-9, y], [width + 9, y + lean], [width + 9, height + 9], [-9, height + 9]]
    else:  # a thing: door, window, car, box
        centre, half = rng.random(2) * [width, height], rng.uniform(0.08, 0.4, 2) * [width, height]
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        corners = (square * half + centre + rng.normal(0, 8, (4, 2))).tolist()
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [(np.array(corners) * 16).astype(np.int32)], 255, cv2.LINE_AA, SHIFT)
    if rng.random() < 0.7:
        depth = rng.uniform(3, 20)
        shadow = cv2.GaussianBlur(mask, (0, 0), depth).astype(np.float32) * (rng.uniform(0.1, 0.5) / 255)
        np.multiply(image, (1 - shadow)[..., None], out=image, casting="unsafe")
    np.copyto(image, surface, where=mask[..., None] > 127)
