"""Outlines of words from what a spotter predicts: masks or polygons.

Coordinates are continuous: pixel (column x, row y) covers [x, x + 1] x [y, y + 1], as in Detectron2.
"""

from __future__ import annotations

import cv2
import numpy as np
from detectron2.structures import Instances
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from dld_spotter.structures import PolygonBoxes, WordPolygons

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


def instances_to_polygons(instances: Instances) -> list[np.ndarray | None]:
    """The outline of each predicted word.

    Args:
        instances: N words with ``pred_boxes`` that are PolygonBoxes, with ``pred_polygons`` (WordPolygons), or with
            ``pred_masks`` (N, H, W) and ``pred_boxes``, which the masks lie in.

    Returns:
        N arrays of (P, 2) float32, x and y in the instances' pixels; None for a word without an area.
    """
    polygons = _predicted_polygons(instances)
    if polygons is not None:
        return [_distinct(row) for row in polygons.tensor.cpu().numpy()]
    if not instances.has("pred_masks"):
        raise ValueError(
            "word outlines need pred_masks or pred_polygons, or PolygonBoxes as pred_boxes; the instances have "
            f"{sorted(instances.get_fields())}."
        )
    masks, boxes = instances.pred_masks, instances.pred_boxes.tensor.cpu().numpy()
    return [_masked_outline(mask, box) for mask, box in zip(masks, boxes, strict=True)]


def _predicted_polygons(instances: Instances) -> WordPolygons | None:
    if instances.has("pred_polygons"):
        return instances.pred_polygons
    boxes = instances.pred_boxes if instances.has("pred_boxes") else None
    return boxes.polygons if isinstance(boxes, PolygonBoxes) else None


def _masked_outline(mask, box: np.ndarray) -> np.ndarray | None:
    """The outline of a (H, W) tensor, searched only in and one pixel round the box (4,)."""
    if not np.isfinite(box).all():
        return None
    height, width = mask.shape
    left, top = (int(v) for v in np.maximum(np.floor(box[:2]) - 1, 0))
    right, bottom = (int(v) for v in np.minimum(np.ceil(box[2:]) + 1, (width, height)))
    if right <= left or bottom <= top:
        return None
    polygon = mask_to_polygon(mask[top:bottom, left:right].cpu().numpy())
    return None if polygon is None else polygon + np.array([left, top], np.float32)


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


def _distinct(points: np.ndarray) -> np.ndarray | None:
    """(P, 2) without repeated neighbours (the padding of WordPolygons); None if no area can be left."""
    if not np.isfinite(points).all():
        return None
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    return points if len(points) >= 3 else None
