"""From the words of all images to precision, recall, hmean and edit distance.

All counts are pooled over the images before any share is taken, as in the ICDAR competitions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from dld_spotter.evaluation.lexicon import ImageLexicons, Lexicon, correct_word
from dld_spotter.evaluation.matching import Matching, match_words, measure_overlap
from dld_spotter.evaluation.protocol import ImageWords, Protocol
from dld_spotter.evaluation.transcription import edit_similarity, fold_case, reference_word, same_word

_NUM_SAMPLES = 10


@dataclass(frozen=True)
class Score:
    """Counts over a data set: words that were right, words to be found, detections that count."""

    correct: int
    truths: int
    detections: int

    @property
    def precision(self) -> float:
        return self.correct / self.detections if self.detections else 0.0

    @property
    def recall(self) -> float:
        return self.correct / self.truths if self.truths else 0.0

    @property
    def hmean(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    def metrics(self) -> dict[str, float]:
        return {"precision": self.precision, "recall": self.recall, "hmean": self.hmean}


@dataclass
class Evaluation:
    """All scores of one set of predictions.

    Attributes:
        scores: by task ("detection", "e2e_none", "word_spotting_none", "e2e_strong", ...).
        similarities: 1 - normalised edit distance by lexicon, over the words that were found.
        protocols: the rules of each task.
        samples: (annotated, read) texts of the first words that were found, with the first lexicon.
        num_images: how many images were scored.
    """

    num_images: int
    scores: dict[str, Score] = field(default_factory=OrderedDict)
    similarities: dict[str, float] = field(default_factory=OrderedDict)
    protocols: dict[str, Protocol] = field(default_factory=OrderedDict)
    samples: list[tuple[str, str]] = field(default_factory=list)

    def results(self) -> OrderedDict[str, dict[str, float]]:
        """{task: {metric: fraction in [0, 1]}}, the form that Detectron2's evaluators return."""
        results = OrderedDict((task, score.metrics()) for task, score in self.scores.items())
        for lexicon, similarity in self.similarities.items():
            results[f"ned_{lexicon}"] = {"one_minus_ned": similarity}
        return results

    def to_dict(self) -> dict:
        """Everything as plain data for a JSON file."""
        return {
            "images": self.num_images,
            "results": self.results(),
            "counts": {task: asdict(score) for task, score in self.scores.items()},
            "protocols": {task: asdict(protocol) for task, protocol in self.protocols.items()},
        }

    def table(self) -> str:
        """The numbers, with the counts and the protocol beside each."""
        head = ["task", "precision", "recall", "hmean", "correct", "words", "detections", "protocol"]
        rows = [
            [task, f"{s.precision:.4f}", f"{s.recall:.4f}", f"{s.hmean:.4f}", str(s.correct), str(s.truths)]
            + [str(s.detections), self.protocols[task].describe()]
            for task, s in self.scores.items()
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *rows]]
        lines += [
            f"1 - normalised edit distance over the words that were found (lexicon {name}): {value:.4f}"
            for name, value in self.similarities.items()
        ]
        return "\n".join([f"{self.num_images} images", *lines])


def evaluate_words(
    images: Sequence[ImageWords],
    protocol: Protocol,
    lexicons: Mapping[str, Lexicon | ImageLexicons | None],
) -> Evaluation:
    """Score the read words of a data set: detection, and for each lexicon end-to-end and word spotting.

    Args:
        images: every image of the ground truth, also those without read words.
        protocol: IoU, case, thresholds and the lexicon rule; lexicon and task are varied here.
        lexicons: word lists by name; None is no correction.
    """
    images = [image.counted(protocol.score_threshold) for image in images]
    overlaps = [
        measure_overlap([w.polygon for w in image.truths], [w.polygon for w in image.reads]) for image in images
    ]
    tasks = {}
    for task, word_spotting in (("e2e", False), ("word_spotting", True)):
        rules = replace(protocol, word_spotting=word_spotting, lexicon="none")
        references = [[reference_word(word, rules) for word in image.truths] for image in images]
        matchings = [
            match_words(overlap, np.array([r is None for r in words], dtype=bool), rules.iou_threshold)
            for overlap, words in zip(overlaps, references)
        ]
        tasks[task] = rules, references, matchings
    rules, references, matchings = tasks["e2e"]
    evaluation = Evaluation(len(images))
    evaluation.scores["detection"] = _score(references, matchings, sum(len(m.pairs) for m in matchings))
    evaluation.protocols["detection"] = rules
    for name, lexicon in lexicons.items():
        texts = [_texts(image, lexicon, protocol) for image in images]
        for task, (rules, references, matchings) in tasks.items():
            rules = replace(rules, lexicon=name)
            pairs = _found_pairs(references, matchings, texts)
            correct = sum(same_word(reference, read, rules) for reference, read in pairs)
            evaluation.scores[f"{task}_{name}"] = _score(references, matchings, correct)
            evaluation.protocols[f"{task}_{name}"] = rules
            if task == "e2e":
                folded = [(fold_case(a, rules), fold_case(b, rules)) for a, b in pairs]
                evaluation.similarities[name] = edit_similarity(folded)
                evaluation.samples = evaluation.samples or pairs[:_NUM_SAMPLES]
    return evaluation


def _score(references: Sequence[Sequence[str | None]], matchings: Sequence[Matching], correct: int) -> Score:
    truths = sum(reference is not None for words in references for reference in words)
    return Score(correct, truths, sum(int((~matching.ignored).sum()) for matching in matchings))


def _texts(image: ImageWords, lexicon: Lexicon | ImageLexicons | None, protocol: Protocol) -> list[str]:
    """The read words of an image, corrected."""
    if lexicon is None or not image.reads:
        return [word.text for word in image.reads]
    words = lexicon.for_image(image.key)
    return [correct_word(word.text, words, protocol) for word in image.reads]


def _found_pairs(references, matchings: Sequence[Matching], texts: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """(reference, read) texts of all words that were found."""
    return [
        (words[truth], read[detection])
        for words, matching, read in zip(references, matchings, texts)
        for truth, detection in matching.pairs.tolist()
    ]
