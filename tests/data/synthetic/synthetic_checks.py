"""What the tests of synthetic scenes share: a font that needs no font files, and brute force over pixels."""

from pathlib import Path

import numpy as np
from PIL import ImageFont

BUILT_IN = "Aileron"  # the family of the font inside Pillow


def write_font(folder: Path, family: str = BUILT_IN) -> Path:
    """Pillow's built-in font as a file, under another name of as many letters."""
    assert len(family) == len(BUILT_IN)
    data = ImageFont.load_default(20).font_bytes
    for encoding in ("ascii", "utf-16-be"):
        data = data.replace(BUILT_IN.encode(encoding), family.encode(encoding))
    path = folder / f"{family}.ttf"
    path.write_bytes(data)
    return path


def inside(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: whether each pixel's centre lies inside, by counting the edges to its right."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
    crossings = np.zeros(size, int)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        between = (y0 <= rows) != (y1 <= rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = x0 + (rows - y0) / (y1 - y0) * (x1 - x0)
        crossings += between & (columns < at)
    return crossings % 2 == 1


def distance_to(polygon: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) distance of each point to the polygon's outline."""
    starts, edges = polygon[None], np.roll(polygon, -1, axis=0) - polygon
    offsets = points[:, None] - starts
    along = (offsets * edges).sum(-1) / (edges**2).sum(-1).clip(1e-12)
    return np.linalg.norm(offsets - along.clip(0, 1)[..., None] * edges, axis=-1).min(axis=1)
