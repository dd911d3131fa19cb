"""What the score of a word is worth: the share of words with such a score that are found and read right.

A model's map from scores to this confidence lies beside its weights, in calibration.json. ``evaluation.calibration``
fits it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "calibration.json"
EDGE = 1e-4  # scores nearer to 0 or 1 count as this near: records hold four digits


@dataclass(frozen=True)
class Calibration:
    """confidence = 1 / (1 + exp(-(slope * logit(score) + intercept))), logit(score) = log(score / (1 - score)).

    Attributes:
        slope: above 0, so that a higher score is a higher confidence.
        intercept: of the same.
        powers: TEST.TEXT.SCORE_POWERS of the scores that it is for.
        words: how many words it was fitted to.
    """

    slope: float
    intercept: float
    powers: tuple[float, ...]
    words: int = 0

    def __post_init__(self) -> None:
        """Raises:
        ValueError: no finite numbers, or a slope of 0 or less.
        """
        if not self.slope > 0 or not all(map(math.isfinite, (self.slope, self.intercept, *self.powers))):
            raise ValueError(
                f"slope {self.slope} and intercept {self.intercept} make no calibration: scores say nothing of which "
                "words are right."
            )

    def confidence(self, score: float) -> float:
        """Of a word with a score in [0, 1]."""
        return 1 / (1 + math.exp(-(self.slope * _logit(score) + self.intercept)))

    def least_score(self, confidence: float) -> float:
        """The score from which on words are so sure.

        Args:
            confidence: in [0, 1].

        Raises:
            ValueError: it lies outside, or no score is so sure.
        """
        if not 0 <= confidence <= 1:
            raise ValueError(f"the least confidence is {confidence}; it must lie in [0, 1].")
        if confidence <= self.confidence(0):
            return 0.0
        if confidence > self.confidence(1):
            raise ValueError(f"no word has a confidence of {confidence}; the highest is {self.confidence(1):.4f}.")
        if confidence == self.confidence(1):
            return 1 - EDGE
        return 1 / (1 + math.exp(-(math.log(confidence / (1 - confidence)) - self.intercept) / self.slope))

    def write(self, folder: Path) -> Path:
        """Write it into the folder of a model; the path of the file."""
        path = folder / FILE
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def read(cls, folder: Path, powers: Sequence[float]) -> Calibration | None:
        """That of the model in a folder; None where it has none for scores of these powers.

        Raises:
            ValueError: the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found = cls(
                float(content["slope"]),
                float(content["intercept"]),
                tuple(map(float, content["powers"])),
                int(content["words"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{path} is damaged ({type(error).__name__}: {error}); fit it again with `dld-spotter evaluate "
                "--fit-calibration`."
            ) from error
        return found if found.powers == tuple(map(float, powers)) else None


@dataclass(frozen=True)
class Thresholds:
    """What a word must reach to be given; None leaves it to the model.

    Attributes:
        detection: the least ``det_score``, in place of MODEL.ROI_HEADS.SCORE_THRESH_TEST.
        confidence: the least confidence, in place of TEST.TEXT.SCORE_THRESHOLD.
    """

    detection: float | None = None
    confidence: float | None = None

    def least_score(self, calibration: Calibration | None) -> float | None:
        """The score threshold that ``confidence`` means; None where it is not set.

        Raises:
            ValueError: the model has no calibration, or no score is so sure.
        """
        if self.confidence is None:
            return None
        if calibration is None:
            raise ValueError(
                f"a least confidence needs a model with {FILE} beside its weights, for its TEST.TEXT.SCORE_POWERS: "
                "make one with `dld-spotter evaluate --fit-calibration`, or set TEST.TEXT.SCORE_THRESHOLD."
            )
        return calibration.least_score(self.confidence)


def _logit(score: float) -> float:
    inside = min(max(score, EDGE), 1 - EDGE)
    return math.log(inside / (1 - inside))
