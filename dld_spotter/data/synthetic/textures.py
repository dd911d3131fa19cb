"""Grey patterns that grounds are made from: noise, planks, bricks, leaves, facades and clutter."""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np

SHIFT = 4  # bits of a fraction of a pixel in OpenCV's drawing


def cloud_noise(rng: np.random.Generator, size: tuple[int, int], roughness: float, coarsest: int = 3) -> np.ndarray:
    """(H, W) float32 in [0, 1]: smooth noise of doubling frequency, each octave weaker by ``roughness`` (0 to 1)."""
    height, width = size
    total = np.zeros(size, np.float32)
    cells, strength = coarsest, 1.0
    while strength > 0.04 and cells < 2 * min(size):
        grid = rng.random((max(2, cells * height // width), max(2, cells)), np.float32)
        total += strength * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, strength = cells * 2, strength * roughness
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def _plaster(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return cloud_noise(rng, size, rng.uniform(0.4, 0.8))


def _grit(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Asphalt, concrete, rough cloth."""
    fine = cv2.GaussianBlur(rng.standard_normal(size, np.float32), (0, 0), rng.uniform(0.5, 1.6))
    return 0.5 + 0.16 * fine / max(float(fine.std()), 1e-6) + 0.4 * (cloud_noise(rng, size, 0.5) - 0.5)


def _wood(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Grain along planks with gaps between them."""
    height, width = size
    grain: np.ndarray = cv2.resize(cloud_noise(rng, (height, max(8, width // 24)), 0.85, 6), (width, height))
    planks = int(rng.integers(2, 9))
    edges = np.linspace(0, height, planks + 1).astype(int)
    for top, bottom in pairwise(edges):
        grain[top:bottom] = 0.7 * np.roll(grain[top:bottom], int(rng.integers(width)), axis=1) + rng.uniform(0, 0.3)
        grain[top : top + int(rng.integers(1, 4))] *= 0.35
    return grain if rng.random() < 0.6 else np.ascontiguousarray(cv2.resize(grain.T, (width, height)))


def _bricks(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Courses of bricks or rows of tiles with joints."""
    height, width = size
    wall = np.full(size, rng.uniform(0.1, 0.9), np.float32)
    rise = int(rng.integers(10, 48))
    length, joint = int(rise * rng.uniform(1.0, 3.2)), int(rng.integers(1, 4))
    offset, spread = rng.choice([0.0, 0.5]), rng.uniform(0.02, 0.2)
    tone = rng.uniform(0.3, 0.7)
    for row in range(-1, height // rise + 1):
        start = int((row % 2) * offset * length) - length
        for x in range(start, width, length):
            corner = (x + joint, row * rise + joint)
            cv2.rectangle(
                wall, corner, (x + length - 1, (row + 1) * rise - 1), tone + spread * rng.standard_normal(), -1
            )
    return wall + 0.2 * (cloud_noise(rng, size, 0.8, 12) - 0.5)


def _leaves(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Many small ellipses over each other, the later ones lighter: foliage, crowds, gravel."""
    height, width = size
    canvas = np.full(size, 0.15, np.float32)
    count = int(rng.integers(400, 1400))
    length = rng.uniform(4, 16)
    slim = rng.uniform(0.25, 0.9)
    places = rng.random((count, 2)) * [width, height]
    for number, (x, y) in enumerate(places.tolist()):
        axes = (length * rng.uniform(0.5, 1.6), length * slim * rng.uniform(0.5, 1.2))
        tone = 0.1 + 0.6 * number / count + 0.3 * rng.random()
        centre = (int(x * 16), int(y * 16))
        cv2.ellipse(
            canvas, centre, (int(axes[0] * 16), int(axes[1] * 16)), rng.uniform(0, 180), 0, 360, tone, -1, 8, SHIFT
        )
    return canvas * (0.6 + 0.5 * cloud_noise(rng, size, 0.5))


def _facade(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A grid of windows, shelves or doors."""
    height, width = size
    wall = np.full(size, rng.uniform(0.3, 0.8), np.float32)
    step_x, step_y = int(rng.integers(24, 140)), int(rng.integers(24, 140))
    inset_x, inset_y = int(step_x * rng.uniform(0.08, 0.3)), int(step_y * rng.uniform(0.08, 0.3))
    glass = rng.uniform(0.0, 0.9)
    for y in range(-int(rng.integers(step_y)), height, step_y):
        for x in range(-int(rng.integers(4)), width, step_x):
            corners = (x + inset_x, y + inset_y), (x + step_x - inset_x, y + step_y - inset_y)
            cv2.rectangle(wall, *corners, glass + 0.12 * rng.standard_normal(), -1)
            cv2.rectangle(wall, *corners, rng.uniform(0, 1), 1 + int(rng.integers(3)))
    return wall + 0.25 * (cloud_noise(rng, size, 0.6, 4) - 0.5)


def _clutter(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Boxes, poles, wires and blobs of all sizes."""
    height, width = size
    canvas = cloud_noise(rng, size, 0.5)
    for _ in range(int(rng.integers(20, 90))):
        centre = rng.random(2) * [width, height]
        reach = np.exp(rng.uniform(np.log(6), np.log(160)))
        tone = float(rng.random())
        kind = rng.random()
        if kind < 0.5:
            angle = rng.choice([0, rng.uniform(-0.3, 0.3)])
            half = np.array([reach, reach * rng.uniform(0.15, 1.2)]) / 2
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
            corners = corners @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]] + centre
            cv2.fillConvexPoly(canvas, (corners * 16).astype(np.int32), tone, cv2.LINE_AA, SHIFT)
        elif kind < 0.75:
            start, end = np.array([centre, centre + rng.normal(0, 150, 2)]).astype(np.int32).tolist()
            cv2.line(canvas, start, end, tone, int(rng.integers(1, 9)), cv2.LINE_AA)
        else:
            axes = (int(reach * 8), int(reach * rng.uniform(3, 8)))
            place = (centre * 16).astype(np.int32).tolist()
            cv2.ellipse(canvas, place, axes, rng.uniform(0, 180), 0, 360, tone, -1, 8, SHIFT)
    return 0.8 * canvas + 0.2 * cloud_noise(rng, size, 0.7, 8)


def _lights(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Discs of lights out of focus."""
    height, width = size
    canvas = 0.3 * cloud_noise(rng, size, 0.4)
    radius = rng.uniform(6, 30)
    for _ in range(int(rng.integers(10, 70))):
        layer_centre = (int(rng.integers(width) * 16), int(rng.integers(height) * 16))
        disc = np.zeros(size, np.float32)
        cv2.circle(
            disc, layer_centre, int(radius * rng.uniform(0.6, 1.2) * 16), rng.uniform(0.1, 0.6), -1, cv2.LINE_AA, SHIFT
        )
        canvas += disc
    return cv2.GaussianBlur(canvas, (0, 0), 1.5)


PATTERNS: tuple[tuple[Callable, float], ...] = (
    (_plaster, 0.22),
    (_grit, 0.13),
    (_wood, 0.12),
    (_bricks, 0.13),
    (_leaves, 0.12),
    (_facade, 0.09),
    (_clutter, 0.14),
    (_lights, 0.05),
)


def texture_bank(rng: np.random.Generator, count: int, size: tuple[int, int] = (480, 640)) -> list[np.ndarray]:
    """Patterns as (H, W) uint8 arrays, to be cut, turned and coloured for each scene."""
    shares = np.array([share for _, share in PATTERNS])
    # The first ones are one of each, so that a small bank is varied too.
    order = [*range(len(PATTERNS)), *rng.choice(len(PATTERNS), count, p=shares / shares.sum())][:count]
    return [np.clip(PATTERNS[int(kind)][0](rng, size) * 255, 0, 255).astype(np.uint8) for kind in order]
