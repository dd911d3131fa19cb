"""How far scores are shares of right words, and the map that makes them so.

A word that was read is right if it is found (IoU above the protocol's) and read right; words that a don't-care region
covers do not count.

Shapes: I images, W words that were read and count, G groups of words, R resamples of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dld_spotter.calibration import EDGE, Calibration
from dld_spotter.evaluation.bootstrap import Estimate, resample_images, to_estimate
from dld_spotter.evaluation.matching import ComparedWords, match_images
from dld_spotter.evaluation.protocol import ImageWords, Protocol
from dld_spotter.evaluation.transcription import same_word

GROUPS = 10
_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class JudgedWords:
    """What was read of I images.

    Attributes:
        images: I.
        image: (W,) int, which image a word is of.
        scores: (W,) in [0, 1].
        confidences: (W,) in [0, 1]; None unless every word has one.
        right: (W,) bool.
    """

    images: int
    image: np.ndarray
    scores: np.ndarray
    confidences: np.ndarray | None
    right: np.ndarray


def judge_words(images: Sequence[ImageWords], protocol: Protocol) -> JudgedWords:
    """Which of the words that were read are right, by end-to-end rules and without a lexicon.

    Raises:
        ValueError: no word counts.
    """
    compared = [ComparedWords.of(image.counted(protocol.score_threshold)) for image in images]
    matched = match_images(compared, protocol)
    rows = []
    for index, (image, references, matching) in enumerate(
        zip(compared, matched.references, matched.matchings, strict=True)
    ):
        found = {detection: references[word] for word, detection in matching.pairs.tolist()}
        for detection in np.flatnonzero(~matching.ignored).tolist():
            word, reference = image.reads[detection], found.get(detection)
            right = reference is not None and same_word(reference, word.text, protocol)
            rows.append((index, word.score, np.nan if word.confidence is None else word.confidence, right))
    if not rows:
        raise ValueError("no word was read that counts: there is nothing to calibrate.")
    image_of, scores, confidences, right = np.array(rows, dtype=np.float64).T
    known = None if np.isnan(confidences).any() else confidences
    return JudgedWords(len(images), image_of.astype(np.int64), scores, known, right.astype(bool))


def fit_calibration(scores: np.ndarray, right: np.ndarray, powers: Sequence[float]) -> Calibration:
    """The likeliest slope and intercept, by Newton's method (Platt, "Probabilistic outputs for support vector
    machines", 1999).

    As there, the targets are (r + 1) / (r + 2) for the r right words and 1 / (w + 2) for the w wrong ones, so that a
    score that tells them apart without fail has a finite slope.

    Args:
        scores: (W,) in [0, 1].
        right: (W,) bool.
        powers: TEST.TEXT.SCORE_POWERS of the scores.

    Raises:
        ValueError: all words are right, or all wrong, or higher scores are not surer.
    """
    if not 0 < right.sum() < len(right):
        raise ValueError(f"{right.sum()} of {len(right)} words are right; both right and wrong ones are needed.")
    inside = np.clip(scores.astype(np.float64), EDGE, 1 - EDGE)
    inputs = np.stack([np.log(inside / (1 - inside)), np.ones(len(inside))], axis=1)
    targets = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))

    def loss(values: np.ndarray) -> float:
        outputs = inputs @ values
        return float((np.logaddexp(0, outputs) - targets * outputs).sum())

    values = np.array([0.0, np.log(right.mean() / (1 - right.mean()))])
    for _ in range(_ROUNDS):
        share = 1 / (1 + np.exp(-inputs @ values))
        gradient = inputs.T @ (share - targets)
        curvature = inputs.T @ (inputs * (share * (1 - share))[:, None]) + 1e-9 * np.eye(2)
        step, size = np.linalg.solve(curvature, gradient), 1.0
        while loss(values - size * step) > loss(values) and size > 1e-6:
            size /= 2
        values = values - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    return Calibration(round(float(values[0]), 6), round(float(values[1]), 6), tuple(powers), len(right))


@dataclass(frozen=True)
class Reliability:
    """Words in groups of almost equal size, by what is said of them.

    Attributes:
        said: (G,) mean of what is said of a group's words.
        right: G shares of its words that are right, with their intervals over the images.
        error: the expected calibration error, see ``reliability``.
    """

    said: np.ndarray
    right: Sequence[Estimate]
    error: Estimate


def reliability(words: JudgedWords, said: np.ndarray, groups: int = GROUPS) -> Reliability:
    """How far what is said of words (W,) is the share of them that are right.

    The expected calibration error is the mean over all words of |mean said - share right| of a word's group
    (Guo et al., "On calibration of modern neural networks", 2017, with groups of equal size). In each resample the
    groups keep their words. The shares of small groups differ by chance, so that even true probabilities have an error
    above 0.
    """
    groups = min(groups, len(said))
    members = np.array_split(np.argsort(said, kind="stable"), groups)
    group = np.empty(len(said), dtype=np.int64)
    for index, own in enumerate(members):
        group[own] = index
    shape = words.images, groups
    counts, rights, sums = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for table, values in ((counts, 1.0), (rights, words.right), (sums, said)):
        np.add.at(table, (words.image, group), values)
    draws = resample_images(words.images)
    drawn, right, total = (np.vstack([table.sum(axis=0), draws @ table]) for table in (counts, rights, sums))
    errors = np.abs(right - total).sum(axis=1) / np.maximum(drawn.sum(axis=1), 1)
    shares = np.divide(right, drawn, out=np.zeros_like(right), where=drawn > 0)
    return Reliability(
        total[0] / drawn[0],
        [to_estimate(column[0], column[1:]) for column in shares.T],
        to_estimate(errors[0], errors[1:]),
    )


def describe(words: JudgedWords) -> dict[str, Reliability]:
    """The reliability of the score, and of the confidence where there is one."""
    said = {"score": words.scores, "confidence": words.confidences}
    return {name: reliability(words, values) for name, values in said.items() if values is not None}
