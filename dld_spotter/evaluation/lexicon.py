"""Correction of read words by a list of words that may occur."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from dld_spotter.data.word_lists import normalize_text, parse_word_list, read_word_list
from dld_spotter.evaluation.icdar import image_key, image_keys, key_forms, list_text_files
from dld_spotter.evaluation.lexicon_likelihood import in_capitals, word_log_likelihoods
from dld_spotter.evaluation.protocol import (
    LIKELIHOOD_POWERS,
    OPEN_LIST_MARGIN,
    OPEN_LIST_SCORE,
    WEIGHTED_REACH,
    CharacterScores,
    ImageWords,
    Protocol,
    ReadWord,
)
from dld_spotter.evaluation.transcription import spellings, upper_case
from dld_spotter.evaluation.weighted_distance import fold_scores, spell_key, weighted_distances

_ALL_WEIGHED = 200  # words of a list whose likelihood is computed at most
_BATCH = 256  # words looked up together: a matrix of 45 MB with 88,000 words in the list


class Lexicon:
    """A list of words with a search for the nearest one.

    Of equally near words the first in the list counts.

    Args:
        words: in the order of their file; blank ones are skipped.
        source: where they come from, for error messages.
    """

    def __init__(self, words: Iterable[str], source: str = "the given words"):
        self.words = [word for word in map(normalize_text, words) if word]
        if not self.words:
            raise ValueError(f"{source}: the lexicon holds no words; write one word a line into it.")
        self._upper = [upper_case(word) for word in self.words]

    def for_image(self, key: str) -> Lexicon:
        """The words that may occur in an image: all of them."""
        return self

    def covers(self, words: Iterable[str], key: str, protocol: Protocol) -> tuple[int, int]:
        """How many of an image's annotated words the list has, and of how many: those that a list may hold.

        A word counts where the list has a spelling of it that the end-to-end score takes for right.
        """
        folded = replace(protocol, case_sensitive=False)
        asked = [word for word in words if _is_correctable(word)]
        return sum(not self._folded.isdisjoint(spellings(word, folded)) for word in asked), len(asked)

    def nearest(self, words: Sequence[str]) -> list[tuple[str, int]]:
        """For each word the nearest one of the list and its distance: Levenshtein's between upper-cased words."""
        queries = [upper_case(normalize_text(word)) for word in words]
        found = {}
        for query, distances in _distances(queries, self._upper):
            index = distances.argmin()  # the first of equals
            found[query] = self.words[index], int(distances[index])
        return [found[query] for query in queries]

    def nearest_weighted(
        self, words: Sequence[str], scores: Sequence[CharacterScores | None]
    ) -> list[tuple[str, float]]:
        """For each word the nearest one of the list and its distance, by :mod:`weighted_distance`.

        Letters and digits alone are compared. Words at most two edits further away than the nearest are weighed.

        Args:
            words: as they were read.
            scores: of each word's characters; without them plain edits count.
        """
        places: dict[str, list[int]] = {}
        for index, word in enumerate(words):
            places.setdefault(spell_key(word), []).append(index)
        found: dict[int, tuple[str, float]] = {}
        for query, distances in _distances(places, self._keys):
            for index in places[query]:
                found[index] = self._weigh(query, words[index], scores[index], distances)
        return [found[index] for index in range(len(words))]

    def _weigh(self, query: str, word: str, scores: CharacterScores | None, distances: np.ndarray) -> tuple[str, float]:
        """The nearest of the list and its distance; ``distances`` (list,) are the unweighted ones."""
        if scores is None:
            index = int(distances.argmin())
            return self.words[index], float(distances[index])
        candidates = np.flatnonzero(distances <= distances.min() + 2)
        weighted = weighted_distances(query, [self._keys[i] for i in candidates], fold_scores(word, scores))
        return self.words[candidates[weighted.argmin()]], float(weighted.min())

    def likeliest(self, words: Sequence[ReadWord]) -> list[tuple[str, float, float]]:
        """For each word the likeliest of the list, its log-probability, and that of the word as it was read.

        Of long lists, those words are asked for that are at most two edits further away than the nearest.

        Args:
            words: with ``columns``.
        """
        texts = [upper_case(word.text) for word in words]
        distances = dict(_distances(texts, self._upper)) if len(self) > _ALL_WEIGHED else {}
        found = []
        for word, text in zip(words, texts, strict=True):
            candidates = np.arange(len(self))
            if text in distances:
                near = distances[text]
                candidates = np.flatnonzero(near <= near.min() + 2)
                candidates = candidates[np.argsort(near[candidates], kind="stable")[:_ALL_WEIGHED]]
            asked = [in_capitals(word.text), *(in_capitals(self.words[i]) for i in candidates)]
            read, *listed = word_log_likelihoods(word.columns or (), asked)
            best = int(np.argmax(listed))
            found.append((self.words[candidates[best]], float(listed[best]), float(read)))
        return found

    @cached_property
    def _folded(self) -> frozenset[str]:
        """The words in capitals."""
        return frozenset(self._upper)

    @cached_property
    def _keys(self) -> list[str]:
        return [spell_key(word) for word in self.words]

    def __len__(self) -> int:
        return len(self.words)


