"""From the words of all images to precision, recall, hmean and edit distance.

All counts are pooled over the images before any share is taken, as in the ICDAR competitions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace

import numpy as np

from dld_spotter.evaluation.error_breakdown import ErrorBreakdown, break_down_errors
from dld_spotter.evaluation.lexicon import ImageLexicons, Lexicon, look_up
from dld_spotter.evaluation.matching import ComparedWords, MatchedWords, match_images
from dld_spotter.evaluation.protocol import ImageWords, Protocol
from dld_spotter.evaluation.transcription import edit_similarity, fold_case, same_word

TASKS = ("e2e", "word_spotting")
# The benchmarks' own lists hold 96% or more of the words that a list may hold.
LOW_COVERAGE = 0.9
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
        covered: by lexicon, how many of the cared-for words that a list may hold it does hold, and of how many.
        breakdown: where words are lost, whatever the lexicon.
        samples: (annotated, read) texts of the first words that were found, with the first lexicon.
        num_images: how many images were scored.
        num_reads: how many detections they have, those in don't-care regions included.
    """

    num_images: int
    num_reads: int
    scores: dict[str, Score] = field(default_factory=OrderedDict)
    similarities: dict[str, float] = field(default_factory=OrderedDict)
    protocols: dict[str, Protocol] = field(default_factory=OrderedDict)
    samples: list[tuple[str, str]] = field(default_factory=list)
    covered: dict[str, tuple[int, int]] = field(default_factory=OrderedDict)
    breakdown: ErrorBreakdown | None = None

    def warnings(self) -> list[str]:
        """Sentences on lexicons that lack many of the words to be read."""
        return [
            f"the lexicon '{name}' has only {found} of the {words} cared-for words that a list may hold "
            f"({found / words:.1%}); the others cannot be right with it. Is it the list of this data set, and whole?"
            for name, (found, words) in self.covered.items()
            if found < LOW_COVERAGE * words
        ]

    def results(self) -> OrderedDict[str, dict[str, float]]:
        """{task: {metric: fraction in [0, 1]}}, the form that Detectron2's evaluators return."""
        results = OrderedDict((task, score.metrics()) for task, score in self.scores.items())
        for lexicon, similarity in self.similarities.items():
            results[f"ned_{lexicon}"] = {"one_minus_ned": similarity}
        for lexicon, (found, words) in self.covered.items():
            results[f"lexicon_{lexicon}"] = {"coverage": found / words if words else 1.0}
        if self.breakdown is not None:
            results.update(self.breakdown.results())
        return results

    def to_dict(self) -> dict:
        """Everything as plain data for a JSON file."""
        return {
            "images": self.num_images,
            "detections_listed": self.num_reads,
            "results": self.results(),
            "counts": {task: asdict(score) for task, score in self.scores.items()},
            "protocols": {task: asdict(protocol) for task, protocol in self.protocols.items()},
            "breakdown": None if self.breakdown is None else self.breakdown.to_dict(),
        }

    def table(self) -> str:
        """The numbers, with the counts and the protocol beside each."""
        head = ["task", "precision", "recall", "hmean", "correct", "words", "detections", "protocol"]
        rows = [
            [task, f"{s.precision:.4f}", f"{s.recall:.4f}", f"{s.hmean:.4f}", str(s.correct), str(s.truths)]
            + [str(s.detections), self.protocols[task].describe()]
            for task, s in self.scores.items()
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [head, *rows]
        ]
        lines += [
            f"1 - normalised edit distance over the words that were found (lexicon {name}): {value:.4f}"
            for name, value in self.similarities.items()
        ]
        lines += [
            f"The lexicon {name} has {found} of the {words} cared-for words that a list may hold ({found / words:.1%})."
            for name, (found, words) in self.covered.items()
            if words
        ]
        if self.breakdown is not None:
            lines.append(self.breakdown.table())
        return "\n".join([f"{self.num_images} images, {self.num_reads} detections listed", *lines])


