"""The strings of drawn scenes: dictionary words, numbers, addresses and others; one part is held out for tests."""

import hashlib
import os
import string
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

import numpy as np

LONGEST = 20
HELD_OUT_PART = 10  # one string in ten belongs to the test split
TRIES = 40  # kinds of string, and strings of each, before it may only be a random one
KINDS = {"dictionary": 0.60, "number": 0.12, "address": 0.05, "random": 0.10, "sign": 0.08, "punctuated": 0.05}
SPLITS = ("train", "test")
_SIGN_TEXT = """
    open closed exit enter push pull sale new hot cold free stop go no yes on off in out up down bar cafe hotel taxi
    bus park street road avenue lane square north south east west left right men women toilet room floor level gate
    platform station airport bank shop store market bakery pizza burger coffee tea beer wine food fresh daily menu
    lunch dinner breakfast ice cream books music cinema theatre museum school library police fire danger warning
    caution private public parking entrance emergency keep clear do not smoking please thank you welcome to the of
    and for with from at by we are our your is it a best price only now today week sun mon tue wed thu fri sat am pm
    km mph kg ml cm max min est since tel fax no. st. ave. dr. mr. ltd co inc city centre office service sports
    fashion beauty hair nails optician dental pharmacy clinic garden home auto tyres repair wash rent let sold
"""
SIGN_WORDS = tuple(_SIGN_TEXT.split())


def word_key(word: str) -> str:
    """What two strings have in common that a reader should not have seen before: letters and digits, without case."""
    return "".join(character for character in word.lower() if character.isalnum())