class ImageLexicons:
    """One list of words for each image ("strong" lexicons)."""

    def __init__(self, lexicons: Mapping[str, Lexicon], source: str):
        self._lexicons = dict(lexicons)
        self.source = source

    def for_image(self, key: str) -> Lexicon:
        """The list of the image with this key.

        Raises:
            ValueError: there is none.
        """
        if key not in self._lexicons:
            raise ValueError(
                f"{self.source}: no word list for the image '{key}' among {len(self)} files; "
                f"a strong lexicon needs one file an image, named like voc_img_{key}.txt."
            )
        return self._lexicons[key]

    def key_of(self, name: str) -> str:
        """The key of an image's list, by the image's name, as far as it needs its folders: see ``icdar.image_keys``."""
        return next((form for form in key_forms(name) if form in self._lexicons), image_key(name))

    def covers(self, words: Iterable[str], key: str, protocol: Protocol) -> tuple[int, int]:
        """As :meth:`Lexicon.covers`; an image without a list has none of its words."""
        if key in self._lexicons:
            return self._lexicons[key].covers(words, key, protocol)
        return 0, sum(map(_is_correctable, words))

    def __len__(self) -> int:
        return len(self._lexicons)


class PhotoLexicons:
    """The words that may occur in each photo, as photos come.

    Args:
        lexicon: one list for all, or one for each.
    """

    def __init__(self, lexicon: Lexicon | ImageLexicons):
        self._lexicon = lexicon
        self._names: dict[str, str] = {}

    def of(self, name: str) -> Lexicon:
        """The list of the photo of this name.

        Raises:
            ValueError: there is none, or another photo has it.
        """
        if isinstance(self._lexicon, Lexicon):
            return self._lexicon
        key = self._lexicon.key_of(name)
        found, other = self._lexicon.for_image(key), self._names.setdefault(key, name)
        if other != name:
            raise ValueError(
                f"{self._lexicon.source}: the word list '{key}' fits {other} and {name}; put the lists into folders "
                "that are called like those of the images."
            )
        return found


