"""What spotters share whose recogniser is one of ``ROI_TEXT_HEAD_REGISTRY``: they delegate recognition to it."""

from abc import abstractmethod

from torch import Tensor

from dld_spotter.modeling.recognition.roi_feature_recogniser import AttentionTextHead
from dld_spotter.modeling.spotter import RecognitionOutput, Spotter
from dld_spotter.modeling.spotter_parts import AttentionTrace


class TextHeadSpotter(Spotter):
    """A spotter with a text head."""

    @abstractmethod
    def recogniser(self) -> AttentionTextHead:
        """The text head."""

    @property
    def full_resolution_option(self) -> str:
        """See ``Spotter``."""
        return self.recogniser().full_resolution_option

    def recognize(self, roi: Tensor, target: Tensor) -> RecognitionOutput:
        """See ``Spotter.recognize``."""
        return self.recogniser().recognize(roi, target)

    def greedy(self, roi: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Spotter.greedy``."""
        return self.recogniser().greedy(roi)

    def recognition_losses(self, output: RecognitionOutput) -> dict[str, Tensor]:
        """See ``Spotter.recognition_losses``."""
        return self.recogniser().losses(output)

    def decode(self, context: Tensor, tokens: Tensor) -> Tensor:
        """See ``Spotter.decode``."""
        return self.recogniser().decoder(context, tokens)

    def log_likelihood(self, log_probs: Tensor, target: Tensor) -> Tensor:
        """See ``Spotter.log_likelihood``."""
        return self.recogniser().decoder.log_likelihood(log_probs, target)

    def best_tokens(self, logits: Tensor, valid: Tensor) -> Tensor:
        """See ``Spotter.best_tokens``."""
        return self.recogniser().decoder.best_tokens(logits, valid)

    def beam_search(self, output: RecognitionOutput, width: int) -> tuple[Tensor, Tensor]:
        """See ``Spotter.beam_search``."""
        return self.recogniser().beam_search(output, width)

    def attention_trace(self, output: RecognitionOutput) -> AttentionTrace:
        """See ``AttentionTraceSpotter``."""
        return self.recogniser().attention_trace(output)
