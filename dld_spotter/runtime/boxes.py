"""Boxes between graphs: anchors, box deltas, non-maximum suppression. The formulas are Detectron2's.

Boxes are (N, 4) float32: x1, y1, x2, y2 in pixels of the network's image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

SCALE_CLAMP = math.log(1000 / 16)  # detectron2.modeling.box_regression


def cell_anchors(sizes: Sequence[float], aspect_ratios: Sequence[float]) -> np.ndarray:
    """Anchors around the origin, for sizes (roots of areas) times ratios of height and width."""
    anchors = []
    for size in sizes:
        for ratio in aspect_ratios:
            width = math.sqrt(size**2.0 / ratio)
            height = ratio * width
            anchors.append([-width / 2, -height / 2, width / 2, height / 2])
    return np.array(anchors, np.float32)


@dataclass(frozen=True)
class AnchorLevel:
    """The anchors of one feature map.

    Attributes:
        cells: (A, 4) around the origin.
        stride: of the map, in pixels.
        offset: of the first anchors' centre, in strides.
    """

    cells: np.ndarray
    stride: int
    offset: float

    def at(self, row: np.ndarray, column: np.ndarray, anchor: np.ndarray) -> np.ndarray:
        """(N, 4) anchors at positions (N,) of the map, by the index (N,) of their cell."""
        place = np.stack([column, row, column, row], axis=1).astype(np.float32)
        return (place + np.float32(self.offset)) * np.float32(self.stride) + self.cells[anchor]


def apply_deltas(deltas: np.ndarray, boxes: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Move and stretch boxes (N, 4) by (dx, dy, dw, dh) (N, 4): ``Box2BoxTransform.apply_deltas``."""
    deltas = deltas / np.asarray(weights, np.float32)
    size = boxes[:, 2:] - boxes[:, :2]
    centre = deltas[:, :2] * size + (boxes[:, :2] + np.float32(0.5) * size)
    size = np.exp(np.minimum(deltas[:, 2:], np.float32(SCALE_CLAMP))) * size
    return np.concatenate([centre - np.float32(0.5) * size, centre + np.float32(0.5) * size], axis=1)


def clip(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes limited to an image (height, width)."""
    height, width = size
    return np.clip(boxes, 0, np.array([width, height, width, height], np.float32))


def has_area(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool."""
    return np.all(boxes[:, 2:] > boxes[:, :2], axis=1)


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Indices of the boxes that are left when each suppresses lower-scored ones of an IoU above the threshold.

    They are in descending order of scores.
    """
    if len(boxes) == 0:
        return np.zeros(0, np.int64)
    order = np.argsort(-scores, kind="stable")
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float64)[order]
    ranks = np.arange(len(order), 0, -1, dtype=np.float32)  # OpenCV takes no negative scores
    kept = cv2.dnn.NMSBoxes(sides, ranks, 0.0, threshold)  # type: ignore[arg-type]
    return order[np.asarray(kept, np.int64).reshape(-1)]


def propose(
    levels: Sequence[tuple[np.ndarray, np.ndarray, AnchorLevel]],
    size: tuple[int, int],
    before: int,
    after: int,
    threshold: float,
    weights: Sequence[float],
) -> np.ndarray:
    """The region proposals of one image: ``find_top_rpn_proposals``.

    Args:
        levels: of each level (H, W, A) logits, (H, W, 4 A) deltas and the anchors.
        size: height and width of the image.
        before: how many of each level are looked at.
        after: how many are kept of all levels together.
        threshold: of the suppression within each level.
        weights: of the deltas.

    Returns:
        (N, 4), the best first.
    """
    boxes, scores = [], []
    for logits, deltas, anchors in levels:
        flat = logits.ravel()
        best = np.argpartition(-flat, before - 1)[:before] if 0 < before < len(flat) else np.arange(len(flat))
        row, column, anchor = np.unravel_index(best, logits.shape)
        decoded = apply_deltas(deltas.reshape(-1, 4)[best], anchors.at(row, column, anchor), weights)
        fine = np.isfinite(decoded).all(axis=1) & np.isfinite(flat[best])
        decoded, best = clip(decoded[fine], size), best[fine]
        fine = has_area(decoded)
        decoded, best = decoded[fine], best[fine]
        boxes.append(decoded)
        scores.append(flat[best])
    level = np.repeat(np.arange(len(boxes)), [len(of_level) for of_level in boxes])
    return _best_of_levels(np.concatenate(boxes), np.concatenate(scores), level, after, threshold)


def _best_of_levels(
    boxes: np.ndarray, scores: np.ndarray, level: np.ndarray, count: int, threshold: float
) -> np.ndarray:
    """(N, 4) the best boxes that are left when they suppress others of their ``level`` (M,).

    Only better boxes suppress: where enough of the best ones are left, the others need no look.
    """
    order = np.argsort(-scores, kind="stable")
    for looked_at in (order[: 2 * count], order):
        among = [looked_at[level[looked_at] == one] for one in np.unique(level)]
        kept = np.concatenate([order[:0], *(some[suppress(boxes[some], scores[some], threshold)] for some in among)])
        if len(kept) >= count:
            break
    return boxes[kept[np.argsort(-scores[kept], kind="stable")[:count]]]


def detections(
    proposals: np.ndarray,
    probabilities: np.ndarray,
    deltas: np.ndarray,
    size: tuple[int, int],
    *,
    weights: Sequence[float],
    least: float,
    threshold: float,
    most: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and scores of what one class of Fast R-CNN finds: ``fast_rcnn_inference_single_image``.

    Args:
        proposals: (N, 4).
        probabilities: (N, 2) of the class and the background.
        deltas: (N, 4).
        size: height and width of the image.
        weights: of the deltas.
        least: detections scored above it count.
        threshold: of the suppression.
        most: how many are kept.
    """
    boxes = apply_deltas(deltas, proposals, weights)
    fine = np.isfinite(boxes).all(axis=1) & np.isfinite(probabilities).all(axis=1)
    fine &= probabilities[:, 0] > np.float32(least)
    boxes, scores = clip(boxes[fine], size), probabilities[fine, 0]
    fine = has_area(boxes)  # others hold no word
    boxes, scores = boxes[fine], scores[fine]
    kept = suppress(boxes, scores, threshold)[: most if most >= 0 else None]
    return boxes[kept], scores[kept]
