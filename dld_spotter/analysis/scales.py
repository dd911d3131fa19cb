"""Costs over a data set: of each scale, relative to the teacher, and of the scales that the selector chose."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from detectron2.evaluation import inference_context

from dld_spotter.analysis.flops import SELECTOR, CostModel
from dld_spotter.modeling.dld import DLDSpotter
from dld_spotter.modeling.spotter import Workload

Size = tuple[int, int]


@torch.no_grad()
def choose_scales(model: DLDSpotter, batches: Iterable[list[dict]]) -> Iterator[tuple[Size, float]]:
    """The size of each image as the network gets it, (height, width), and the scale that the model chooses for it.

    Args:
        batches: lists of records with "image"; the choice does not depend on how they are batched.
    """
    with inference_context(model):
        for batch in batches:
            images = model.student.preprocess_image(batch)
            yield from zip(images.image_sizes, model.choose_scales(images), strict=True)


def scale_shares(chosen: Sequence[float], scales: Sequence[float]) -> dict[float, float]:
    """The share of images per scale (the paper's Table A1), in the order of ``scales``; 0 without images."""
    strange = sorted(set(chosen) - set(scales))
    if strange:
        raise ValueError(f"scales {strange} were chosen, but the candidates are {list(scales)}.")
    return {scale: list(chosen).count(scale) / max(1, len(chosen)) for scale in scales}


def mean_cost(costs: CostModel, sizes: Sequence[Size], scale: float, work: Workload | None = None) -> dict[str, float]:
    """Multiply-adds by part of student and selector, all images at one scale; the mean over the images.

    Args:
        sizes: of the images as the network gets them, one or more.
        work: in place of the cost model's own.
    """
    counted = [costs.student(size, scale, work) | {SELECTOR: costs.selector(size)} for size in _some(sizes)]
    return {part: sum(count[part] for count in counted) / len(counted) for part in counted[0]}


def mean_teacher_cost(costs: CostModel, sizes: Sequence[Size]) -> float:
    """Multiply-adds of the teacher at full resolution; the mean over the images."""
    return sum(sum(costs.teacher(size).values()) for size in _some(sizes)) / len(sizes)


def relative_costs(costs: CostModel, sizes: Sequence[Size], scales: Sequence[float]) -> list[float]:
    """T_i: the student's mean cost at each scale divided by the teacher's mean cost, the selector left out.

    The selector costs the same whatever it chooses, so that its share would not move any choice.
    """
    teacher = mean_teacher_cost(costs, sizes)
    return [
        sum(sum(costs.student(size, scale).values()) for size in sizes) / len(sizes) / teacher for scale in scales
    ]


def chosen_cost(costs: CostModel, sizes: Sequence[Size], chosen: Sequence[float]) -> float:
    """Multiply-adds of selector and student, each image at its own scale; the mean over the images.

    Raises:
        ValueError: no images, or not one scale an image.
    """
    pairs = list(zip(_some(sizes), chosen, strict=True))
    return sum(sum(costs.student(size, scale).values()) + costs.selector(size) for size, scale in pairs) / len(pairs)


def _some(sizes: Sequence[Size]) -> Sequence[Size]:
    if not sizes:
        raise ValueError("there are no images to take the mean cost of.")
    return sizes
