"""Scores of a spotter: pure functions, and the evaluator that feeds them.

What needs Detectron2 is imported when it is first asked for, so that scoring a saved file does not load it.
"""

from typing import TYPE_CHECKING

from dld_spotter.evaluation.ground_truth import GroundTruth, read_ground_truth
from dld_spotter.evaluation.lexicon import Lexicon, load_lexicon
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord, TruthWord
from dld_spotter.evaluation.scoring import Evaluation, Score, evaluate_words
from dld_spotter.evaluation.submission import read_predictions, write_results, write_submission

if TYPE_CHECKING:
    from dld_spotter.evaluation.recognition import evaluate_recognition
    from dld_spotter.evaluation.text_evaluator import TextEvaluator


def __getattr__(name: str) -> object:
    if name == "TextEvaluator":
        from dld_spotter.evaluation.text_evaluator import TextEvaluator

        return TextEvaluator
    if name == "evaluate_recognition":
        from dld_spotter.evaluation.recognition import evaluate_recognition

        return evaluate_recognition
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
