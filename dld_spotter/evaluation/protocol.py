"""What is compared with what, and by which rules: the inputs of every score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dld_spotter.data.word_lists import normalize_text

DONT_CARE = "###"
LEXICON_RULES = ("nearest", "limited", "weighted", "likelihood")
WEIGHTED_REACH = 1.5  # edits
# Of the rule "likelihood". In a list that is not complete, a word is not taken for what was read if it is so much less
# likely (natural logarithm). Chosen on 100 training photos of ICDAR 2015 (901 to 1000), as are the powers and the
# threshold.
OPEN_LIST_MARGIN = 3.0
OPEN_LIST_SCORE = 0.6  # and its word needs this score at least
LIKELIHOOD_POWERS = 0.59, 0.41  # of the scores of detection and of the word of the list
LIKELIHOOD_SCORE = 0.37  # a word of the list needs this at least

CharacterScores = Sequence[Mapping[str, float]]


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
        lexicon_rule: "nearest" (every word becomes the nearest of the list), "limited" (only within
            ``lexicon_max_distance`` edits), or "weighted" (the nearest by the weighted edit distance of
            :mod:`weighted_distance`; unless "generic" is in the lexicon's name, a detection whose word is
            WEIGHTED_REACH edits or more from the list does not count), or "likelihood" (the word of the list that the
            recogniser takes for likeliest, see :mod:`lexicon_likelihood`; if "generic" is in the lexicon's name, the
            list is not taken for complete: what was read stays where it is much likelier).
        lexicon_max_distance: edits, for "limited".
        lexicon_score_threshold: for "likelihood", in the place of ``score_threshold`` for words that become one of the
            list: of det**a * word**b with the probability of the word, a character's on average, and LIKELIHOOD_POWERS.
    """

    iou_threshold: float = 0.5
    word_spotting: bool = False
    case_sensitive: bool = False
    min_word_length: int = 3
    score_threshold: float = 0.0
    lexicon: str = "none"
    lexicon_rule: str = "nearest"
    lexicon_max_distance: int = 1
    lexicon_score_threshold: float = LIKELIHOOD_SCORE

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
    def from_cfg(cls, cfg: Any) -> Protocol:
        """The protocol of TEST.TEXT, end-to-end and without a lexicon."""
        options = cfg.TEST.TEXT
        return cls(
            iou_threshold=options.IOU_THRESHOLD,
            case_sensitive=options.CASE_SENSITIVE,
            score_threshold=options.SCORE_THRESHOLD,
            lexicon_rule=options.LEXICON_RULE,
            lexicon_max_distance=options.LEXICON_MAX_DISTANCE,
        )

    @property
    def lexicon_is_complete(self) -> bool:
        """Whether every word that counts is taken to be in the list."""
        return "generic" not in self.lexicon.lower()

    @property
    def lexicon_filters(self) -> bool:
        """Whether detections whose words are far from the list do not count."""
        return self.lexicon_rule == "weighted" and self.lexicon_is_complete

    def describe(self) -> str:
        """The rules in one line, to stand beside a number."""
        parts = [f"IoU > {self.iou_threshold:g}", f"score >= {self.score_threshold:g}"]
        parts.append("case-sensitive" if self.case_sensitive else "case-insensitive")
        if self.word_spotting:
            parts.append(f"words of {self.min_word_length}+ letters")
        if self.lexicon != "none":
            limit = f" ({self.lexicon_max_distance} edits)" if self.lexicon_rule == "limited" else ""
            limit = f" (< {WEIGHTED_REACH:g} edits)" if self.lexicon_filters else limit
            parts.append(f"lexicon {self.lexicon}, {self.lexicon_rule}{limit}")
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class TruthWord:
    """An annotated word: its outline (P, 2) in pixels, its text (normalised), and whether it is don't care."""

    polygon: np.ndarray
    text: str
    ignore: bool = False

    def __post_init__(self):
        object.__setattr__(self, "text", normalize_text(self.text))


@dataclass(frozen=True, eq=False)
class ReadWord:
    """A word that a spotter found and read.

    Attributes:
        polygon: (P, 2) outline in pixels.
        text: what it says (normalised).
        score: in [0, 1].
        character_scores: for each character of the text the probabilities of the characters that may stand there,
            the read one among them; None where they are not known. Only the lexicon rule "weighted" asks for them.
        columns: for each column of a CTC recogniser the probabilities of its likeliest characters, "" for none; None
            where they are not known. Only the lexicon rule "likelihood" asks for them.
        det_score: in [0, 1], of detection alone; None where it is not known.
        confidence: the share of words with such a score that are right; None where it is not known.
    """

    polygon: np.ndarray
    text: str
    score: float = 1.0
    character_scores: CharacterScores | None = None
    columns: CharacterScores | None = None
    det_score: float | None = None
    confidence: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "text", normalize_text(self.text))


@dataclass(frozen=True)
class ImageWords:
    """The annotated and the read words of one image.

    Attributes:
        key: identifies the image (see :func:`icdar.image_keys`).
        size: height and width of the photo in pixels, where they are known.
    """

    key: str
    truths: Sequence[TruthWord]
    reads: Sequence[ReadWord] = ()
    size: tuple[int, int] | None = None

    def counted(self, score_threshold: float) -> ImageWords:
        """Without the read words below the threshold, the others by descending score.

        Words of equal score keep their order, so that a file without scores is taken in file order.
        """
        kept = [word for word in self.reads if word.score >= score_threshold]
        return replace(self, reads=sorted(kept, key=lambda word: -word.score))
