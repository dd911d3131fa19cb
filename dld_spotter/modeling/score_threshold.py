"""How sure a spotter is of a word, and the score threshold: it acts here, once, for every user of a model.

Shapes: N predictions of one image.
"""

from dataclasses import dataclass

from detectron2.config import CfgNode
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Instances
from torch import Tensor

from dld_spotter.data.charset import END, PAD

# A detection that is nearly sure enough is recognised: the bound below is inexact in its last digits.
SLACK = 1e-5


@dataclass(frozen=True)
class WordScoring:
    """Combines the scores of detection and recognition: det_score**a * text_score**b.

    Attributes:
        threshold: words whose combined score is lower are left out.
        powers: a and b, not negative; (1, 1) is the product, (0.5, 0.5) the geometric mean. With a b of 0, what is
            recognised does not decide what counts as a word.
    """

    threshold: float = 0.0
    powers: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "WordScoring":
        """As TEST.TEXT.SCORE_THRESHOLD and TEST.TEXT.SCORE_POWERS say.

        Raises:
            ValueError: powers that are not two, or negative.
        """
        powers = tuple(float(power) for power in cfg.TEST.TEXT.SCORE_POWERS)
        if len(powers) != 2 or min(powers) < 0:
            raise ValueError(
                f"TEST.TEXT.SCORE_POWERS is {powers}; give two numbers, 0 or more: for the score of detection and that "
                "of recognition."
            )
        return cls(float(cfg.TEST.TEXT.SCORE_THRESHOLD), powers)

    def combine(self, det_scores: Tensor, text_scores: Tensor) -> Tensor:
        """(N,) combined scores of (N,) scores in [0, 1]."""
        return det_scores.float() ** self.powers[0] * text_scores.float() ** self.powers[1]

    @property
    def least_det_score(self) -> float:
        """What a detection must score at least for its word to be kept, however sure its text is."""
        if self.powers[0] == 0 or self.threshold <= 0:
            return 0.0
        return self.threshold ** (1 / self.powers[0]) * (1 - SLACK)

    def worth_recognising(self, found: Instances) -> Instances:
        """Those detections, with ``scores``, whose words may be kept."""
        least = self.least_det_score
        return found[found.scores >= least] if least > 0 else found

    def finish(self, found: Instances, record: dict, network_size: tuple[int, int]) -> Instances:
        """Predictions as a user gets them: with ``pred_word_scores``, in the pixels of the original image.

        Words below the threshold are left out, and, unless b is 0, those recognised as the empty text.

        Args:
            found: with ``scores``, ``pred_text`` (N, T) and ``pred_text_scores``, in the network's pixels.
            record: the model's input; its "height" and "width" are the original's.
            network_size: height and width where the record has none.
        """
        found.pred_word_scores = self.combine(found.scores, found.pred_text_scores)
        kept = found.pred_word_scores >= self.threshold
        if self.powers[1] > 0:
            first = found.pred_text[:, 0]
            kept &= (first != END) & (first != PAD)
        height, width = record.get("height", network_size[0]), record.get("width", network_size[1])
        return detector_postprocess(found[kept], height, width)
