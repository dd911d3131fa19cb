"""Characters of the words that a spotter reads, and their token ids.

Token 0 starts a word and pads its row, token 1 ends it, tokens 2 and up are the characters.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dld_spotter.data.text_files import read_text

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PAD = START = 0
END = 1
NUM_SPECIAL = 2

LIKELY, LEAST_LIKELY = 8, 1e-4  # characters of a column that are told, and their least probability

_BUILT_IN = Path(__file__).with_name("charsets")


class Charset:
    """A fixed, ordered set of characters.

    Args:
        characters: each character once, in the order of their ids.
        source: where they come from, for error messages.

    A set that holds lower-case letters but none of the upper-case ones (or the reverse) folds case, so that
    "alphanumeric36" reads "Exit" as "exit".
    """

    def __init__(self, characters: Iterable[str], source: str = "the given characters"):
        self.characters = tuple(characters)
        self.source = source
        repeated = sorted(c for c, count in Counter(self.characters).items() if count > 1)
        if repeated:
            raise ValueError(f"{source}: characters {repeated} occur more than once; keep each once.")
        if not self.characters:
            raise ValueError(f"{source}: no characters; write them one after the other into the file.")
        self._ids = {c: i + NUM_SPECIAL for i, c in enumerate(self.characters)}

    @classmethod
    def load(cls, name_or_path: str) -> Charset:
        """A built-in set by its name, or the characters of a text file in Unicode (ends of lines are ignored).

        Raises:
            FileNotFoundError: there is no such set or file.
            ValueError: the file is no text in Unicode, is empty, or holds a character twice or a control character.
        """
        path = _BUILT_IN / f"{name_or_path}.txt"
        if not path.is_file():
            path = Path(name_or_path)
        if not path.is_file():
            built_in = sorted(p.stem for p in _BUILT_IN.glob("*.txt"))
            raise FileNotFoundError(f"MODEL.TEXT.CHARSET '{name_or_path}' is neither a file nor one of {built_in}.")
        text = unicodedata.normalize("NFC", read_text(path).replace("\n", ""))
        control = sorted(c for c in set(text) if unicodedata.category(c) == "Cc")
        if control:
            raise ValueError(f"{path}: holds the control characters {control[:10]}; remove them.")
        return cls(text, str(path))

    @property
    def num_tokens(self) -> int:
        """Characters and special tokens: the width V of the decoder's output."""
        return len(self.characters) + NUM_SPECIAL

    @cached_property
    def _fold(self):
        joined = "".join(self.characters)
        has_lower, has_upper = joined.upper() != joined, joined.lower() != joined
        if has_lower and not has_upper:
            return str.lower
        if has_upper and not has_lower:
            return str.upper
        return str

    def normalize(self, text: str) -> str:
        """The word as this set spells it: Unicode composed (NFC), case folded where the set has one case only."""
        return self._fold(unicodedata.normalize("NFC", text))

    def unknown(self, text: str) -> list[str]:
        """The characters of a word that the set does not have, each once, sorted."""
        return sorted(set(self.normalize(text)) - self._ids.keys())

    def encode(self, text: str) -> list[int]:
        """Token ids of the characters of a word, without special tokens.

        Raises:
            ValueError: a character is not in the set.
        """
        try:
            return [self._ids[c] for c in self.normalize(text)]
        except KeyError:
            raise ValueError(
                f"the word '{text}' has characters {self.unknown(text)} that are not in {self.source}. "
                "Add them to that file, or set INPUT.TEXT.UNKNOWN to 'ignore' or 'detect'."
            ) from None

    def encode_rows(self, texts: Sequence[str | None]) -> Tensor:
        """Words to (N, T) token ids: characters, end, padding. T is the longest word's length + 1, at least 1.

        None gives a row of padding: a word that is not read.
        """
        import torch  # reading with exported graphs needs a charset and has no torch

        rows = [[] if text is None else [*self.encode(text), END] for text in texts]
        width = max([1, *map(len, rows)])
        padded = [row + [PAD] * (width - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.long).reshape(len(rows), width)

    def decode(self, tokens: Tensor | np.ndarray) -> list[str]:
        """(N, T) token ids to words: up to the first end token, or the whole row without one; padding is skipped."""
        words = []
        for row in tokens.tolist():
            row = row[: row.index(END)] if END in row else row
            words.append("".join(self.characters[i - NUM_SPECIAL] for i in row if i >= NUM_SPECIAL))
        return words

    def code_points(self) -> Tensor:
        """(characters,) Unicode code points: the form in which a set travels in a checkpoint."""
        import torch

        return torch.tensor([ord(c) for c in self.characters], dtype=torch.long)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Charset) and self.characters == other.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __len__(self) -> int:
        return len(self.characters)

    def __repr__(self) -> str:
        return f"Charset({len(self)} characters from {self.source})"


def list_characters(classes: np.ndarray, probabilities: np.ndarray, charset: Charset) -> tuple[dict[str, float], ...]:
    """The likeliest characters of each column of a CTC recogniser.

    Args:
        classes: (T, K) of the columns, the likeliest first; 0 is the blank.
        probabilities: (T, K).
        charset: class c is its character c - 1.

    Returns:
        T dictionaries, "" for the blank; those less likely than LEAST_LIKELY are left out.
    """
    return tuple(
        {
            charset.characters[c - 1] if c else "": round(p, 5)
            for c, p in zip(row, values, strict=True)
            if p >= LEAST_LIKELY
        }
        for row, values in zip(classes.tolist(), probabilities.tolist(), strict=True)
    )
