"""The strings of synthetic scenes: dictionary words, numbers, addresses and others; one part is held out for tests."""

import hashlib
import os
import string
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from dld_spotter.data import word_lists

LONGEST = 20
HELD_OUT_PART = 10  # one string in ten belongs to the test split
TRIES = 40  # kinds of string, and strings of each, before it may only be a random one
KINDS = {"dictionary": 0.60, "number": 0.12, "address": 0.05, "random": 0.10, "sign": 0.08, "punctuated": 0.05}
SPLITS = ("train", "test")
CASES = ("lower", "title", "upper")
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

Item = TypeVar("Item")


def word_key(word: str) -> str:
    """What two strings have in common that a reader should not have seen before: letters and digits, without case."""
    return "".join(character for character in word.casefold() if character.isalnum())


def is_held_out(word: str) -> bool:
    """Whether the string belongs to the test split: a hash of its key picks one in ten, whatever list it came from."""
    digest = hashlib.blake2b(word_key(word).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % HELD_OUT_PART == 0


def read_word_list(path: str | os.PathLike) -> list[str]:
    """The words of an English list, one a line; those with other characters than ASCII letters and apostrophes are left
    out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: none of its lines is such a word, or it is no text.
    """
    words = dict.fromkeys(filter(_is_dictionary_word, _read_lines(path)))
    if not words:
        raise ValueError(f"{path} holds no word of 1 to {LONGEST} ASCII letters; give one word a line (--words).")
    return list(words)


def read_any_words(path: str | os.PathLike) -> tuple[list[str], list[str]]:
    """The strings of a list in any language, each once, that can be drawn character by character; and the other lines.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: none of its lines can be drawn, or it is no text.
    """
    lines = list(dict.fromkeys(_read_lines(path)))
    words = [line for line in lines if unusable_reason(line) is None]
    if not words:
        why = f" ('{lines[0]}' {unusable_reason(lines[0])})" if lines else ""
        raise ValueError(f"{path} holds no word that can be drawn{why}; give one word a line (--words).")
    return words, [line for line in lines if unusable_reason(line) is not None]


def unusable_reason(word: str) -> str | None:
    """Why a string cannot be drawn as a word, whatever the font; None if it can."""
    if not 0 < len(word) <= LONGEST:
        return f"has more than {LONGEST} characters"
    if any(character.isspace() for character in word):
        return "holds a blank"
    if any(map(needs_shaping, word)):
        return "is written from right to left, or with marks that join letters"
    return None if word_key(word) and word.isprintable() else "holds no letter or digit, or invisible characters"


def needs_shaping(character: str) -> bool:
    """Whether a character has no place of its own: a combining mark, or one of a script from right to left."""
    return unicodedata.category(character)[0] == "M" or unicodedata.bidirectional(character) in ("R", "AL", "AN")


def _read_lines(path: str | os.PathLike) -> list[str]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"the word list {path} does not exist (--words).")
    return word_lists.read_word_list(path)


