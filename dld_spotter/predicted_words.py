"""Detectron2's ``Instances``, as a spotter predicts them, to words with outlines."""

from __future__ import annotations

import numpy as np
from detectron2.structures import Instances

from dld_spotter.data.charset import Charset, list_characters
from dld_spotter.outlines import box_region, boxed_outline
from dld_spotter.results import Word, make_words
from dld_spotter.structures import PolygonBoxes, WordPolygons


def to_words(instances: Instances, charset: Charset, scale_x: float = 1.0, scale_y: float = 1.0) -> list[Word]:
    """Predictions to words, in reading order; those without an area or with a score that is no number are left out.

    Args:
        instances: N predictions of one image (see ``instances_to_polygons``), with ``scores``, ``pred_text`` and
            ``pred_text_scores``; and ``pred_word_scores``, or else the product of the two counts.
        charset: of the model.
        scale_x: factor from the instances' pixels to those of the record.
        scale_y: likewise.
    """
    both = instances.scores, instances.pred_text_scores
    combined = instances.pred_word_scores if instances.has("pred_word_scores") else both[0] * both[1]
    scores = list(zip(*(values.tolist() for values in (combined, *both)), strict=True))
    outlines = instances_to_polygons(instances)
    scaled = [None if outline is None else outline * (scale_x, scale_y) for outline in outlines]
    return make_words(charset.decode(instances.pred_text), scores, scaled, _columns(instances, charset))


def _columns(instances: Instances, charset: Charset) -> list[tuple[dict[str, float], ...]] | None:
    """What a CTC recogniser takes for likely in each column of each word; None of another recogniser."""
    if not instances.has("pred_column_classes"):
        return None
    both = instances.pred_column_classes.cpu().numpy(), instances.pred_column_probs.float().cpu().numpy()
    return [list_characters(*of_word, charset) for of_word in zip(*both, strict=True)]


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
    region = box_region(box, mask.shape)
    if region is None:
        return None
    left, top, right, bottom = region
    return boxed_outline(mask[top:bottom, left:right].cpu().numpy(), (left, top))


def _distinct(points: np.ndarray) -> np.ndarray | None:
    """(P, 2) without repeated neighbours (the padding of WordPolygons); None if no area can be left."""
    if not np.isfinite(points).all():
        return None
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    return points if len(points) >= 3 else None
