"""Outlines of words as arrays of points: order, area, repair, clipping.

An outline is (P, 2), x right and y down, in pixels, without the first point repeated at the end. "Clockwise" is as
seen on the screen.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon, box

Points = np.ndarray | Sequence

MAX_CROSSINGS = 100  # of an outline with itself; repairing takes time that grows faster than their square


def as_points(points: Points) -> np.ndarray:
    """(P, 2) float64 from (P, 2) or from flat x1, y1, x2, y2, ..."""
    return np.asarray(points, dtype=np.float64).reshape(-1, 2)


def polygon_area(points: Points) -> float:
    """Signed area by the shoelace formula, in square pixels: positive for a clockwise outline."""
    points = as_points(points)
    if len(points) < 3:
        return 0.0
    # From the first point on: nothing is lost far from the origin, and the closing edge's term is zero.
    x, y = (points - points[0]).T
    return float(0.5 * (x[:-1] @ y[1:] - x[1:] @ y[:-1]))


def clockwise(points: Points) -> np.ndarray:
    """The same outline in clockwise order; the first point stays the first."""
    points = as_points(points)
    return np.concatenate([points[:1], points[:0:-1]]) if polygon_area(points) < 0 else points


def polygon_box(points: Points) -> list[float]:
    """The axis-aligned box x1, y1, x2, y2 around the points."""
    points = as_points(points)
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def shorter_side(points: Points) -> float:
    """The shorter side of the smallest rectangle, turned or not, round the points: the height of a straight word."""
    return float(min(cv2.minAreaRect(as_points(points).astype(np.float32))[1]))


def valid_polygon(points: Points) -> Polygon:
    """The region that an outline encloses; of one that crosses itself the largest part without a crossing.

    Raises:
        ValueError: fewer than three distinct points, points that are not finite, no area, or more crossings than any
            word has.
    """
    points = as_points(points)
    if not np.isfinite(points).all():
        raise ValueError("an outline has points that are not finite numbers.")
    if len(np.unique(points, axis=0)) < 3:
        raise ValueError(f"an outline needs three distinct points or more; got {points.tolist()}.")
    polygon = Polygon(points)
    if not polygon.is_valid:
        if _crossings(points) > MAX_CROSSINGS:
            raise ValueError(f"an outline of {len(points)} points crosses itself more than {MAX_CROSSINGS} times.")
        polygon = _largest_part(shapely.make_valid(polygon))
    if polygon is None or polygon.area == 0:
        raise ValueError(f"the outline {points.tolist()} encloses no area.")
    return polygon


def crosses_itself(points: Points) -> bool:
    """Whether the outline touches or crosses itself, so that it does not enclose one simple region."""
    return not Polygon(as_points(points)).is_valid


def repair_polygon(points: Points) -> np.ndarray:
    """A simple outline for one that crosses itself, in clockwise order, starting near the first point.

    A crossing quadrilateral is one whose corners were given in the wrong order: its four corners, in order.
    For others the largest part.

    Raises:
        ValueError: as in :func:`valid_polygon`.
    """
    points = as_points(points)
    if not crosses_itself(points):
        return points
    largest = valid_polygon(points)
    if len(points) == 4:
        hull = shapely.convex_hull(Polygon(points))
        largest = hull if isinstance(hull, Polygon) and len(hull.exterior.coords) == 5 else largest
    return _outline(largest, points[0])


def clip_polygon(points: Points, width: float, height: float) -> np.ndarray | None:
    """The part of an outline inside the image; None where nothing (or nothing with an area) is left.

    An outline that lies inside comes back as it is, with its order and start. One that is cut comes back clockwise,
    starting at the point nearest to its first one; of several parts the largest.
    """
    points = as_points(points)
    x1, y1, x2, y2 = polygon_box(points)
    if x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height:
        return points
    try:
        part = _largest_part(valid_polygon(points).intersection(box(0, 0, width, height)))
    except ValueError:
        return None
    return None if part is None or part.area == 0 else _outline(part, points[0])


def _crossings(points: np.ndarray) -> int:
    """How many pairs of an outline's sides cross; those that only touch do not count."""
    sides = np.roll(points, -1, axis=0) - points
    offsets = points[None] - points[:, None]  # from each corner to each
    turns = np.sign(sides[:, None, 0] * offsets[..., 1] - sides[:, None, 1] * offsets[..., 0])
    apart = turns * np.roll(turns, -1, axis=1) < 0  # the ends of the second side lie on either side of the first
    return int(np.count_nonzero(apart & apart.T)) // 2


def _largest_part(geometry: Any) -> Polygon | None:
    """The largest polygon in a geometry of any kind, without its holes."""
    if isinstance(geometry, Polygon):
        parts = [geometry]
    elif isinstance(geometry, MultiPolygon) or geometry.geom_type == "GeometryCollection":
        parts = [part for part in map(_largest_part, geometry.geoms) if part is not None]
    else:
        parts = []
    parts = [Polygon(part.exterior) for part in parts if not part.is_empty]
    return max(parts, key=lambda part: part.area, default=None)


def _outline(polygon: Polygon, start: np.ndarray) -> np.ndarray:
    """A polygon's points, clockwise, from the one nearest to a given point."""
    points = np.asarray(polygon.exterior.coords, dtype=np.float64)[:-1]
    nearest = int(np.square(points - start).sum(axis=1).argmin())
    return clockwise(np.roll(points, -nearest, axis=0))
