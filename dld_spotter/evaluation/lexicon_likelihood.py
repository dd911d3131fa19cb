"""How likely a recogniser with a CTC decoder takes each word of a list to be.

The probability of a word is the sum over all alignments of its characters with the columns of the recogniser (Graves et
al., ICML 2006, equations 3 to 8, in logarithms). Case does not count: the probabilities of "a" and "A" in a column are
added.

Shapes: N columns, C words, L characters of the longest word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dld_spotter.evaluation.weighted_distance import capital

Columns = Sequence[Mapping[str, float]]

BLANK = ""
FLOOR = 1e-6  # probability of a character that a column does not list


def word_log_likelihoods(columns: Columns, words: Sequence[str]) -> np.ndarray:
    """(C,) log-probabilities of words; minus infinity for those that do not fit into the columns.

    Args:
        columns: of each column the probabilities of its likeliest characters, ``BLANK`` among them.
        words: in capitals, each character by itself (see ``in_capitals``).
    """
    alphabet = {character: index for index, character in enumerate(sorted({*"".join(words)}), start=1)}
    log_probs = np.log(_table(columns, alphabet))
    result = np.full(len(words), -np.inf)
    fitting = [i for i, word in enumerate(words) if word and len(word) <= len(columns)]
    if not fitting:
        return result
    lengths = np.array([len(words[i]) for i in fitting])
    # Blank, character, blank, ..., blank: the states of every alignment.
    states = np.zeros((len(fitting), 2 * lengths.max() + 1), np.int64)
    for row, index in enumerate(fitting):
        states[row, 1 : 2 * lengths[row] : 2] = [alphabet[character] for character in words[index]]
    result[fitting] = _sum_alignments(log_probs, states, lengths)
    return result


def in_capitals(text: str) -> str:
    """A text with each character in capitals by itself, as a column tells it: "ß" has none."""
    return "".join(map(capital, text))


def _table(columns: Columns, alphabet: Mapping[str, int]) -> np.ndarray:
    """(N, 1 + characters) probabilities of the blank and of each character, without case."""
    table = np.zeros((len(columns), 1 + len(alphabet)))
    for row, column in zip(table, columns, strict=True):
        for character, probability in column.items():
            index = 0 if character == BLANK else alphabet.get(capital(character))
            if index is not None:
                row[index] += probability
    return np.clip(table, FLOOR, 1.0)


def _sum_alignments(log_probs: np.ndarray, states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(C,) log-sums over the alignments of words (C, 2 L + 1) of ``lengths`` characters, by the forward recursion."""
    # From one character to the next without a blank between, unless they are equal.
    skips = np.zeros(states.shape, bool)
    skips[:, 2:] = (states[:, 2:] != 0) & (states[:, 2:] != states[:, :-2])
    forward = np.full(states.shape, -np.inf)
    forward[:, 0], forward[:, 1] = log_probs[0, 0], log_probs[0, states[:, 1]]
    for column in log_probs[1:]:
        before = forward
        forward = before.copy()
        forward[:, 1:] = np.logaddexp(forward[:, 1:], before[:, :-1])
        forward[:, 2:] = np.where(skips[:, 2:], np.logaddexp(forward[:, 2:], before[:, :-2]), forward[:, 2:])
        forward = forward + column[states]
    rows = np.arange(len(states))
    return np.logaddexp(forward[rows, 2 * lengths], forward[rows, 2 * lengths - 1])
