"""Distances between the outputs of a student's detector and those of its teacher's at another resolution.

The classes and boxes of regions after Chen et al., "Learning Efficient Object Detection Models with Knowledge
Distillation" (NeurIPS 2017), with the soft targets of Hinton et al., "Distilling the Knowledge in a Neural Network"
(2015). Unlike features, outputs mean the same at each resolution. All is computed in float32, whatever autocast says.

Shapes: N regions, K classes and the background, D numbers of a box, B images, C channels, H, W of the teacher's map,
h, w of the student's.
"""

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F


def class_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean over regions of KL(teacher || student), from logits (N, K)."""
    log_probs, given = student.float().log_softmax(dim=1), teacher.detach().float().log_softmax(dim=1)
    return F.kl_div(log_probs, given, reduction="sum", log_target=True) / max(1, len(student))


def weighted_smooth_l1(student: Tensor, teacher: Tensor, weight: Tensor, beta: float = 1.0) -> Tensor:
    """The mean smooth L1 distance, weighted.

    Args:
        student: (N, D).
        teacher: (N, D).
        weight: (N,) non-negative; where they add up to less than 1, they are divided by 1.
        beta: below this distance it is quadratic.
    """
    distance = F.smooth_l1_loss(student.float(), teacher.detach().float(), reduction="none", beta=beta)
    weight = weight.detach().float()
    return (weight[:, None] * distance).sum() / (weight.sum().clamp(min=1) * student.shape[1])


def bernoulli_kl(logits: Tensor, probability: Tensor) -> Tensor:
    """KL(teacher || student) of each number: the student's logits, the teacher's probability.

    Raises:
        ValueError: the teacher's output has another size.
    """
    if logits.shape != probability.shape:
        raise ValueError(
            f"the student's detector has an output of {tuple(logits.shape)}, the teacher's of "
            f"{tuple(probability.shape)}: give both the same options (MODEL.DLD.STUDENT_OPTS), or set "
            "MODEL.DLD.ETA_DETECTION to 0."
        )
    # Means of certain cells may be rounded to more than 1, which has no logarithm.
    logits, probability = logits.float(), probability.detach().float().clamp(0, 1)
    # Each class by itself: rounding errors of the many cells that are surely background would add up otherwise.
    word = torch.special.xlogy(probability, probability) + probability * F.softplus(-logits)
    background = torch.special.xlog1py(1 - probability, -probability) + (1 - probability) * F.softplus(logits)
    return word + background


def map_distance(logits: Tensor, probability: Tensor) -> Tensor:
    """The sum of ``bernoulli_kl`` over a map (...) by the teacher's summed probability, at least 1: words are rare."""
    return bernoulli_kl(logits, probability).sum() / probability.detach().float().sum().clamp(min=1)


def covered_cells(image_size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Rows and columns of a map, ``stride`` pixels a cell, whose centres lie in an image; at least 1.

    The image begins at the map's upper left corner; what lies beyond is padding.
    """
    height, width = (max(1, -((stride - 2 * side) // (2 * stride))) for side in image_size)
    return height, width


def resize_by_area(maps: Tensor, size: tuple[int, int], factors: tuple[float, float]) -> Tensor:
    """(C, h, w): maps (C, H, W) at another scale; both begin at the upper left corner.

    A cell becomes the mean over the area that it covers. Cells of the border go on beyond it.

    Args:
        maps: without padding.
        size: h, w.
        factors: on rows and columns; at 1 nothing changes.
    """
    device = maps.device.type
    rows, columns = (
        _shares(old, new, factor, maps.device) for old, new, factor in zip(maps.shape[-2:], size, factors, strict=True)
    )
    # Products of matrices, for which autocast would take half precision.
    with nullcontext() if device == "meta" else torch.autocast(device, enabled=False):
        return rows @ maps.float() @ columns.T


def _shares(old: int, new: int, factor: float, device: torch.device) -> Tensor:
    """(new, old): how much of each new cell's length every old cell has."""
    border = torch.arange(old + 1, dtype=torch.float32, device=device)
    border[-1].fill_(torch.inf)
    edges = torch.arange(new + 1, dtype=torch.float32, device=device) / factor
    shared = (torch.minimum(border[1:], edges[1:, None]) - torch.maximum(border[:-1], edges[:-1, None])).clamp(min=0)
    return shared / shared.sum(dim=1, keepdim=True)
