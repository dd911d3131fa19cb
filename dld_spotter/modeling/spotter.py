"""What distillation asks of a text spotter, whatever its architecture; ``spotter_parts.py`` has what only some offer.

Shapes: R words over the whole batch, N positions of the context, T decoding steps, V characters and special tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from detectron2.structures import ImageList, Instances
from torch import Tensor, nn

from dld_spotter.data.charset import PAD
from dld_spotter.modeling.recognition.likelihood import step_log_likelihood


@dataclass(frozen=True)
class RecognitionOutput:
    """What the recogniser makes of given words, with the tokens of a target fed in.

    Attributes:
        roi: (R, C, rows, columns) features of each word, its background suppressed.
        context: (R, N, D) contextual features after the recurrent layers.
        logits: (R, T, V) scores of the classes at each step. The steps of a decoder that emits token after token are
            those of ``target``, which is fed in shifted by one step; those of a CTC decoder are columns of the word.
        target: (R, T) token ids of the text: characters, end, padding.
        valid: rows of ``logits`` that count, (R, T) bool.
        attention: what ``AttentionMapSpotter.attention_maps`` returned, where it was asked.
    """

    roi: Tensor
    context: Tensor
    logits: Tensor
    target: Tensor
    valid: Tensor
    attention: Tensor | None = None

    def words(self, order: Tensor) -> "RecognitionOutput":
        """The words of these indices, in their order."""
        return RecognitionOutput(
            self.roi[order],
            self.context[order],
            self.logits[order],
            self.target[order],
            self.valid[order],
            None if self.attention is None else self.attention[order],
        )


class Spotter(nn.Module, ABC):
    """A text spotter that can be a teacher or a student.

    ``images`` are normalised and padded; ``targets`` hold ``gt_boxes``, ``gt_masks`` (WordPolygons), ``gt_classes``,
    ``gt_text`` and ``gt_ignore`` in the pixels of these images, on the spotter's device.

    """

    @property
    def full_resolution_option(self) -> str:
        """The config key by which words of a rescaled batch are recognised in the batch that it was made of.

        Recognition in given places does not depend on the scale then. "" where it does.
        """
        return ""

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
            images: normalised and padded.
            targets: of each image.
            features: those of ``PyramidSpotter.pyramid`` or ``DetectionOutputSpotter.detector_features``, if they are
                there already.

        Returns:
            weighted losses of detection, means over the images; and (R, C, rows, columns) features of the readable
            words of all images, in their order.
        """

    @abstractmethod
    def pool(self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None = None) -> Tensor:
        """(R, C, rows, columns) features of words whose places are given; nothing is detected.

        Args:
            images: normalised and padded.
            words: one entry an image with the words to recognise, all of them readable (see ``readable_words``).
            features: those of ``PyramidSpotter.pyramid``, if they are there already.
        """

    @abstractmethod
    def recognize(self, roi: Tensor, target: Tensor) -> RecognitionOutput:
        """Recognise word features (R, C, rows, columns) with the tokens of ``target`` (R, T) fed in."""

    @abstractmethod
    def greedy(self, roi: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids (R, T) and scores (R,) of word features (R, C, rows, columns), nothing fed in."""

    @abstractmethod
    def recognition_losses(self, output: RecognitionOutput) -> dict[str, Tensor]:
        """Weighted losses of an output against its target. Called once a step: it may ask the other processes."""

    @abstractmethod
    def decode(self, context: Tensor, tokens: Tensor) -> Tensor:
        """(R, T, V) logits over contextual features (R, N, D) with other tokens (R, T) fed in."""

    def log_likelihood(self, log_probs: Tensor, target: Tensor) -> Tensor:
        """(R,) log-probabilities of texts, given the distributions (R, T, V) of the steps.

        Texts are token ids (R, S).
        """
        return step_log_likelihood(log_probs, target)

    def best_tokens(self, logits: Tensor, valid: Tensor) -> Tensor:
        """(R, S) likeliest token ids by logits (R, T, V), padding where no step counts; equal for equal texts."""
        return logits.argmax(dim=-1).masked_fill(~valid, PAD)

    def read(
        self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None = None
    ) -> RecognitionOutput:
        """Recognise words whose places are given (see ``pool``), with their own characters fed in."""
        return self.recognize(self.pool(images, words, features), target_tokens(words))

    @torch.no_grad()
    def read_words(self, batched_inputs: list[dict]) -> list[Tensor]:
        """What is recognised in the ground-truth places of the readable words, nothing fed in.

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
        """Detect and recognise the words of each image; predictions in the pixels of ``images``."""

    @abstractmethod
    def beam_search(self, output: RecognitionOutput, width: int) -> tuple[Tensor, Tensor]:
        """The most likely token sequences of each word.

        Returns:
            (R, width, T) token ids and (R, width) log-probabilities, best first.
        """


def readable_words(targets: Sequence[Instances]) -> list[Instances]:
    """The words of each image that have a transcription. Call it on the CPU where waiting for the device matters."""
    # As indices, which a device is asked for once; a mask would be turned into them for each field.
    return [words[(words.gt_text[:, 0] != PAD).nonzero().flatten()] for words in targets]


def target_tokens(words: Sequence[Instances]) -> Tensor:
    """(R, T) token ids of all words of a batch; T is the widest image's row, so that no device is asked for it."""
    width = max([1, *(w.gt_text.shape[1] for w in words)])
    rows = [torch.nn.functional.pad(w.gt_text, (0, width - w.gt_text.shape[1]), value=PAD) for w in words]
    return torch.cat(rows)