def load_lexicon(path: str | Path) -> Lexicon | ImageLexicons:
    """A word list (one word a line), or a folder or zip with one list an image (``voc_img_7.txt``).

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: an empty list, or one that is no text.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"the lexicon {path} does not exist.")
    if path.is_file() and path.suffix.lower() != ".zip":
        return Lexicon(read_word_list(path), str(path))
    files = list_text_files(path)
    lexicons = {
        key: Lexicon(parse_word_list(file.read(), f"{path}: {name}"), f"{path}: {name}")
        for key, (name, file) in zip(image_keys(list(files)), files.items(), strict=True)
    }
    return ImageLexicons(lexicons, str(path))


def full_lexicon(images: Iterable[ImageWords], source: str = "the ground truth") -> Lexicon:
    """The distinct annotated words of a data set, don't-care regions left out: what Total-Text calls its full lexicon.

    Args:
        images: all images of the data set; a part of them would make the list, and so the task, easier.
        source: where they come from, for error messages.

    Raises:
        ValueError: there is no word to be read in them.
    """
    return Lexicon(dict.fromkeys(word.text for image in images for word in image.truths if not word.ignore), source)


def look_up(words: Sequence[ReadWord], lexicon: Lexicon, protocol: Protocol) -> list[str | None]:
    """For each word what the protocol's lexicon rule makes of it; None where its detection does not count then.

    The rules "nearest" and "limited" leave words of one or two characters and words with a digit or "+" as they were
    read: lists hold no such words. "limited" also leaves those that are too far. One call for many words is much faster
    than one for each.

    Args:
        words: "weighted" asks for their ``character_scores``, "likelihood" for ``columns`` and ``det_score``.
        lexicon: the list.
        protocol: the rule.
    """
    texts = [word.text for word in words]
    if protocol.lexicon_rule == "weighted":
        near = lexicon.nearest_weighted(texts, [word.character_scores for word in words])
        return [word if distance < WEIGHTED_REACH or not protocol.lexicon_filters else None for word, distance in near]
    if protocol.lexicon_rule == "likelihood":
        return _look_up_likeliest(words, lexicon, protocol)
    corrected: list[str | None] = list(texts)
    indices = [i for i, text in enumerate(texts) if _is_correctable(text)]
    for index, (word, distance) in zip(indices, lexicon.nearest([texts[i] for i in indices]), strict=True):
        if protocol.lexicon_rule == "nearest" or distance <= protocol.lexicon_max_distance:
            corrected[index] = word
    return corrected


def _look_up_likeliest(words: Sequence[ReadWord], lexicon: Lexicon, protocol: Protocol) -> list[str | None]:
    """The rule "likelihood"; words without columns are corrected by the nearest of the list."""
    known = [word for word in words if word.columns]
    likeliest = iter(lexicon.likeliest(known))
    nearest = iter(look_up([w for w in words if not w.columns], lexicon, replace(protocol, lexicon_rule="nearest")))
    least = protocol.lexicon_score_threshold
    if least > 0 and not protocol.lexicon_is_complete:
        least = max(least, OPEN_LIST_SCORE)
    found: list[str | None] = []
    for word in words:
        if not word.columns:
            found.append(next(nearest) if word.score >= protocol.score_threshold else None)
            continue
        text, listed, read = next(likeliest)
        margin = math.inf if protocol.lexicon_is_complete else OPEN_LIST_MARGIN
        if not _is_correctable(word.text):
            margin = min(margin, OPEN_LIST_MARGIN)  # lists hold no such words, but one may be misread as such
        if math.isfinite(listed) and read - listed <= margin:
            found.append(text if _likelihood_score(word, text, listed) >= least else None)
        else:
            found.append(word.text if word.score >= protocol.score_threshold else None)
    return found


def _likelihood_score(word: ReadWord, text: str, log_likelihood: float) -> float:
    """How sure it is that there is a word and that it is this one of the list, in [0, 1]."""
    det_score = word.score if word.det_score is None else word.det_score
    return det_score ** LIKELIHOOD_POWERS[0] * math.exp(LIKELIHOOD_POWERS[1] * log_likelihood / max(len(text), 1))


def _is_correctable(word: str) -> bool:
    """Whether a list may hold the word: three characters or more, none of them a digit or "+"."""
    return len(word) >= 3 and not any(character.isdigit() or character == "+" for character in word)


def _distances(queries: Iterable[str], choices: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Each query once, with its (choices,) Levenshtein distances."""
    distinct = list(dict.fromkeys(queries))
    for start in range(0, len(distinct), _BATCH):
        batch = distinct[start : start + _BATCH]
        scorer = Levenshtein.distance
        yield from zip(
            batch,
            process.cdist(batch, choices, scorer=scorer, processor=None, dtype=np.uint16, workers=1),
            strict=True,
        )
