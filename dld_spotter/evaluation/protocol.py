"""What is compared with what, and by which rules: the inputs of every score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

DONT_CARE = "###"
LEXICON_RULES = ("nearest", "limited")


@dataclass(frozen=True)
class Protocol:
    """The rules of one score.

    Attributes:
        iou_threshold: a detection matches a word when their IoU exceeds this; a detection does not count when a
            don't-care region covers more than this share of it.
        word_spotting: score the words that a dictionary could hold, cleaned of punctuation; else all words
            (end-to-end).
        case_sensitive: tell upper from lower case.
        min_word_length: in word spotting, shorter words are don't care.
        score_threshold: detections scored below this do not count.
        lexicon: the name of the list that read words were corrected with, "none" without.
        lexicon_rule: "nearest" (every word becomes the nearest of the list) or "limited" (only within
            ``lexicon_max_distance`` edits).
        lexicon_max_distance: edits, for "limited".
    """

    iou_threshold: float = 0.5
    word_spotting: bool = False
    case_sensitive: bool = False
    min_word_length: int = 3
    score_threshold: float = 0.0
    lexicon: str = "none"
    lexicon_rule: str = "nearest"
    lexicon_max_distance: int = 1

    def __post_init__(self):
        if not 0 <= self.iou_threshold < 1:
            raise ValueError(f"the IoU threshold is {self.iou_threshold}; it must lie in [0, 1), usually 0.5.")
        if self.lexicon_rule not in LEXICON_RULES:
            raise ValueError(f"the lexicon rule is '{self.lexicon_rule}'; use one of {list(LEXICON_RULES)}.")
        if self.min_word_length < 0 or self.lexicon_max_distance < 0:
            raise ValueError(
                f"the minimal word length ({self.min_word_length}) and the lexicon's largest distance "
                f"({self.lexicon_max_distance}) are counts of characters; they cannot be negative."
            )

    @classmethod
    def from_cfg(cls, cfg) -> Protocol:
        """The protocol of TEST.TEXT, end-to-end and without a lexicon."""
        options = cfg.TEST.TEXT
        return cls(
            iou_threshold=options.IOU_THRESHOLD,
            case_sensitive=options.CASE_SENSITIVE,
            score_threshold=options.SCORE_THRESHOLD,
            lexicon_rule=options.LEXICON_RULE,
            lexicon_max_distance=options.LEXICON_MAX_DISTANCE,
        )

    def describe(self) -> str:
        """The rules in one line, to stand beside a number."""
        parts = [f"IoU > {self.iou_threshold:g}", f"score >= {self.score_threshold:g}"]
        parts.append("case-sensitive" if self.case_sensitive else "case-insensitive")
        if self.word_spotting:
            parts.append(f"words of {self.min_word_length}+ letters")
        if self.lexicon != "none":
            limit = f" ({self.lexicon_max_distance} edits)" if self.lexicon_rule == "limited" else ""
            parts.append(f"lexicon {self.lexicon}, {self.lexicon_rule}{limit}")
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class TruthWord:
    """An annotated word: its outline (P, 2) in pixels, its text, and whether it is don't care."""

    polygon: np.ndarray
    text: str
    ignore: bool = False


@dataclass(frozen=True, eq=False)
class ReadWord:
    """A word that a spotter found and read: its outline (P, 2) in pixels, its text, its score in [0, 1]."""

    polygon: np.ndarray
    text: str
    score: float = 1.0


@dataclass(frozen=True)
class ImageWords:
    """The annotated and the read words of one image; ``key`` identifies it (see :func:`icdar.image_key`)."""

    key: str
    truths: Sequence[TruthWord]
    reads: Sequence[ReadWord] = ()

    def counted(self, score_threshold: float) -> ImageWords:
        """Without the read words below the threshold, the others by descending score.

        Words of equal score keep their order, so that a file without scores is taken in file order.
        """
        kept = [word for word in self.reads if word.score >= score_threshold]
        return replace(self, reads=sorted(kept, key=lambda word: -word.score))
