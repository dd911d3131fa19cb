"""Table A3: the shares of words that two methods read right or wrong; and which words of an image each of them did."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from comparison_figures import Measured

from dld_spotter.evaluation.bootstrap import Estimate, estimate, resample_images
from dld_spotter.evaluation.matching import ComparedWords, match_images
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord
from dld_spotter.evaluation.transcription import same_word

# (first method, second method)
SHARES = (("right", "right"), ("right", "wrong"), ("wrong", "right"), ("wrong", "wrong"))
PAPER = {
    "ICDAR 2013": (78.08, 2.51, 3.49, 15.92),
    "ICDAR 2015": (62.93, 2.16, 4.72, 30.19),
    "Total-Text": (64.79, 1.94, 4.74, 28.53),
}


@dataclass(frozen=True)
class JudgedImage:
    """The words of one image as the end-to-end score without a lexicon sees them.

    Attributes:
        reads: detections that count, by descending score.
        verdicts: of each of them: True (right), False (wrong), None (in a don't-care region).
        right: of each annotated word: True, False (not found or misread), None (don't care).
    """

    reads: list[ReadWord]
    verdicts: list[bool | None]
    right: list[bool | None]


def judge(image: ImageWords, protocol: Protocol) -> JudgedImage:
    """Which words of an image are right. The rules are those of the score, so that the counts agree with it."""
    compared = ComparedWords.of(image.counted(protocol.score_threshold))
    matched = match_images([compared], protocol)
    (references,), (matching,) = matched.references, matched.matchings
    verdicts: list[bool | None] = [None if ignored else False for ignored in matching.ignored]
    right: list[bool | None] = [None if reference is None else False for reference in references]
    for truth, detection in matching.pairs.tolist():
        correct = same_word(references[truth] or "", compared.reads[detection].text, protocol)
        verdicts[detection] = right[truth] = correct
    return JudgedImage(list(compared.reads), verdicts, right)


def share_parts(first: Sequence[ImageWords], second: Sequence[ImageWords], protocol: Protocol) -> np.ndarray:
    """(4, I, 2) how many cared-for words of each image are of each kind of ``SHARES``, and how many there are.

    Both methods are given as the same images in the same order.
    """
    counts = []
    for one, other in zip(first, second, strict=True):
        pairs = list(zip(judge(one, protocol).right, judge(other, protocol).right, strict=True))
        words = [tuple("right" if right else "wrong" for right in pair) for pair in pairs if None not in pair]
        counts.append([[words.count(kind), len(words)] for kind in SHARES])
    return np.array(counts, dtype=np.int64).reshape(-1, len(SHARES), 2).swapaxes(0, 1)


def failure_shares(
    first: Measured, second: Measured, protocol: Protocol, resamples: int, seed: int
) -> dict[tuple[str, str], Estimate]:
    """The share of the cared-for words of each kind of ``SHARES``, with intervals over the images."""
    draws = resample_images(len(first.images), resamples, seed)
    parts = share_parts(first.images, second.images, protocol)
    return {kind: estimate([own], draws) for kind, own in zip(SHARES, parts, strict=True)}
