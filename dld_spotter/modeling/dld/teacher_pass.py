"""What the teacher says of a training batch, as far as a loss asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dld_spotter.modeling.dld.losses.loss_weights import DistillationWeights
from dld_spotter.modeling.dld.losses.pyramid_fusion import PyramidFusion
from dld_spotter.modeling.dld.rescaling import rescale_images
from dld_spotter.modeling.dld.training_batch import TrainingBatch
from dld_spotter.modeling.spotter import RecognitionOutput, Spotter
from dld_spotter.modeling.spotter_parts import AttentionMapSpotter, DetectionOutputSpotter, PyramidSpotter, require


class TeacherPass(NamedTuple):
    """None for what no loss asks for.

    Attributes:
        recognition: of the readable words.
        pyramid: the feature maps by level.
        detection: what is detected in each image.
    """

    recognition: RecognitionOutput | None
    pyramid: Mapping[int, Tensor] | None
    detection: Sequence[Any] | None


@torch.no_grad()
def run_teacher(
    teacher: Spotter | None,
    batch: TrainingBatch,
    weights: DistillationWeights,
    recognizes: bool,
    fusion: PyramidFusion | None = None,
) -> TeacherPass:
    """The teacher on a batch at full resolution; its backbone runs once.

    Args:
        teacher: frozen; None where nothing is distilled.
        batch: at the teacher's resolution.
        weights: of the losses.
        recognizes: whether its recognition is asked for.
        fusion: makes its pyramid of two resolutions; None for that of the full resolution alone.

    Raises:
        ValueError: it lacks what a loss compares.
    """
    recognition, levels, detection, features = None, None, None, None
    if weights.distils_pyramid:
        pyramid = pyramid_of(teacher).pyramid(batch.images)
        levels, features = pyramid.levels, pyramid.features
        if fusion is not None:
            low = pyramid_of(teacher).pyramid(rescale_images(batch.images, 0.5)).levels
            levels = {**levels, **fusion(levels, low, batch.images.image_sizes)}
    if weights.distils_detection:
        features = detector_of(teacher).detector_features(batch.images, features)
        detection = detector_of(teacher).detector_outputs(batch.images, features)
    if teacher is not None and recognizes:
        recognition = teacher.read(batch.images, batch.words, features)
        if weights.distils_attention and isinstance(teacher, AttentionMapSpotter):
            attention = teacher.attention_maps(batch.images, batch.words, features)
            recognition = replace(recognition, attention=attention)
    return TeacherPass(recognition, levels, detection)


def pyramid_of(spotter: Spotter | None) -> PyramidSpotter:
    """The spotter as one with a pyramid."""
    return require(spotter, PyramidSpotter, "set MODEL.DLD.ETA_PYRAMID to 0")  # type: ignore[type-abstract]


def detector_of(spotter: Spotter | None) -> DetectionOutputSpotter:
    """The spotter as one whose detection can be compared."""
    return require(spotter, DetectionOutputSpotter, "set MODEL.DLD.ETA_DETECTION to 0")  # type: ignore[type-abstract]
