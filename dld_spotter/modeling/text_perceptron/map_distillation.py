"""What a Text Perceptron teacher's maps say, and how far its student's maps at another scale are from it.

Shapes: B images, H, W of the cells that an image covers, h, w of those of the student's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dld_spotter.modeling.dld.losses.output_losses import (
    covered_cells,
    map_distance,
    resize_by_area,
    weighted_smooth_l1,
)
from dld_spotter.modeling.text_perceptron.fiducials import UNIT
from dld_spotter.modeling.text_perceptron.order_aware_head import SegmentationMaps
from dld_spotter.modeling.text_perceptron.text_perceptron_losses import REGRESSED, SEGMENTED, PerceptronLosses

# Of the score maps, the one that says where each regression map counts.
_AREAS = [list(SEGMENTED.values()).index(area) for area in REGRESSED.values()]


class AreaOutputs(NamedTuple):
    """What the teacher says of one image, without padding.

    Attributes:
        areas: (4, H, W) probabilities of centre, head, tail and boundary.
        outline: (12, H, W) x and y in pixels of where the regression maps put the outline.
        stride: pixels a cell.
    """

    areas: Tensor
    outline: Tensor
    stride: int


def area_outputs(maps: SegmentationMaps, image_sizes: Sequence[tuple[int, int]], stride: int) -> list[AreaOutputs]:
    """What the teacher's maps say of each image."""
    outputs = []
    for scores, geometry, image_size in zip(maps.scores, maps.geometry, image_sizes, strict=True):
        rows, columns = covered_cells(image_size, stride)
        outline = _places((rows, columns), stride, scores.device) - UNIT * geometry[:, :rows, :columns].float()
        outputs.append(AreaOutputs(scores[:, :rows, :columns].float().sigmoid(), outline, stride))
    return outputs


def area_distances(
    maps: SegmentationMaps,
    image_sizes: Sequence[tuple[int, int]],
    stride: int,
    factors: tuple[float, float],
    taught: Sequence[AreaOutputs],
) -> dict[str, Tensor]:
    """See ``DetectionOutputSpotter.detection_distances``.

    The teacher's probabilities and outlines are averaged over the area of each of the student's cells; outlines by
    the probability that a cell is of their kind, for elsewhere they mean nothing.

    Args:
        maps: the student's.
        image_sizes: of the student's images.
        stride: pixels a cell.
        factors: on height and width, from the teacher's images.
        taught: what the teacher says.
    """
    logits, geometry, areas, wanted = [], [], [], []
    for index, (image_size, given) in enumerate(zip(image_sizes, taught, strict=True)):
        size = covered_cells(image_size, stride)
        on_map = factors[0] * given.stride / stride, factors[1] * given.stride / stride
        areas.append(resize_by_area(given.areas, size, on_map))
        share = given.areas[_AREAS].repeat_interleave(4, dim=0)
        outline = resize_by_area(given.outline * share, size, on_map)
        outline = outline / resize_by_area(share, size, on_map).clamp(min=torch.finfo(torch.float32).tiny)
        outline = torch.stack([factors[1] * outline[0::2], factors[0] * outline[1::2]], dim=1).flatten(0, 1)
        wanted.append((_places(size, stride, outline.device) - outline) / UNIT)
        logits.append(maps.scores[index, :, : size[0], : size[1]])
        geometry.append(maps.geometry[index, :, : size[0], : size[1]])
    own, given_areas = _joined(logits), _joined(areas)
    losses = {f"seg_{name}": map_distance(own[:, index], given_areas[:, index]) for index, name in enumerate(SEGMENTED)}
    pairs = zip(_joined(geometry).split(4, dim=1), _joined(wanted).split(4, dim=1), strict=True)
    for name, area, (predicted, target) in zip(REGRESSED, _AREAS, pairs, strict=True):
        losses[f"reg_{name}"] = weighted_smooth_l1(predicted, target, given_areas[:, area], PerceptronLosses.beta)
    return losses


def _places(size: tuple[int, int], stride: int, device: torch.device) -> Tensor:
    """(12, h, w) x, y, x, y, ... in pixels of the cells' centres."""
    y, x = ((torch.arange(side, device=device, dtype=torch.float32) + 0.5) * stride for side in size)
    return torch.stack([x.expand(size), y[:, None].expand(size)]).repeat(6, 1, 1)


def _joined(maps: Sequence[Tensor]) -> Tensor:
    """(cells of all images, channels)."""
    return torch.cat([of_image.flatten(1) for of_image in maps], dim=1).T
