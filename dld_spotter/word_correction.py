"""Words that were read, as a lexicon has them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from dld_spotter.evaluation import protocol as scoring
from dld_spotter.evaluation.lexicon import ImageLexicons, Lexicon, load_lexicon, look_up
from dld_spotter.results import Word

LexiconLike = str | os.PathLike | Iterable[str] | Lexicon | ImageLexicons | None


def as_lexicon(lexicon: LexiconLike) -> Lexicon | ImageLexicons | None:
    """A lexicon of what ``TextPredictor.stream`` takes as one.

    Raises:
        FileNotFoundError, ValueError: the file is not there, or holds no words.
    """
    if lexicon is None or isinstance(lexicon, (Lexicon, ImageLexicons)):
        return lexicon
    return load_lexicon(os.fspath(lexicon)) if isinstance(lexicon, (str, os.PathLike)) else Lexicon(lexicon)


def corrected(words: Sequence[Word], lexicon: Lexicon, protocol: scoring.Protocol) -> list[Word]:
    """The words as the lexicon has them. Those that are too far from it stay as they were read; but with the rule
    "likelihood" those that are not sure enough are left out."""
    reads = [
        scoring.ReadWord(np.array(word.polygon), word.text, word.score, columns=word.columns, det_score=word.det_score)
        for word in words
    ]
    found = zip(words, look_up(reads, lexicon, protocol), strict=True)
    dropped = protocol.lexicon_rule == "likelihood"
    return [replace(word, text=text or word.text) for word, text in found if text is not None or not dropped]
