"""Words moved a little: a recogniser is trained on places as a detector finds them, not as people outline them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detectron2.config import CfgNode
from detectron2.structures import Boxes, ImageList, Instances
from torch import Tensor

from dld_spotter.modeling.spotter import Spotter, readable_words
from dld_spotter.structures import WordPolygons


@dataclass(frozen=True)
class WordJitter:
    """Moves words at random: the sides of their boxes, and outlines are stretched with their boxes.

    Args:
        sides: the furthest that each side moves, as a share of the box's shorter side; below 0.5.
    """

    sides: float = 0.0

    @classmethod
    def from_config(cls, cfg: CfgNode) -> WordJitter:
        """As ROI_TEXT_HEAD says."""
        return cls(cfg.MODEL.ROI_TEXT_HEAD.JITTER)

    def __call__(self, words: Sequence[Instances]) -> list[Instances]:
        """
        Args:
            words: of each image, with ``gt_boxes`` and ``gt_masks``; they are left as they are.

        Returns:
            new Instances; fields other than boxes and outlines are shared. Boxes may leave the image.
        """
        if self.sides == 0:
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
        return extent.new_empty(len(extent), 4).uniform_(-self.sides, self.sides) * shorter


def pool_jittered(
    spotter: Spotter,
    images: ImageList,
    targets: list[Instances],
    jitter: WordJitter,
    features: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """(R, C, rows, columns) features of the readable words in given places, for a pass that trains recognition alone.

    Args:
        spotter: that recognises.
        images: normalised and padded.
        targets: of each image.
        jitter: moves these places.
        features: those of ``Spotter.pyramid``, if they are there already.
    """
    roi = spotter.pool(images, jitter(readable_words(targets)), features)
    if len(roi) == 0:
        # Nothing was pooled from the backbone, but other processes wait for its gradients.
        roi = roi + 0.0 * sum(p.sum() for p in spotter.parameters() if p.requires_grad)
    return roi
