"""Correction of read words by a list of words that may occur."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from dld_spotter.evaluation.icdar import image_key, read_text_file, read_text_files
from dld_spotter.evaluation.protocol import ImageWords, Protocol

_BATCH = 256  # words looked up together: a matrix of 45 MB with 88,000 words in the list


class Lexicon:
    """A list of words with a search for the nearest one.

    Distances are Levenshtein's between upper-cased words; of equally near words the first in the list counts.

    Args:
        words: in the order of their file; blank ones are skipped.
        source: where they come from, for error messages.
    """

    def __init__(self, words: Iterable[str], source: str = "the given words"):
        self.words = [word.strip() for word in words if word.strip()]
        if not self.words:
            raise ValueError(f"{source}: the lexicon holds no words; write one word a line into it.")
        self._upper = [word.upper() for word in self.words]

    def for_image(self, key: str) -> Lexicon:
        """The words that may occur in an image: all of them."""
        return self

    def nearest(self, words: Sequence[str]) -> list[tuple[str, int]]:
        """For each word the nearest one of the list and its distance."""
        queries = list(dict.fromkeys(word.upper() for word in words))
        found: dict[str, tuple[str, int]] = {}
        for start in range(0, len(queries), _BATCH):
            batch = queries[start : start + _BATCH]
            distances = process.cdist(
                batch, self._upper, scorer=Levenshtein.distance, processor=None, dtype=np.uint16, workers=1
            )  # (batch, list)
            indices = distances.argmin(axis=1)  # the first of equals
            for query, index, distance in zip(batch, indices, distances.min(axis=1), strict=True):
                found[query] = self.words[index], int(distance)
        return [found[word.upper()] for word in words]

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


def full_lexicon(images: Iterable[ImageWords], source: str = "the ground truth") -> Lexicon:
    """The distinct annotated words of a data set, don't-care regions left out: what Total-Text calls its full lexicon.

    Args:
        images: all images of the data set; a part of them would make the list, and so the task, easier.
        source: where they come from, for error messages.

    Raises:
        ValueError: there is no word to be read in them.
    """
    return Lexicon(dict.fromkeys(word.text for image in images for word in image.truths if not word.ignore), source)


def correct_words(words: Sequence[str], lexicon: Lexicon, protocol: Protocol) -> list[str]:
    """The words as the lexicon has them. One call for many words is much faster than one for each.

    Words of one or two characters and words with a digit or "+" stay as they were read: lists hold no such words.
    """
    corrected = list(words)
    indices = [i for i, word in enumerate(words) if _is_correctable(word)]
    for index, (word, distance) in zip(indices, lexicon.nearest([words[i] for i in indices]), strict=True):
        if protocol.lexicon_rule == "nearest" or distance <= protocol.lexicon_max_distance:
            corrected[index] = word
    return corrected


def _is_correctable(word: str) -> bool:
    return len(word) >= 3 and not any(character.isdigit() or character == "+" for character in word)
