"""Costs over images: by part, of each scale relative to the teacher, and of the scales that the selector chose."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from detectron2.evaluation import inference_context
from torch import nn

from dld_spotter.analysis.flops import CostModel, Size
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter


@torch.no_grad()
def choose_scales(model: nn.Module, batch: list[dict]) -> list[tuple[Size, float]]:
    """The size of each image as the network gets it, and the scale that the model chooses; 1 where it has no choice.

    Args:
        model: a DLDSpotter or a Spotter.
        batch: records with "image".
    """
    spotter: Any = model.student if isinstance(model, DLDSpotter) else model
    with inference_context(model):
        images = spotter.preprocess_image(batch)
        chosen = model.choose_scales(images) if isinstance(model, DLDSpotter) else [1.0] * len(batch)
    return list(zip(images.image_sizes, chosen, strict=True))


def scale_shares(chosen: Sequence[float], scales: Sequence[float]) -> dict[float, float]:
    """The share of images per scale (the paper's Table A1), in the order of ``scales``; 0 without images.

    Raises:
        ValueError: a chosen scale is no candidate.
    """
    strange = sorted(set(chosen) - set(scales))
    if strange:
        raise ValueError(f"scales {strange} were chosen, but the candidates are {list(scales)}.")
    return {scale: list(chosen).count(scale) / max(1, len(chosen)) for scale in scales}


def mean_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, float]:
    """The mean over images of multiply-adds by part.

    Raises:
        ValueError: there are no images.
    """
    counts = list(counts)
    if not counts:
        raise ValueError("there are no images to take the mean cost of.")
    return {part: sum(count[part] for count in counts) / len(counts) for part in counts[0]}


def relative_costs(costs: CostModel, sizes: Sequence[Size], scales: Sequence[float]) -> list[float]:
    """T_i: the student's mean cost at each scale divided by the teacher's mean cost.

    The selector is left out: it costs the same whatever it chooses, so that its share would not move a choice.
    """
    teacher = sum(mean_counts(costs.teacher(size) for size in sizes).values())
    return [sum(mean_counts(costs.student(size, scale) for size in sizes).values()) / teacher for scale in scales]


def chosen_cost(costs: CostModel, sizes: Sequence[Size], chosen: Sequence[float]) -> float:
    """Multiply-adds of student and selector, each image at its own scale; the mean over the images."""
    return sum(mean_counts(costs.inference(*pair) for pair in zip(sizes, chosen, strict=True)).values())
