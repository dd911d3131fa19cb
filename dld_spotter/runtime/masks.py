"""From predicted masks to outlines, as ``detector_postprocess`` and ``instances_to_polygons``, a word at a time."""

from __future__ import annotations

import numpy as np

from dld_spotter.outlines import box_region, boxed_outline
from dld_spotter.runtime.boxes import clip
from dld_spotter.runtime.sampling import mask_at

MASK_THRESHOLD = 0.5


def outlines(boxes: np.ndarray, masks: np.ndarray, size: tuple[int, int]) -> list[np.ndarray | None]:
    """The outline of each word.

    Args:
        boxes: (N, 4) in pixels of an image.
        masks: (N, M, M) probabilities, each over its box.
        size: height and width of the image.

    Returns:
        N arrays of (P, 2) float32; None for a word without an area.
    """
    return [_outline(box, mask, size) for box, mask in zip(clip(boxes, size), masks, strict=True)]


def _outline(box: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    region = box_region(box, size)
    if region is None or not (box[2:] > box[:2]).all():
        return None
    left, top, right, bottom = region
    x = np.arange(left, right, dtype=np.float32) + np.float32(0.5)
    y = np.arange(top, bottom, dtype=np.float32) + np.float32(0.5)
    shape = len(y), len(x)
    inside = mask_at(mask, box, np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape)) >= MASK_THRESHOLD
    return boxed_outline(inside, (left, top))
