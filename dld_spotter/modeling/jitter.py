"""Words moved a little, so that a reader learns to read places as a detector finds them, not as people outline them."""

from collections.abc import Mapping, Sequence

import torch
from detectron2.structures import Boxes, ImageList, Instances
from torch import Tensor

from dld_spotter.modeling.spotter import Spotter, readable_words
from dld_spotter.structures import WordPolygons


def jitter_words(words: Sequence[Instances], amount: float) -> list[Instances]:
    """Words whose boxes have each side moved at random, and whose outlines are stretched with their boxes.

    Args:
        words: of each image, with ``gt_boxes`` and ``gt_masks``; they are left as they are.
        amount: the furthest that a side moves, as a share of the box's shorter side; below 0.5.

    Returns:
        new Instances; fields other than boxes and outlines are shared. Boxes may leave the image.
    """
    if amount == 0:
        return list(words)
    result = []
    for found in words:
        fields = dict(found.get_fields())
        boxes = found.gt_boxes.tensor
        start, extent = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
        reach = amount * extent.amin(dim=1, keepdim=True)
        moved = boxes + reach * (2 * torch.rand_like(boxes) - 1)
        factor = (moved[:, 2:] - moved[:, :2]) / extent.clamp(min=1e-6)
        fields["gt_boxes"] = Boxes(moved)
        outlines = (found.gt_masks.tensor - start[:, None]) * factor[:, None] + moved[:, None, :2]
        fields["gt_masks"] = WordPolygons(outlines)
        result.append(Instances(found.image_size, **fields))
    return result


def pool_to_read(
    spotter: Spotter,
    images: ImageList,
    targets: list[Instances],
    amount: float,
    features: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """(R, C, rows, columns) features of the readable words in given places, for a pass that learns nothing but reading.

    Args:
        amount: of ``jitter_words``.
        features: those of ``Spotter.pyramid``, if they are there already.
    """
    roi = spotter.pool(images, jitter_words(readable_words(targets), amount), features)
    if len(roi) == 0:
        # Nothing was pooled from the backbone, but other processes wait for its gradients.
        roi = roi + 0.0 * sum(p.sum() for p in spotter.parameters() if p.requires_grad)
    return roi
