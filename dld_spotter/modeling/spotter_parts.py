"""What a spotter may offer beyond ``Spotter``: it has a part if it has the part's methods; no base class is needed.

Shapes: R words over the whole batch, N positions of the context or of the image, T decoding steps, D channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from detectron2.structures import ImageList, Instances
from torch import Tensor

from dld_spotter.modeling.spotter import RecognitionOutput

Part = TypeVar("Part")


@dataclass(frozen=True)
class AttentionTrace:
    """What a recogniser attends to in each step, as far as it can tell.

    Attributes:
        features: (R, T, D) the attended features.
        attention: (R, T, N) the weights, non-negative with the sum 1, or 0 for a word that is not attended to: over
            positions of the context, or of the image. None for a spotter that cannot tell.
    """

    features: Tensor
    attention: Tensor | None


@runtime_checkable
class AttentionTraceSpotter(Protocol):
    """Tells what its recogniser attends to. Distillation of hints, attention and affinity asks for it."""

    def attention_trace(self, output: RecognitionOutput) -> AttentionTrace:
        """What was attended to in each step of an output.

        Raises:
            ValueError: the recogniser has no attention.
        """


@runtime_checkable
class AttentionMapSpotter(Protocol):
    """Attends to the image before it recognises. The distillation of attention asks for the maps."""

    def attention_maps(
        self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Where the steps of words look in their image. Arguments are those of ``Spotter.pool``.

        Returns:
            (R, T, N) over positions that span each image, whatever its scale; T is the longest word's number of steps.
        """


@dataclass(frozen=True)
class Pyramid:
    """Feature maps of the detector's neck.

    Attributes:
        features: what ``Spotter.detection_losses`` goes on from.
        levels: maps that can be compared across resolutions: level j has a stride of 2**j.
    """

    features: Mapping[str, Tensor]
    levels: Mapping[int, Tensor]


@runtime_checkable
class PyramidSpotter(Protocol):
    """Has a feature pyramid. The distillation of the pyramid asks for it."""

    def pyramid(self, images: ImageList) -> Pyramid:
        """The feature maps of all levels.

        Raises:
            ValueError: the spotter's backbone has no pyramid.
        """

    def features_of(self, levels: Mapping[int, Tensor]) -> Mapping[str, Tensor]:
        """What ``detection_losses`` goes on from, made of other maps in the place of ``Pyramid.levels``."""


@runtime_checkable
class DetectionOutputSpotter(Protocol):
    """Says what it detects in a way that can be compared across resolutions, as the distillation of detection asks.

    A teacher answers ``detector_outputs``; a student compares itself in ``detection_distances``.
    """

    def detector_features(
        self, images: ImageList, features: Mapping[str, Tensor] | None = None
    ) -> Mapping[str, Tensor]:
        """What ``Spotter.detection_losses`` and the methods below go on from, so that nothing is computed twice.

        Args:
            images: normalised and padded.
            features: those of ``PyramidSpotter.pyramid``, if they are there already.
        """

    def detector_outputs(self, images: ImageList, features: Mapping[str, Tensor]) -> Sequence[Any]:
        """What a teacher, in evaluation mode, detects in each image; of what kind is up to the spotter."""

    def detection_distances(
        self, images: ImageList, features: Mapping[str, Tensor], taught: Sequence[Any]
    ) -> dict[str, Tensor]:
        """How far the student is from what the teacher's ``detector_outputs`` say.

        Args:
            images: those of the teacher, maybe rescaled (see ``rescaling.scale_factors``).
            features: the student's ``detector_features``.
            taught: one entry an image, without gradient.

        Returns:
            distances by name, 0 for a student that equals its teacher at the scale 1. Without a word they stay in the
            graph.
        """


@dataclass(frozen=True)
class Workload:
    """What an image is taken to hold when costs are counted, so that they do not depend on what a network finds.

    Attributes:
        proposals: regions that the detector looks into; of no meaning to a spotter without proposals.
        words: that are found and recognised.
        steps: of decoding: the characters of the longest word, and its end.
    """

    proposals: int = 1000
    words: int = 10
    steps: int = 11


@runtime_checkable
class CountableSpotter(Protocol):
    """Has costs that can be counted.

    Attributes:
        cost_parts: what costs are listed by: part -> how the names of its modules begin; the longest match decides.
    """

    cost_parts: Mapping[str, Sequence[str]]

    def dry_run(self, images: ImageList, work: Workload) -> None:
        """Run each module as ``spot`` would if every image held ``work``, whatever it shows.

        Only sizes matter: nothing may depend on a value, so that it also runs on the "meta" device.
        """


def require(spotter: object, part: type[Part], why: str) -> Part:
    """The spotter as what has a part.

    Args:
        spotter: that should have it.
        part: a protocol of this module.
        why: what needs it, and what to do without, for the message.

    Raises:
        ValueError: it lacks one of the part's methods.
    """
    if not isinstance(spotter, part):
        raise ValueError(f"{type(spotter).__name__} is no {part.__name__} (modeling/spotter_parts.py): {why}.")
    return spotter
