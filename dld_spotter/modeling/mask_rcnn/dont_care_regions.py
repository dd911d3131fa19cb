"""Don't-care regions, which count neither for nor against a candidate in training."""

from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY, RPN
from detectron2.structures import Boxes, Instances, pairwise_ioa
from torch import Tensor

# Candidates covered by a don't-care region by more than this share of their own area are no negatives.
IGNORE_THRESHOLD = 0.5


def split_ignored(targets: list[Instances]) -> tuple[list[Instances], list[Boxes]]:
    """The words that count, and the boxes of the don't-care regions, of each image."""
    if not targets or not targets[0].has("gt_ignore"):
        return targets, [t.gt_boxes[:0] for t in targets]
    # As indices, which a device is asked for once; a mask would be turned into them for each field.
    words = [t[(~t.gt_ignore).nonzero().flatten()] for t in targets]
    return words, [t.gt_boxes[t.gt_ignore] for t in targets]


def inside_ignored(boxes: Boxes, ignored: Boxes, threshold: float = IGNORE_THRESHOLD) -> Tensor:
    """(N,) bool: which boxes have more than this share of their area in one don't-care box."""
    if len(ignored) == 0:
        return boxes.tensor.new_zeros(len(boxes), dtype=bool)
    return pairwise_ioa(ignored, boxes).amax(dim=0) > threshold


@PROPOSAL_GENERATOR_REGISTRY.register()
class TextRPN(RPN):
    """Detectron2's RPN; anchors over don't-care regions are no negatives."""

    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """As the parent, for the words that count; afterwards negatives over don't-care regions are left out."""
        words, ignored = split_ignored(gt_instances)
        labels, matched = super().label_and_sample_anchors(anchors, words)
        all_anchors = Boxes.cat(anchors)
        for label, regions in zip(labels, ignored, strict=True):
            if len(regions):
                label[(label == 0) & inside_ignored(all_anchors, regions)] = -1
        return labels, matched
