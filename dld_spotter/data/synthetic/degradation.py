"""What light, lens, sensor and file do to a scene."""

import cv2
import numpy as np

from dld_spotter.data.synthetic.style import SceneStyle


def degrade(rng: np.random.Generator, image: np.ndarray, style: SceneStyle, smallest: float) -> np.ndarray:
    """(H, W, 3) uint8 -> the same as a camera gives it; nothing moves.

    The smallest word that must stay readable is ``smallest`` pixels high; blur depends on it.
    """
    light = _illumination(rng, image.shape[:2], style.light)
    gains = 1 + style.light * rng.normal(0, 0.07, 3).astype(np.float32)
    photo = image.astype(np.float32) * (light[..., None] * gains)
    photo = _tone(rng, photo, style.light)
    photo = _defocus(rng, photo, style.blur, smallest)
    return _sensor(rng, photo, style.noise, smallest)


def choose_quality(rng: np.random.Generator, style: SceneStyle, smallest: float) -> int:
    """JPEG quality; print below 14 pixels would not survive the lowest ones."""
    low, high = style.quality
    low = max(low, min(60, high)) if smallest < 14 else low
    return int(rng.integers(low, high + 1))


def _illumination(rng: np.random.Generator, size: tuple[int, int], strength: float) -> np.ndarray:
    """(H, W) float32 factors of brightness: uneven light, a cast shadow, darker corners."""
    height, width = size
    grid = 1 + strength * rng.uniform(0, 0.4) * rng.uniform(-1, 1, (3, 4)).astype(np.float32)
    light: np.ndarray = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.25 * strength:
        light *= _cast_shadow(rng, size, rng.uniform(0.15, 0.5) * strength)
    if rng.random() < 0.5 * strength:
        rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None] ** 2
        columns = np.linspace(-1, 1, width, dtype=np.float32)[None] ** 2
        light *= 1 - strength * rng.uniform(0.05, 0.3) * (rows + columns) / 2
    return np.clip(light, 0.35, 1.5)


def _cast_shadow(rng: np.random.Generator, size: tuple[int, int], depth: float) -> np.ndarray:
    """(H, W) float32 factors: everything to one side of a soft edge, or a band, is darker."""
    height, width = size
    angle = rng.uniform(0, 2 * np.pi)
    rows = np.arange(height, dtype=np.float32)[:, None] - rng.uniform(0.2, 0.8) * height
    columns = np.arange(width, dtype=np.float32)[None] - rng.uniform(0.2, 0.8) * width
    across = np.float32(np.cos(angle)) * columns + np.float32(np.sin(angle)) * rows
    if rng.random() < 0.4:
        across = np.abs(across) - rng.uniform(0.05, 0.3) * width
    return 1 - depth * np.clip(0.5 + across / rng.uniform(3, 40), 0, 1)


def _tone(rng: np.random.Generator, photo: np.ndarray, strength: float) -> np.ndarray:
    """Exposure, contrast and the camera's curve."""
    exposure = np.exp(strength * rng.normal(0, 0.16))
    gamma = np.exp(strength * rng.normal(0, 0.14))
    lift = strength * rng.choice([0.0, rng.uniform(0, 30)])
    table = np.arange(1024, dtype=np.float32) / 1023 * 2
    table = np.clip(table * exposure, 0, 1) ** gamma * (255 - lift) + lift
    places = np.clip(photo * (1023 / 510), 0, 1023).astype(np.int16)
    return table.astype(np.float32)[places]


def _defocus(rng: np.random.Generator, photo: np.ndarray, strength: float, smallest: float) -> np.ndarray:
    """Blur of the lens, always a little, and sometimes of the hand."""
    sigma = strength * smallest * rng.choice([0.02, rng.uniform(0.02, 0.05), rng.uniform(0.04, 0.075)])
    sigma = min(max(sigma, 0.35 if strength else 0.0), 3.0)
    if sigma > 0.25:
        photo = cv2.GaussianBlur(photo, (0, 0), sigma)
    length = strength * smallest * rng.uniform(0.04, 0.16)
    if rng.random() < 0.2 * strength and length > 1.2:
        photo = cv2.filter2D(photo, -1, _motion_kernel(length, rng.uniform(0, np.pi)))
    return photo


def _motion_kernel(length: float, angle: float) -> np.ndarray:
    """(K, K) float32 with sum 1: a line through the middle."""
    reach = int(np.ceil(length / 2)) + 1
    steps = np.linspace(-length / 2, length / 2, 8 * reach + 1)
    xs, ys = reach + steps * np.cos(angle), reach + steps * np.sin(angle)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    x0, y0 = np.floor(xs).astype(int), np.floor(ys).astype(int)
    fx, fy = xs - x0, ys - y0
    for dx, dy, weight in ((0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)), (0, 1, (1 - fx) * fy), (1, 1, fx * fy)):
        np.add.at(kernel, (y0 + dy, x0 + dx), weight)
    return kernel / kernel.sum()


def _sensor(rng: np.random.Generator, photo: np.ndarray, strength: float, smallest: float) -> np.ndarray:
    """Noise that grows with the signal's square root, partly in clumps, partly without colour."""
    level = strength * rng.choice([rng.uniform(0.5, 3), rng.uniform(2, 8 if smallest < 14 else 14)], p=[0.6, 0.4])
    height, width = photo.shape[:2]
    grey = rng.standard_normal((height, width, 1), np.float32)
    if level > 4:
        noise = 0.7 * grey + 0.7 * rng.standard_normal((height, width, 3), np.float32)
        if rng.random() < 0.4:
            noise = 1.6 * cv2.GaussianBlur(noise, (0, 0), 0.7)
    else:
        noise = grey
    photo = photo + noise * (level * (0.5 + 0.5 * np.sqrt(np.clip(photo, 0, 255) / 255)))
    return np.clip(np.rint(photo), 0, 255).astype(np.uint8)
