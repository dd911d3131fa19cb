"""Words moved a little, so that a reader learns to read places as a detector finds them, not as people outline them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from detectron2.structures import Boxes, ImageList, Instances
from torch import Tensor

from dld_spotter.modeling.spotter import Spotter, readable_words
from dld_spotter.structures import WordPolygons

# How often an end of a word is moved outwards. Of the words that a light detector finds at half the resolution, one end
# in fifty reaches 0.8 heights too far or more.
ENDS_MOVED = 0.1


@dataclass(frozen=True)
class WordJitter:
    """Moves words at random: the sides of their boxes, and outlines are stretched with their boxes.

    Args:
        sides: the furthest that each side moves, as a share of the box's shorter side; below 0.5.
        ends: the furthest that either of the box's two shorter sides moves outwards now and then, in the same unit, so
            that letters of neighbours come into the picture.
    """

    sides: float = 0.0
    ends: float = 0.0

    @classmethod
    def from_config(cls, cfg: CfgNode) -> WordJitter:
        """As ROI_TEXT_HEAD says."""
        return cls(cfg.MODEL.ROI_TEXT_HEAD.JITTER, cfg.MODEL.ROI_TEXT_HEAD.JITTER_ENDS)

    def __call__(self, words: Sequence[Instances]) -> list[Instances]:
        """
        Args:
            words: of each image, with ``gt_boxes`` and ``gt_masks``; they are left as they are.

        Returns:
            new Instances; fields other than boxes and outlines are shared. Boxes may leave the image.
        """
        if self.sides == 0 and self.ends == 0:
            return list(words)
        result = []
        for found in words:
            fields = dict(found.get_fields())
            boxes = found.gt_boxes.tensor
            start, extent = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
            moved = boxes + self._moves(extent)
            factor = (moved[:, 2:] - moved[:, :2]) / extent.clamp(min=1e-6)
            fields["gt_boxes"] = Boxes(moved)
            outlines = (found.gt_masks.tensor - start[:, None]) * factor[:, None] + moved[:, None, :2]
            fields["gt_masks"] = WordPolygons(outlines)
            result.append(Instances(found.image_size, **fields))
        return result

    def _moves(self, extent: Tensor) -> Tensor:
        """(R, 4) in pixels, for boxes of an extent (R, 2)."""
        shorter = extent.amin(dim=1, keepdim=True)
        moves = extent.new_empty(len(extent), 4).uniform_(-self.sides, self.sides)
        if self.ends > 0:
            is_end = (extent > shorter).repeat(1, 2)  # the sides across the longer extent
            far = torch.rand_like(moves) * self.ends * (is_end & (torch.rand_like(moves) < ENDS_MOVED))
            moves = moves + torch.cat([-far[:, :2], far[:, 2:]], dim=1)
        return moves * shorter


def pool_to_read(
    spotter: Spotter,
    images: ImageList,
    targets: list[Instances],
    jitter: WordJitter,
    features: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """(R, C, rows, columns) features of the readable words in given places, for a pass that learns nothing but reading.

    Args:
        jitter: moves these places.
        features: those of ``Spotter.pyramid``, if they are there already.
    """
    roi = spotter.pool(images, jitter(readable_words(targets)), features)
    if len(roi) == 0:
        # Nothing was pooled from the backbone, but other processes wait for its gradients.
        roi = roi + 0.0 * sum(p.sum() for p in spotter.parameters() if p.requires_grad)
    return roi
