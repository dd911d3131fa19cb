"""What the heads of a Mask R-CNN teacher say of its proposals, and how far its student is from it.

Shapes: P proposals of an image, N of all images, M of them that the teacher takes for words, K classes, m x m a mask.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from detectron2.structures import Boxes, ImageList, Instances
from torch import Tensor

from dld_spotter.modeling.dld.losses.output_losses import bernoulli_kl, class_distance, weighted_smooth_l1
from dld_spotter.modeling.dld.rescaling import scale_factors
from dld_spotter.modeling.mask_rcnn.roi_heads import TextROIHeads

PROPOSALS = 64  # of an image, the likeliest ones
LEAST_PROBABILITY = 0.5  # of a word, where masks are compared


class RegionOutputs(NamedTuple):
    """What the teacher says of one image.

    Attributes:
        boxes: (P, 4) in the pixels of its image.
        scores: (P, K + 1) logits, the background last.
        deltas: (P, 4 K) from the proposal to the word, relative to the proposal's size.
        words: (M,) indices of the proposals that are words.
        masks: (M, K, m, m) logits.
    """

    boxes: Tensor
    scores: Tensor
    deltas: Tensor
    words: Tensor
    masks: Tensor


def word_probability(scores: Tensor) -> Tensor:
    """(N,) that it is not background, from logits (N, K + 1)."""
    return 1 - scores.float().softmax(dim=1)[:, -1]


def region_outputs(
    heads: TextROIHeads, features: Mapping[str, Tensor], proposals: Sequence[Instances]
) -> list[RegionOutputs]:
    """What the teacher's heads say of the best proposals of each image, best first."""
    boxes = [of_image.proposal_boxes[:PROPOSALS] for of_image in proposals]
    counts = [len(of_image) for of_image in boxes]
    scores, deltas = (output.split(counts) for output in heads.box_outputs(features, boxes))
    words = [(word_probability(s) >= LEAST_PROBABILITY).nonzero().flatten() for s in scores]
    masks = heads.mask_logits(features, [b[w] for b, w in zip(boxes, words, strict=True)])
    parts = [b.tensor for b in boxes], scores, deltas, words, masks.split([len(w) for w in words])
    return [RegionOutputs(*of_image) for of_image in zip(*parts, strict=True)]


def region_distances(
    heads: TextROIHeads, images: ImageList, features: Mapping[str, Tensor], taught: Sequence[RegionOutputs]
) -> dict[str, Tensor]:
    """See ``DetectionOutputSpotter.detection_distances``: the student looks where the teacher's proposals are."""
    boxes = [Boxes(of_image.boxes.clone()) for of_image in taught]
    for of_image in boxes:
        of_image.scale(*reversed(scale_factors(images)))
    scores, deltas = heads.box_outputs(features, boxes)
    masks = heads.mask_logits(features, [b[of_image.words] for b, of_image in zip(boxes, taught, strict=True)])
    given = RegionOutputs(*(torch.cat(part) for part in zip(*taught, strict=True)))
    return {
        "box_class": class_distance(scores, given.scores),
        "box_delta": weighted_smooth_l1(deltas, given.deltas, word_probability(given.scores)),
        "mask": bernoulli_kl(masks, given.masks.float().sigmoid()).sum() / max(1, masks.numel()),
    }