class Vocabulary:
    """Draws strings of one split.

    Args:
        words: the dictionary.
        split: "train" draws no string that :func:`is_held_out`, "test" no other.
        english: also draw the words of English signs, and random strings of ASCII letters. Otherwise words and letters
            are those of the dictionary alone; numbers and web addresses stay.

    Raises:
        ValueError: an unknown split, or one that none of the words belongs to.
    """

    def __init__(self, words: Iterable[str], split: str, english: bool = True):
        if split not in SPLITS:
            raise ValueError(f"split is '{split}'; use one of {', '.join(SPLITS)}.")
        words = list(words)
        self.held_out = split == "test"
        self.english = english
        mine = [word for word in words if is_held_out(word) == self.held_out]
        self.dictionary = sorted((word for word in mine if not (english and "'" in word)), key=len)
        self.lengths = [len(word) for word in self.dictionary]
        self.apostrophes = [word for word in mine if "'" in word] or self.dictionary
        self.hosts = [word for word in self.dictionary if word.isascii() and word.isalnum()]
        if not self.dictionary:
            raise ValueError(f"no word of the list belongs to the split '{split}'; give a longer list (--words).")
        letters = string.ascii_letters if english else _letters(words)
        self.small = "".join(letter for letter in letters if letter == letter.lower())
        self.capitals = "".join(letter for letter in letters if letter == letter.upper())

    def draw(self, rng: np.random.Generator, longest: int = LONGEST, case: str | None = None) -> str:
        """One string of 1 to ``longest`` characters without blanks: printable ASCII, and those of the dictionary.

        Args:
            rng: of the random choices.
            longest: most characters.
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
        return _pick(rng, SIGN_WORDS) if self.english else self._dictionary(rng, longest)

    def _punctuated(self, rng: np.random.Generator, longest: int) -> str:
        word = self._sign(rng, longest - 1) if rng.random() < 0.3 else self._dictionary(rng, longest - 1)
        forms = ("{}!", "{},", "{}.", "{}:", "({})", '"{}"', "{}?", "{}...", "'{}'", "-{}-", "#{}", "apostrophe")
        form = _pick(rng, forms)
        return _pick(rng, self.apostrophes) if form == "apostrophe" else form.format(word.strip("."))

    def _address(self, rng: np.random.Generator, longest: int) -> str:
        if not self.hosts:
            return self._dictionary(rng, longest)
        name = _pick(rng, self.hosts).lower()[:7]
        host = _pick(rng, self.hosts).lower()[:6]
        end = _pick(rng, ("com", "org", "net", "de", "co.uk", "fr", "it", "info"))
        form = _pick(rng, ("{name}@{host}.{end}", "www.{host}.{end}", "{host}.{end}", "@{name}", "{host}.{end}/{name}"))
        return form.format(name=name, host=host, end=end)

    def _number(self, rng: np.random.Generator, longest: int) -> str:
        def number(low: int, high: int) -> int:
            return int(rng.integers(low, high))

        units: tuple[str, ...] = ("km", "kg", "h", "m", "cm", "ml", "st", "th", "A", "B", "x")
        units = units if self.english else tuple(unit for unit in units if unit not in ("st", "th"))
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
            lambda: f"{number(1, 100)}{_pick(rng, units)}",
            lambda: f"({number(1, 100)})",
            lambda: f"No.{number(1, 100)}",  # the last one is English
        )
        return forms[number(0, len(forms) - (not self.english))]()

    def _random(self, rng: np.random.Generator, longest: int) -> str:
        """Letters and digits without a meaning: number plates, codes, and the letters' even chances."""
        letters = "".join(dict.fromkeys(self.small + self.capitals))
        alphabets = (
            self.capitals + string.digits,
            letters + string.digits,
            self.small,
            self.capitals,
            string.digits,
            letters + string.digits + string.punctuation,
        )
        shares = (0.4, 0.2, 0.1, 0.15, 0.05, 0.1)
        alphabet = alphabets[int(rng.choice(len(alphabets), p=shares))] or string.digits
        length = int(rng.integers(1, max(1, min(8, longest)) + 1))
        return "".join(alphabet[int(place)] for place in rng.integers(0, len(alphabet), length))


def set_case(word: str, case: str) -> str:
    """The word in "lower", "title" or "upper" case."""
    if case == "title":
        first = next((place for place, character in enumerate(word) if character.isalpha()), 0)
        return _compose(word[:first] + word[first:].capitalize())
    return _compose(word.upper() if case == "upper" else word.lower())


def _compose(word: str) -> str:
    """In NFC, which a change of case may leave."""
    return word if word.isascii() else unicodedata.normalize("NFC", word)


def _letters(words: Iterable[str]) -> str:
    """The letters of the words in both cases, small ones first; those that have a place of their own."""
    found = {character for word in words for character in word if character.isalpha()}
    both = {form for letter in found for form in (letter.lower(), letter.upper()) if len(form) == 1}
    return "".join(sorted(both, key=lambda letter: (letter != letter.lower(), letter)))


def _any_case(rng: np.random.Generator) -> str:
    return CASES[int(rng.choice(3, p=(0.4, 0.28, 0.32)))]


def _is_dictionary_word(word: str) -> bool:
    letters = word.replace("'", "")
    return 0 < len(word) <= LONGEST and letters.isascii() and letters.isalpha()


def _pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[int(rng.integers(len(items)))]