def is_held_out(word: str) -> bool:
    """Whether the string belongs to the test split: a hash of its key picks one in ten, whatever list it came from."""
    digest = hashlib.blake2b(word_key(word).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % HELD_OUT_PART == 0


def read_word_list(path: str | os.PathLike) -> list[str]:
    """The words of a file, one a line; those with other characters than ASCII letters and apostrophes are left out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: none of its lines is such a word.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"the word list {path} does not exist (--words).")
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    words = dict.fromkeys(word for word in map(str.strip, lines) if _is_dictionary_word(word))
    if not words:
        raise ValueError(f"{path} holds no word of 1 to {LONGEST} ASCII letters; give one word a line (--words).")
    return list(words)


class Vocabulary:
    """Draws strings of one split.

    Args:
        words: the dictionary.
        split: "train" draws no string that :func:`is_held_out`, "test" no other.

    Raises:
        ValueError: an unknown split, or one that none of the words belongs to.
    """

    def __init__(self, words: Iterable[str], split: str):
        if split not in SPLITS:
            raise ValueError(f"split is '{split}'; use one of {', '.join(SPLITS)}.")
        self.held_out = split == "test"
        mine = [word for word in words if is_held_out(word) == self.held_out]
        self.dictionary = sorted((word for word in mine if "'" not in word), key=len)
        self.lengths = [len(word) for word in self.dictionary]
        self.apostrophes = [word for word in mine if "'" in word] or self.dictionary
        if not self.dictionary:
            raise ValueError(f"no word of the list belongs to the split '{split}'; give a longer list (--words).")

    def draw(self, rng: np.random.Generator, longest: int = LONGEST, case: str | None = None) -> str:
        """One string of 1 to ``longest`` printable ASCII characters without blanks.

        Args:
            case: "lower", "title" or "upper" for the letters of dictionary words; None for any.

        Raises:
            RuntimeError: no string of the split is that short.
        """
        names, shares = list(KINDS), np.array(list(KINDS.values()))
        for number in range(2 * TRIES):
            # The kind is kept while strings of the other split are drawn, so that both splits have equal shares of it.
            kind = names[int(rng.choice(len(names), p=shares))] if number < TRIES else "random"
            for _ in range(TRIES):
                word = getattr(self, f"_{kind}")(rng, longest)
                if kind in ("dictionary", "sign", "punctuated"):
                    word = set_case(word, case or _any_case(rng))
                if 0 < len(word) <= longest and word_key(word) and is_held_out(word) == self.held_out:
                    return word
        raise RuntimeError(f"found no string of at most {longest} characters; allow longer ones.")

    def _dictionary(self, rng: np.random.Generator, longest: int) -> str:
        """Any word of the list that is short enough; where there is none, the shortest."""
        return self.dictionary[int(rng.integers(max(1, bisect_right(self.lengths, longest))))]

    def _sign(self, rng: np.random.Generator, longest: int) -> str:
        return _pick(rng, SIGN_WORDS)

    def _punctuated(self, rng: np.random.Generator, longest: int) -> str:
        word = _pick(rng, SIGN_WORDS) if rng.random() < 0.3 else self._dictionary(rng, longest - 1)
        forms = ("{}!", "{},", "{}.", "{}:", "({})", '"{}"', "{}?", "{}...", "'{}'", "-{}-", "#{}", "apostrophe")
        form = _pick(rng, forms)
        return _pick(rng, self.apostrophes) if form == "apostrophe" else form.format(word.strip("."))

    def _address(self, rng: np.random.Generator, longest: int) -> str:
        name = _pick(rng, self.dictionary).lower()[:7]
        host = _pick(rng, self.dictionary).lower()[:6]
        end = _pick(rng, ("com", "org", "net", "de", "co.uk", "fr", "it", "info"))
        form = _pick(rng, ("{name}@{host}.{end}", "www.{host}.{end}", "{host}.{end}", "@{name}", "{host}.{end}/{name}"))
        return form.format(name=name, host=host, end=end)

    def _number(self, rng: np.random.Generator, longest: int) -> str:
        def number(low: int, high: int) -> int:
            return int(rng.integers(low, high))

        forms = (
            lambda: str(number(0, 10 ** number(1, 5))),
            lambda: str(number(1900, 2035)),
            lambda: f"{number(0, 100)}.{number(0, 100):02d}",
            lambda: f"${number(1, 100)}.{number(0, 100):02d}",
            lambda: f"${number(1, 1000)}",
            lambda: f"{number(1, 101)}%",
            lambda: f"{number(0, 24):02d}:{number(0, 60):02d}",
            lambda: f"{number(1, 29)}/{number(1, 13)}/{number(0, 100):02d}",
            lambda: f"{number(1, 29):02d}.{number(1, 13):02d}.{number(1980, 2035)}",
            lambda: f"{number(100, 1000)}-{number(1000, 10000)}",
            lambda: f"+{number(1, 99)}-{number(10, 1000)}-{number(1000, 10000)}",
            lambda: f"{number(1, 100)},{number(0, 1000):03d}",
            lambda: f"{number(1, 100)}{_pick(rng, ('km', 'kg', 'h', 'm', 'cm', 'ml', 'st', 'th', 'A', 'B', 'x'))}",
            lambda: f"({number(1, 100)})",
            lambda: f"No.{number(1, 100)}",
        )
        return forms[number(0, len(forms))]()

    def _random(self, rng: np.random.Generator, longest: int) -> str:
        """Letters and digits without a meaning: number plates, codes, and the letters' even chances."""
        alphabets = (
            string.ascii_uppercase + string.digits,
            string.ascii_letters + string.digits,
            string.ascii_lowercase,
            string.ascii_uppercase,
            string.digits,
            string.ascii_letters + string.digits + string.punctuation,
        )
        shares = (0.4, 0.2, 0.1, 0.15, 0.05, 0.1)
        alphabet = alphabets[int(rng.choice(len(alphabets), p=shares))]
        length = int(rng.integers(1, max(1, min(8, longest)) + 1))
        return "".join(alphabet[int(place)] for place in rng.integers(0, len(alphabet), length))


def set_case(word: str, case: str) -> str:
    """The word in "lower", "title" or "upper" case."""
    if case == "title":
        first = next((place for place, character in enumerate(word) if character.isalpha()), 0)
        return word[:first] + word[first:].capitalize()
    return word.upper() if case == "upper" else word.lower()


def _any_case(rng: np.random.Generator) -> str:
    return ("lower", "title", "upper")[int(rng.choice(3, p=(0.4, 0.28, 0.32)))]


def _is_dictionary_word(word: str) -> bool:
    letters = word.replace("'", "")
    return 0 < len(word) <= LONGEST and letters.isascii() and letters.isalpha()


def _pick(rng: np.random.Generator, items):
    return items[int(rng.integers(len(items)))]