def evaluate_words(
    images: Sequence[ImageWords],
    protocol: Protocol,
    lexicons: Mapping[str, Lexicon | ImageLexicons | None],
    tasks: Sequence[str] = TASKS,
) -> Evaluation:
    """Score the read words of a data set: detection, and each task with each lexicon.

    Args:
        images: every image of the ground truth, also those without read words.
        protocol: IoU, case, thresholds and the lexicon rule; lexicon and task are varied here.
        lexicons: word lists by name; None is no correction.
        tasks: "e2e" (end-to-end, and the edit distance), "word_spotting", or both.
    """
    listed = [ComparedWords.of(image.counted(-np.inf)) for image in images]
    counted = [image.keep([word.score >= protocol.score_threshold for word in image.reads]) for image in listed]
    rules = {task: replace(protocol, word_spotting=task == "word_spotting", lexicon="none") for task in TASKS}
    matched = {task: match_images(counted, rules[task]) for task in {"e2e", *tasks}}
    evaluation = Evaluation(len(images), sum(len(image.reads) for image in counted))
    evaluation.protocols["detection"] = rules["e2e"]
    found = sum(len(matching.pairs) for matching in matched["e2e"].matchings)
    evaluation.scores["detection"] = _score(found, matched["e2e"])
    if "e2e" in tasks:
        every = matched["e2e"] if counted == listed else match_images(listed, rules["e2e"])
        evaluation.breakdown = break_down_errors(listed, every, rules["e2e"])
    for name, lexicon in lexicons.items():
        # With its own scores, the rule "likelihood" chooses among all words.
        pool = listed if lexicon is not None and protocol.lexicon_rule == "likelihood" else counted
        texts = _read_texts(pool, lexicon, replace(protocol, lexicon=name))
        if lexicon is not None:
            evaluation.covered[name] = _count_covered(counted, matched["e2e"], lexicon, rules["e2e"])
        by_task = matched
        if pool is listed or any(None in own for own in texts):
            kept = [image.keep([text is not None for text in own]) for image, own in zip(pool, texts, strict=True)]
            texts = [[text for text in own if text is not None] for own in texts]
            by_task = {task: match_images(kept, rules[task]) for task in tasks}
        for task in tasks:
            task_rules = replace(rules[task], lexicon=name)
            pairs = by_task[task].pairs(texts)
            correct = sum(same_word(reference, read, task_rules) for reference, read in pairs)
            evaluation.protocols[f"{task}_{name}"] = task_rules
            evaluation.scores[f"{task}_{name}"] = _score(correct, by_task[task])
            evaluation.samples = evaluation.samples or pairs[:_NUM_SAMPLES]
            if task == "e2e":
                folded = [(fold_case(a, task_rules), fold_case(b, task_rules)) for a, b in pairs]
                evaluation.similarities[name] = edit_similarity(folded)
    return evaluation


def count_images(
    images: Sequence[ImageWords],
    protocol: Protocol,
    lexicons: Mapping[str, Lexicon | ImageLexicons | None],
    tasks: Sequence[str] = TASKS,
) -> dict[str, np.ndarray]:
    """The counts of each image alone, by task; their sums over the images are the scores of ``evaluate_words``.

    Args:
        images, protocol, lexicons, tasks: as ``evaluate_words`` takes them.

    Returns:
        (images, 3) int64 a task: words that were right, words to be found, detections that count.

    Raises:
        ValueError: there are no images.
    """
    if not images:
        raise ValueError("there are no images to count the words of.")
    scores = [evaluate_words([image], protocol, lexicons, tasks).scores for image in images]
    return {task: np.array([astuple(score[task]) for score in scores], dtype=np.int64) for task in scores[0]}


def _score(correct: int, matched: MatchedWords) -> Score:
    return Score(correct, matched.num_truths, matched.num_detections)


def _read_texts(
    images: Sequence[ComparedWords], lexicon: Lexicon | ImageLexicons | None, protocol: Protocol
) -> list[list[str | None]]:
    """The read words of each image, corrected; words of one list are looked up together. None: does not count."""
    texts: list[list[str | None]] = [[word.text for word in image.reads] for image in images]
    if lexicon is None:
        return texts
    places: dict[Lexicon, list[tuple[int, int]]] = {}
    for image_index, image in enumerate(images):
        if image.reads:
            own = lexicon.for_image(image.image.key)
            places.setdefault(own, []).extend((image_index, i) for i in range(len(image.reads)))
    for word_list, found in places.items():
        words = [images[image].reads[word] for image, word in found]
        corrected = look_up(words, word_list, protocol)
        for (image, word), text in zip(found, corrected, strict=True):
            texts[image][word] = text
    return texts


def _count_covered(
    images: Sequence[ComparedWords], matched: MatchedWords, lexicon: Lexicon | ImageLexicons, protocol: Protocol
) -> tuple[int, int]:
    """How many of the cared-for words the images' lists have, and of how many (see ``Lexicon.covers``)."""
    counts = [
        lexicon.covers([word for word in words if word is not None], image.image.key, protocol)
        for image, words in zip(images, matched.references, strict=True)
    ]
    return sum(found for found, _ in counts), sum(words for _, words in counts)
