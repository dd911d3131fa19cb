"""Characters from what a recogniser's graph gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dld_spotter.data.charset import LIKELY, Charset, list_characters

BLANK = 0


def ctc_texts(log_probs: np.ndarray, charset: Charset, most: int) -> tuple[list[str], np.ndarray]:
    """The likeliest class of each column, repeated ones merged and blanks dropped (``CTCDecoder.greedy``).

    Args:
        log_probs: (N, T, 1 + number of characters).
        charset: of the recogniser.
        most: characters of a text.

    Returns:
        N texts, and (N,) geometric means of their characters' probabilities, each taken where its class is the
        likeliest for the first time; 0 for a text without characters.
    """
    texts, scores = [], []
    for columns in log_probs:
        classes = columns.argmax(axis=1)
        starts = (classes != np.concatenate([[BLANK], classes[:-1]])) & (classes != BLANK)
        texts.append("".join(charset.characters[c - 1] for c in classes[starts][:most]))
        scores.append(float(np.exp(columns[starts].max(axis=1).mean())) if starts.any() else 0.0)
    return texts, np.array(scores, np.float32)


def likely_characters(log_probs: np.ndarray, charset: Charset) -> tuple[dict[str, float], ...]:
    """For each column of a word (T, 1 + number of characters) its likeliest characters, "" for the blank."""
    probabilities = np.exp(log_probs)
    best = np.argsort(-probabilities, axis=1)[:, :LIKELY]
    return list_characters(best, np.take_along_axis(probabilities, best, axis=1), charset)


def combine(det_scores: np.ndarray, text_scores: np.ndarray, powers: Sequence[float]) -> np.ndarray:
    """(N,) combined scores, as ``modeling.score_threshold.WordScoring.combine``."""
    first, second = np.asarray(powers, np.float32)
    return np.asarray(det_scores, np.float32) ** first * np.asarray(text_scores, np.float32) ** second
