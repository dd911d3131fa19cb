"""Outlines of words from masks.

Coordinates are continuous: pixel (column x, row y) covers [x, x + 1] x [y, y + 1], as in Detectron2.
"""

from __future__ import annotations

import cv2
import numpy as np
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

# OpenCV's contour runs through the centres of the outermost pixels: half a pixel inside their edges.
_HALF_PIXEL = 0.5
_STAIR = 0.7  # pixels


def mask_to_polygon(mask: np.ndarray, tolerance: float = 0.01) -> np.ndarray | None:
    """The outline of a mask's largest part, with few points; holes in it are filled.

    Args:
        mask: (H, W), bool or integer; inside is what is not 0.
        tolerance: how far the outline may lie from the contour, as a share of the contour's length (at least
            0.7 pixels, so that it does not follow the stairs of a slanted edge).

    Returns:
        (P, 2) float32, x and y in pixels, P >= 3, clockwise on screen, beginning near the top left; None for an
        empty mask.
    """
    contours, _ = cv2.findContours(
        np.ascontiguousarray(mask != 0).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if not contours:
        return None
    largest = max(contours, key=_pixel_count)
    epsilon = max(tolerance * cv2.arcLength(largest, closed=True), _STAIR)
    corners = cv2.approxPolyDP(largest, epsilon, closed=True)
    outline = _grow(corners.reshape(-1, 2) + _HALF_PIXEL)
    height, width = mask.shape
    return _in_order(outline.clip((0, 0), (width, height))).astype(np.float32)


def boxed_outline(mask: np.ndarray, corner: tuple[int, int]) -> np.ndarray | None:
    """As ``mask_to_polygon``, of a part of an image whose upper left pixel is ``corner`` (x, y)."""
    polygon = mask_to_polygon(mask)
    return None if polygon is None else polygon + np.array(corner, np.float32)


def box_region(box: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the pixels in and one round a box (4,) of an image (height, width); None if none."""
    if not np.isfinite(box).all():
        return None
    height, width = size
    left, top = (int(v) for v in np.maximum(np.floor(box[:2]) - 1, 0))
    right, bottom = (int(v) for v in np.minimum(np.ceil(box[2:]) + 1, (width, height)))
    return None if right <= left or bottom <= top else (left, top, right, bottom)


def _pixel_count(contour: np.ndarray) -> float:
    """Pixels on and inside a contour of lattice points (Pick's theorem)."""
    return cv2.contourArea(contour) + len(contour) / 2 + 1


def _grow(corners: np.ndarray) -> np.ndarray:
    """Move an outline (P, 2), or what is left of it for one point or line, outwards by half a pixel."""
    shape: BaseGeometry
    if len(corners) == 1:
        shape = Point(corners[0])
    elif cv2.contourArea(corners.astype(np.float32)) == 0:
        shape = LineString(corners)
    else:
        shape = Polygon(corners)
    grown = shape.buffer(_HALF_PIXEL, cap_style="square", join_style="mitre", mitre_limit=2.0)
    if grown.geom_type == "MultiPolygon":  # of an outline that crosses itself
        grown = max(grown.geoms, key=lambda part: part.area)
    grown = grown.simplify(1e-3)  # without the points that growing leaves on straight edges
    return np.asarray(grown.exterior.coords)[:-1]


def _in_order(points: np.ndarray) -> np.ndarray:
    """Clockwise on screen (y down), from the point nearest to the top left."""
    following = np.roll(points, -1, axis=0)
    if (points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]).sum() < 0:
        points = points[::-1]
    return np.roll(points, -int(points.sum(axis=1).argmin()), axis=0)
