"""From the words of all images to precision, recall, hmean and edit distance.

All counts are pooled over the images before any share is taken, as in the ICDAR competitions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace

import numpy as np

from dld_spotter.evaluation.lexicon import ImageLexicons, Lexicon, correct_words
from dld_spotter.evaluation.matching import Matching, Overlap, match_words, measure_overlap
from dld_spotter.evaluation.protocol import ImageWords, Protocol
from dld_spotter.evaluation.transcription import edit_similarity, fold_case, reference_word, same_word

TASKS = ("e2e", "word_spotting")
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
        num_reads: how many detections they have, those in don't-care regions included.
    """

    num_images: int
    num_reads: int
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
            "detections_listed": self.num_reads,
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
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [head, *rows]
        ]
        lines += [
            f"1 - normalised edit distance over the words that were found (lexicon {name}): {value:.4f}"
            for name, value in self.similarities.items()
        ]
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
    images = [image.counted(protocol.score_threshold) for image in images]
    overlaps = [
        measure_overlap([w.polygon for w in image.truths], [w.polygon for w in image.reads]) for image in images
    ]
    rules = {task: replace(protocol, word_spotting=task == "word_spotting", lexicon="none") for task in TASKS}
    matched = {task: _match(images, overlaps, rules[task]) for task in {"e2e", *tasks}}
    evaluation = Evaluation(len(images), sum(len(image.reads) for image in images))
    evaluation.protocols["detection"] = rules["e2e"]
    evaluation.scores["detection"] = matched["e2e"].score(sum(len(m.pairs) for m in matched["e2e"].matchings))
    for name, lexicon in lexicons.items():
        texts = _read_texts(images, lexicon, protocol)
        for task in tasks:
            task_rules = replace(rules[task], lexicon=name)
            pairs = matched[task].pairs(texts)
            correct = sum(same_word(reference, read, task_rules) for reference, read in pairs)
            evaluation.protocols[f"{task}_{name}"] = task_rules
            evaluation.scores[f"{task}_{name}"] = matched[task].score(correct)
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


@dataclass(frozen=True)
class _Matched:
    """What every image's words should be read as (None: don't care), and which detection found which."""

    references: list[list[str | None]]
    matchings: list[Matching]

    def score(self, correct: int) -> Score:
        truths = sum(reference is not None for words in self.references for reference in words)
        return Score(correct, truths, sum(int((~matching.ignored).sum()) for matching in self.matchings))

    def pairs(self, texts: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
        """(reference, read) texts of all words that were found; ``texts`` are the read ones of each image."""
        return [
            (words[truth], read[detection])
            for words, matching, read in zip(self.references, self.matchings, texts, strict=True)
            for truth, detection in matching.pairs.tolist()
        ]


def _match(images: Sequence[ImageWords], overlaps: Sequence[Overlap], protocol: Protocol) -> _Matched:
    references = [[reference_word(word, protocol) for word in image.truths] for image in images]
    dont_care = [np.array([reference is None for reference in words], dtype=bool) for words in references]
    matchings = [match_words(o, d, protocol.iou_threshold) for o, d in zip(overlaps, dont_care, strict=True)]
    return _Matched(references, matchings)


def _read_texts(
    images: Sequence[ImageWords], lexicon: Lexicon | ImageLexicons | None, protocol: Protocol
) -> list[list[str]]:
    """The read words of each image, corrected; words of one list are looked up together."""
    texts = [[word.text for word in image.reads] for image in images]
    if lexicon is None:
        return texts
    places: dict[Lexicon, list[tuple[int, int]]] = {}
    for image_index, image in enumerate(images):
        if image.reads:
            places.setdefault(lexicon.for_image(image.key), []).extend(
                (image_index, i) for i in range(len(image.reads))
            )
    for word_list, found in places.items():
        corrected = correct_words([texts[image][word] for image, word in found], word_list, protocol)
        for (image, word), text in zip(found, corrected, strict=True):
            texts[image][word] = text
    return texts
