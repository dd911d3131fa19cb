"""How far the student's features at a low resolution are from the teacher's at the full one (the paper's Table A2).

Shapes: R words, C channels, N positions of the context, D its channels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from detectron2.evaluation import inference_context
from detectron2.structures import ImageList
from torch import Tensor

from dld_spotter.modeling.dld.rescaling import rescale_images, rescale_words
from dld_spotter.modeling.spotter import RecognitionOutput, Spotter, readable_words


class FeatureDistances(NamedTuple):
    """Mean distances over ``words`` words; 0 without words."""

    roi: float
    context: float
    words: int


def feature_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """The L2 distance of each word's features, divided by the root of the number of their elements.

    That is the root of the mean squared difference: it does not grow with the size of the features, so that those of
    the RoI and of the context compare. The paper says "L2 distance" and leaves open by what it is divided. The
    square of the value here is the word's share of L_roi or L_con.

    Args:
        student: (R, ...), such as RoI features (R, C, rows, columns) or contextual ones (R, N, D).
        teacher: likewise.

    Returns:
        (R,) float32.

    Raises:
        ValueError: features of different shapes.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"features of the shapes {tuple(student.shape)} (student) and {tuple(teacher.shape)} (teacher) have no "
            "distance; compare networks with the same MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION, CONV_DIM and HIDDEN_SIZE."
        )
    difference = (student.float() - teacher.float()).flatten(1)
    return difference.square().mean(dim=1).sqrt()


def compare_features(
    teacher: Spotter,
    student: Spotter,
    batches: Iterable[list[dict]],
    choose_scales: Callable[[ImageList], Sequence[float]],
) -> Iterator[tuple[RecognitionOutput, RecognitionOutput]]:
    """What teacher and student make of the same readable words, image by image; images without such words are left out.

    Words are given by their ground-truth places. The teacher sees each image at full resolution, the student at its
    chosen scale. The arguments are those of ``measure_distances``.

    Yields:
        the teacher's and the student's output of R words.
    """
    for record in (record for batch in batches for record in batch):
        words = readable_words([record["instances"]])
        if len(words[0]) == 0:
            continue
        # Not around the loop: what asks for the pairs would run without gradients, too.
        with inference_context(teacher), inference_context(student), torch.no_grad():
            images = student.preprocess_image([record])
            words = [w.to(images.tensor.device) for w in words]
            scale = choose_scales(images)[0]
            small = rescale_images(images, scale)
            seen = teacher.read(images, words)
            read = student.read(small, rescale_words(words, images, small, scale))
        yield seen, read


def measure_distances(
    teacher: Spotter,
    student: Spotter,
    batches: Iterable[list[dict]],
    choose_scales: Callable[[ImageList], Sequence[float]],
) -> FeatureDistances:
    """The mean distances over the readable words of a data set, in their ground-truth places.

    The teacher sees each image at full resolution, the student at its chosen scale. For one spotter at two resolutions
    ("Vanilla Multi-Scale") give it twice::

        loader = build_text_test_loader(cfg, "totaltext_test", keep_annotations=True)
        measure_distances(model.teacher, model.student, loader, model.choose_scales)
        measure_distances(spotter, spotter, loader, lambda images: [0.5] * len(images))

    Args:
        teacher: sees full resolution.
        student: sees the chosen scale.
        batches: mapped records with "instances".
        choose_scales: of normalised images at full resolution, such as ``DLDSpotter.choose_scales``.
    """
    roi, context = [], []
    for seen, read in compare_features(teacher, student, batches, choose_scales):
        roi.append(feature_distance(read.roi, seen.roi))
        context.append(feature_distance(read.context, seen.context))
    if not roi:
        return FeatureDistances(0.0, 0.0, 0)
    distances = torch.stack([torch.cat(roi), torch.cat(context)])
    roi_mean, context_mean = distances.mean(dim=1).tolist()
    return FeatureDistances(roi_mean, context_mean, distances.shape[1])
