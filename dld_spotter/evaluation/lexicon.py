"""Correction of read words by a list of words that may occur."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from dld_spotter.evaluation.icdar import image_key, read_text_file, read_text_files
from dld_spotter.evaluation.protocol import Protocol


class Lexicon:
    """A list of words with a quick search for the nearest one.

    Distances are Levenshtein's between upper-cased words; of equally near words the first in the list counts.

    Args:
        words: in the order of their file; blank ones are skipped.
        source: where they come from, for error messages.
    """

    def __init__(self, words: Iterable[str], source: str = "the given words"):
        self.words = [word.strip() for word in words if word.strip()]
        if not self.words:
            raise ValueError(f"{source}: the lexicon holds no words; write one word a line into it.")
        upper = [word.upper() for word in self.words]
        self._first_index = {word: index for index, word in reversed(list(enumerate(upper)))}
        lengths = np.array([len(word) for word in upper])
        # By length: the distance of two words is at least the difference of their lengths.
        self._buckets = {
            int(length): (indices := np.flatnonzero(lengths == length), [upper[i] for i in indices])
            for length in np.unique(lengths)
        }

    def for_image(self, key: str) -> Lexicon:
        """The words that may occur in an image: all of them."""
        return self

    def nearest(self, word: str, limit: int | None = None) -> tuple[str, int] | None:
        """The nearest word of the list and its distance; None if all are farther than ``limit``."""
        word = word.upper()
        if word in self._first_index:
            return self.words[self._first_index[word]], 0
        best: tuple[int, int] | None = None  # distance, index
        for length in sorted(self._buckets, key=lambda length: abs(length - len(word))):
            cutoff = best[0] if best else limit
            if cutoff is not None and abs(length - len(word)) > cutoff:
                break
            indices, words = self._buckets[length]
            found = process.extractOne(word, words, scorer=Levenshtein.distance, processor=None, score_cutoff=cutoff)
            if found:
                _, distance, position = found
                candidate = (int(distance), int(indices[position]))
                best = min(best, candidate) if best else candidate
        return (self.words[best[1]], best[0]) if best else None

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

    def __len__(self) -> int:
        return len(self._lexicons)


def load_lexicon(path: str | Path) -> Lexicon | ImageLexicons:
    """A word list (one word a line), or a folder or zip with one list an image (``voc_img_7.txt``).

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: an empty list, or two lists for one image.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"the lexicon {path} does not exist.")
    if path.is_file() and path.suffix.lower() != ".zip":
        return Lexicon(read_text_file(path).splitlines(), str(path))
    lexicons: dict[str, Lexicon] = {}
    for name, text in read_text_files(path).items():
        key = image_key(name)
        if key in lexicons:
            raise ValueError(f"{path}: {name} is a second word list for the image '{key}'; keep one.")
        lexicons[key] = Lexicon(text.splitlines(), f"{path}: {name}")
    return ImageLexicons(lexicons, str(path))


def correct_word(word: str, lexicon: Lexicon, protocol: Protocol) -> str:
    """The word as the lexicon has it.

    Words of one or two characters and words with a digit or "+" stay as they were read: lists hold no such words.
    """
    if len(word) < 3 or any(c.isdigit() or c == "+" for c in word):
        return word
    limit = protocol.lexicon_max_distance if protocol.lexicon_rule == "limited" else None
    found = lexicon.nearest(word, limit)
    return found[0] if found else word
