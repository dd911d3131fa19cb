"""The weighted edit distance of the Mask TextSpotter papers: edits of unsure characters cost less.

The edits turn a read word into one of a lexicon. With P[c][i] the probability of the character c at place i of the read
word w of m characters, in a table as for Levenshtein's distance:

- to remove character i costs P[w_i][i];
- to insert one at place i costs the mean of P[w_i][i] and P[w_(i+1)][i+1], at the last place P[w_m][m];
- to replace character i by c costs max(0, 1 - 5 P[c][i] / P[w_i][i]).

The borders of the table count whole edits. Letters and digits alone take part, without case.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dld_spotter.evaluation.protocol import CharacterScores

_LEAST = 1e-6  # probability of a read character, which divides


def spell_key(word: str) -> str:
    """The letters and digits of a word in capitals, a character for each."""
    return "".join(capital(character) for character in word if character.isalnum())


def fold_scores(word: str, scores: CharacterScores) -> list[dict[str, float]]:
    """For each character of ``spell_key(word)`` the probabilities of the letters and digits there, without case.

    Raises:
        ValueError: there are not as many scores as the word has characters.
    """
    if len(scores) != len(word):
        raise ValueError(f"the word {word!r} has {len(word)} characters and character scores for {len(scores)}.")
    return [_fold_place(place) for character, place in zip(word, scores, strict=True) if character.isalnum()]


def weighted_distances(key: str, candidates: Sequence[str], scores: Sequence[Mapping[str, float]]) -> np.ndarray:
    """(candidates,) the distance of a read word from each candidate.

    Args:
        key: the read word, as ``spell_key`` gives it.
        candidates: likewise.
        scores: as ``fold_scores`` gives them, one for each character of the key.
    """
    distances = np.empty(len(candidates))
    lengths = np.array([len(candidate) for candidate in candidates])
    for length in np.unique(lengths):
        alike = np.flatnonzero(lengths == length)
        distances[alike] = _equally_long(key, [candidates[i] for i in alike.tolist()], scores)
    return distances


def _equally_long(key: str, candidates: Sequence[str], scores: Sequence[Mapping[str, float]]) -> np.ndarray:
    """(C,) distances of candidates of one length n, by one table (n + 1) x (m + 1) whose cells are (C,)."""
    sure = np.array([max(place.get(character, 0.0), _LEAST) for character, place in zip(key, scores, strict=True)])
    following = np.append(sure[1:], sure[-1:])
    insert = (sure + following) / 2
    row = [np.full(len(candidates), float(j)) for j in range(len(key) + 1)]
    for i, characters in enumerate(zip(*candidates, strict=True), start=1):
        above, row = row, [np.full(len(candidates), float(i))]
        for j in range(len(key)):
            replace = _replace_costs(key[j], characters, scores[j], sure[j])
            best = np.minimum(above[j + 1] + insert[j], row[j] + sure[j])
            row.append(np.minimum(best, above[j] + replace))
    return row[-1]


def _replace_costs(read: str, characters: Sequence[str], place: Mapping[str, float], sure: float) -> np.ndarray:
    """(C,) costs of writing each of the characters where one was read."""
    costs = {c: 0.0 if c == read else max(0.0, 1 - 5 * place.get(c, 0.0) / sure) for c in set(characters)}
    return np.array([costs[character] for character in characters])


def _fold_place(place: Mapping[str, float]) -> dict[str, float]:
    folded: dict[str, float] = {}
    for character, value in place.items():
        if character.isalnum():
            folded[capital(character)] = folded.get(capital(character), 0.0) + value
    return folded


def capital(character: str) -> str:
    """A character in capitals, if that is one character: "ß" stays."""
    upper = character.upper()
    return upper if len(upper) == 1 else character
