"""What distillation may ask of a text spotter, whatever its architecture.

Shapes: R words over the whole batch, N positions of the context, T decoding steps, V characters and special tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from detectron2.structures import ImageList, Instances
from torch import Tensor

from dld_spotter.data.charset import PAD
from dld_spotter.modeling.recognition.likelihood import step_log_likelihood


@dataclass(frozen=True)
class Reading:
    """What a spotter saw and said when it read the given words.

    Attributes:
        roi: (R, C, rows, columns) features of each word, its background suppressed.
        context: (R, N, D) contextual features after the recurrent layers.
        logits: (R, T, V) scores of the classes at each step. The steps of a decoder that says token after token are
            those of ``target``, which is fed in shifted by one step; those of a CTC decoder are columns of the word.
        target: (R, T) token ids of the text: characters, end, padding.
        valid: rows of ``logits`` that count, (R, T) bool.
        attention: what ``Spotter.attention_maps`` returned, where it was asked.
    """

    roi: Tensor
    context: Tensor
    logits: Tensor
    target: Tensor
    valid: Tensor
    attention: Tensor | None = None

    def words(self, order: Tensor) -> "Reading":
        """The words of these indices, in their order."""
        return Reading(*(None if part is None else part[order] for part in vars(self).values()))


@dataclass(frozen=True)
class Glimpses:
    """What a spotter looked at in each step of a reading, as far as it can tell.

    Attributes:
        features: (R, T, D) what it saw.
        attention: (R, T, N) where, non-negative with the sum 1, or 0 for a word that is not looked at: positions of
            the context, or of the image. None for a spotter that cannot tell.
    """

    features: Tensor
    attention: Tensor | None


@dataclass(frozen=True)
class Pyramid:
    """Feature maps of the detector's neck.

    Attributes:
        features: what ``Spotter.detection_losses`` goes on from.
        levels: maps that can be compared across resolutions: level j has a stride of 2**j.
    """

    features: Mapping[str, Tensor]
    levels: Mapping[int, Tensor]


@dataclass(frozen=True)
class Workload:
    """What an image is taken to hold when costs are counted, so that they do not depend on what a network finds.

    Attributes:
        proposals: regions that the detector looks into; of no meaning to a spotter without proposals.
        words: that are found and read.
        steps: of decoding: the characters of the longest word, and its end.
    """

    proposals: int = 1000
    words: int = 10
    steps: int = 11


class Spotter(ABC):
    """A text spotter that can be a teacher or a student.

    ``images`` are normalised and padded; ``targets`` hold ``gt_boxes``, ``gt_masks`` (WordPolygons), ``gt_classes``,
    ``gt_text`` and ``gt_ignore`` in the pixels of these images, on the spotter's device.

    Attributes:
        cost_parts: what costs are listed by: part -> how the names of its modules begin; the longest match decides.
        reads_full_resolution: whether words of a rescaled batch are read in the batch that it was made of.
    """

    cost_parts: ClassVar[Mapping[str, Sequence[str]]] = {}
    reads_full_resolution = False

    def adapt_weights(self, weights: dict) -> dict:
        """Weights of a checkpoint, by name, as this spotter takes them; those of a relative may be renamed."""
        return weights

    @abstractmethod
    def preprocess_image(self, batched_inputs: list[dict]) -> ImageList:
        """Normalise, pad and batch the images of mapped records."""

    @abstractmethod
    def detection_losses(
        self, images: ImageList, targets: list[Instances], features: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The training pass up to the word features.

        Args:
            features: those of ``pyramid``, if they are there already.

        Returns:
            weighted losses of detection, means over the images; and (R, C, rows, columns) features of the readable
            words of all images, in their order.
        """

    @abstractmethod
    def pool(self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None = None) -> Tensor:
        """(R, C, rows, columns) features of words whose places are given; nothing is detected.

        Args:
            words: one entry an image with the words to read, all of them readable (see ``readable_words``).
            features: those of ``pyramid``, if they are there already.
        """

    @abstractmethod
    def recognize(self, roi: Tensor, target: Tensor) -> Reading:
        """Read word features (R, C, rows, columns) with the tokens of ``target`` (R, T) fed in."""

    @abstractmethod
    def greedy(self, roi: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids (R, T) and scores (R,) of word features (R, C, rows, columns), nothing fed in."""

    @abstractmethod
    def reading_losses(self, reading: Reading) -> dict[str, Tensor]:
        """Weighted losses of a reading against its target. Called once a step: it may ask the other processes."""

    @abstractmethod
    def decode(self, context: Tensor, tokens: Tensor) -> Tensor:
        """(R, T, V) logits over contextual features (R, N, D) with other tokens (R, T) fed in."""

    def log_likelihood(self, log_probs: Tensor, target: Tensor) -> Tensor:
        """(R,) log-probabilities of texts, given the distributions (R, T, V) of a reading's steps.

        Args:
            target: (R, S) token ids.
        """
        return step_log_likelihood(log_probs, target)

    def best_tokens(self, logits: Tensor, valid: Tensor) -> Tensor:
        """(R, S) token ids that logits (R, T, V) say, padding where no step counts; equal for equal texts."""
        return logits.argmax(dim=-1).masked_fill(~valid, PAD)

    def read(self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None = None) -> Reading:
        """Read words whose places are given (see ``pool``), with their own characters fed in."""
        roi = self.pool(images, words) if features is None else self.pool(images, words, features)
        return self.recognize(roi, target_tokens(words))

    @torch.no_grad()
    def read_words(self, batched_inputs: list[dict]) -> list[Tensor]:
        """What is read in the ground-truth places of the readable words, nothing fed in.

        Args:
            batched_inputs: mapped records with ``instances``.

        Returns:
            (N, T) token ids for each image.
        """
        images = self.preprocess_image(batched_inputs)
        words = [w.to(images.tensor.device) for w in readable_words([x["instances"] for x in batched_inputs])]
        return list(self.greedy(self.pool(images, words))[0].split([len(w) for w in words]))

    @abstractmethod
    def spot(self, images: ImageList) -> list[Instances]:
        """Find and read the words of each image; predictions in the pixels of ``images``."""

    @abstractmethod
    def beam_search(self, reading: Reading, width: int) -> tuple[Tensor, Tensor]:
        """The most likely token sequences of each word.

        Returns:
            (R, width, T) token ids and (R, width) log-probabilities, best first.
        """

    def glimpses(self, reading: Reading) -> Glimpses:
        """What was seen in each step of a reading. Only rival distillation losses ask for it.

        Raises:
            ValueError: the spotter has none.
        """
        raise ValueError(
            f"{type(self).__name__} cannot tell what it looks at in each step: set MODEL.DLD.ETA_HINT, "
            "ETA_ATTENTION and ETA_AFFINITY to 0."
        )

    def attention_maps(
        self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None = None
    ) -> Tensor | None:
        """Where the steps of words look in their image, by a spotter that looks before it reads; else None.

        Only the distillation of attention asks for it. Arguments are those of ``pool``.

        Returns:
            (R, T, N) over positions that span each image, whatever its scale; T is the longest word's number of steps.
        """
        return None

    def features_of(self, levels: Mapping[int, Tensor]) -> Mapping[str, Tensor]:
        """What ``detection_losses`` goes on from, made of other maps in the place of ``Pyramid.levels``."""
        raise ValueError(f"{type(self).__name__} has no feature pyramid that could be replaced.")

    def pyramid(self, images: ImageList) -> Pyramid:
        """The feature maps of all levels. Only the distillation of detection asks for them.

        Raises:
            ValueError: the spotter has no pyramid.
        """
        raise ValueError(f"{type(self).__name__} has no feature pyramid: set MODEL.DLD.ETA_PYRAMID to 0.")

    def rehearse(self, images: ImageList, work: Workload) -> None:
        """Run each module as ``spot`` would if every image held ``work``, whatever it shows; for counting.

        Only sizes matter: nothing may depend on a value, so that it also runs on the "meta" device. Training and
        inference do without it.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be counted: it has no rehearse().")


def readable_words(targets: Sequence[Instances]) -> list[Instances]:
    """The words of each image that have a transcription. Call it on the CPU where waiting for the device matters."""
    # As indices, which a device is asked for once; a mask would be turned into them for each field.
    return [words[(words.gt_text[:, 0] != PAD).nonzero().flatten()] for words in targets]


def target_tokens(words: Sequence[Instances]) -> Tensor:
    """(R, T) token ids of all words of a batch; T is the widest image's row, so that no device is asked for it."""
    width = max([1, *(w.gt_text.shape[1] for w in words)])
    rows = [torch.nn.functional.pad(w.gt_text, (0, width - w.gt_text.shape[1]), value=PAD) for w in words]
    return torch.cat(rows)
