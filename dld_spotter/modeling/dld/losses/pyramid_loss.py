"""Distillation of the detector's feature pyramid across resolutions, aligned by its levels.

After Qi et al., "Multi-Scale Aligned Distillation for Low-Resolution Detection" (CVPR 2021), in the form that leaves
the student as it is: an image shrunk by 2**m has at level j of its pyramid the size that the image itself has at level
j + m, and the student's map is pulled towards the teacher's. The teacher's maps are those of full resolution alone, or
fused with those of low resolution (``pyramid_fusion.py``).

Shapes: B images, C channels, H, W of a map. Level j has a stride of 2**j pixels.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def level_shift(scale: float) -> int:
    """m: by how many levels the pyramid of an image at a scale is shifted; 1 at 0.5."""
    return round(math.log2(1 / scale))


def pyramid_loss(
    student: Mapping[int, Tensor],
    teacher: Mapping[int, Tensor],
    scale: float,
    image_sizes: Sequence[tuple[int, int]],
    rows: Sequence[int] | None = None,
) -> Tensor:
    """The mean absolute difference of the aligned maps, summed over the student's levels that have a partner.

    Where the scale is no power of 1/2, the larger map of a pair is resized to the smaller one's grid. Padding does not
    count.

    Args:
        student: (B, C, h, w) maps of the shrunk images by level.
        teacher: (B, C, H, W) maps of the images by level; they get no gradient.
        scale: factor on height and width of the student's images.
        image_sizes: height and width of each image at full resolution.
        rows: which of the teacher's images these are; None for all of them.

    Raises:
        ValueError: no level of the student has a partner.
    """
    shift, kept = level_shift(scale), slice(None) if rows is None else list(rows)
    losses = [
        _map_loss(maps, teacher[level + shift][kept].detach(), level + shift, scale * 2**shift, image_sizes)
        for level, maps in student.items()
        if level + shift in teacher
    ]
    if not losses:
        raise ValueError(
            f"at scale {scale:g}, no level of the student's pyramid ({', '.join(map(str, student))}) has one of the "
            f"teacher's ({', '.join(map(str, teacher))}) {shift} above it: set MODEL.DLD.ETA_PYRAMID to 0."
        )
    return torch.stack(losses).sum()


def _map_loss(
    student: Tensor, teacher: Tensor, level: int, factor: float, image_sizes: Sequence[tuple[int, int]]
) -> Tensor:
    """One pair; ``factor`` is the size of the student's map relative to the teacher's, which is at ``level``."""
    student, teacher = student.float(), teacher.float()
    if factor < 1:
        teacher = _resize(teacher, factor)
    elif factor > 1:
        student = _resize(student, 1 / factor)
    # Both begin at the upper left corner; they may be padded by different amounts.
    rows, columns = (min(a, b) for a, b in zip(student.shape[-2:], teacher.shape[-2:], strict=True))
    difference = (student[..., :rows, :columns] - teacher[..., :rows, :columns]).abs().mean(dim=1)
    valid = _inside(image_sizes, (rows, columns), 2**level / min(factor, 1.0), difference.device)
    return torch.where(valid, difference, 0.0).sum() / valid.sum().clamp(min=1)


def _resize(maps: Tensor, factor: float) -> Tensor:
    # The factor as it is, not that of the rounded sizes: positions stay where they are in the image.
    return F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False, recompute_scale_factor=False)


def _inside(
    image_sizes: Sequence[tuple[int, int]], map_size: tuple[int, int], stride: float, device: torch.device
) -> Tensor:
    """(B, rows, columns) bool: cells whose centre lies within the image."""
    limits = torch.tensor(image_sizes, dtype=torch.float32, device="cpu").to(device, non_blocking=True)
    rows, columns = ((torch.arange(n, device=device) + 0.5) * stride for n in map_size)
    return (rows[None, :, None] < limits[:, :1, None]) & (columns[None, None] < limits[:, 1:, None])
