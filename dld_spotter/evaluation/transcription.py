"""When a read word equals an annotated one: the rules of the ICDAR end-to-end and word-spotting tasks."""

import re
import unicodedata
from collections.abc import Iterable

from rapidfuzz.distance import Levenshtein

from dld_spotter.evaluation.protocol import Protocol, TruthWord

# At the ends of an annotated word these may be left out by the reader (end-to-end); word spotting takes them for gaps.
SPECIAL_CHARACTERS = "!?.:,*\"()·[]/' "

# Letters of word spotting: ASCII, accented Latin (the signs × and ÷ lie among them), Greek, and the hyphen.
_LETTERS = re.compile("[a-zA-ZÀ-ÖØ-öø-ƿǄ-ɿΆ-Ͽ-]*")
_GAPS = str.maketrans(SPECIAL_CHARACTERS, " " * len(SPECIAL_CHARACTERS))


def reference_word(word: TruthWord, protocol: Protocol) -> str | None:
    """The text that must be read, or None where the word is don't care under this protocol."""
    if word.ignore:
        return None
    return dictionary_word(word.text, protocol.min_word_length) if protocol.word_spotting else word.text


def dictionary_word(text: str, min_length: int = 3) -> str | None:
    """The word that word spotting looks for in an annotation, or None if a dictionary would not hold it.

    A final 's, hyphens at the ends and punctuation are removed; what has a gap then, is shorter than ``min_length``
    or holds anything but letters and hyphens is no dictionary word.
    """
    if text.endswith(("'s", "'S")):
        text = text[:-2]
    text = text.strip("-")
    text = text.translate(_GAPS).strip()
    is_word = len(text) >= min_length and _LETTERS.fullmatch(text)
    return text if is_word else None


def same_word(reference: str, read: str, protocol: Protocol) -> bool:
    """Whether a word was read correctly.

    End-to-end, one special character at the start, the end, or each of them may be missing in the read word.
    """
    read = fold_case(read, protocol)
    if protocol.word_spotting:
        return read == fold_case(reference, protocol)
    return read in spellings(reference, protocol)


def fold_case(text: str, protocol: Protocol) -> str:
    return text if protocol.case_sensitive else upper_case(text)


def letters_and_digits(text: str) -> str:
    """What word-recognition benchmarks compare: a text's letters and digits, in capitals."""
    return "".join(character for character in upper_case(text) if character.isalnum())


def upper_case(text: str) -> str:
    """A composed text in capitals, composed.

    These are Unicode's full mappings, whatever the language: "ß" becomes "SS", "i" and "ı" become "I", and "İ" stays
    a letter of its own; accents stay.
    """
    return text.upper() if text.isascii() else unicodedata.normalize("NFC", text.upper())


def spellings(reference: str, protocol: Protocol) -> set[str]:
    """How a word may be read end-to-end, in the protocol's case."""
    text = fold_case(reference, protocol)
    found = {text}
    starts, ends = text[:1] in SPECIAL_CHARACTERS, text[-1:] in SPECIAL_CHARACTERS
    if text and starts:
        found.add(text[1:])
    if text and ends:
        found.add(text[:-1])
    if text and starts and ends:
        found.add(text[1:-1])
    return found


def edit_similarity(pairs: Iterable[tuple[str, str]]) -> float:
    """1 - the mean over pairs of words of (edit distance / length of the longer word); 0.0 without pairs."""
    shares = [Levenshtein.distance(a, b) / max(len(a), len(b), 1) for a, b in pairs]
    return 1 - sum(shares) / len(shares) if shares else 0.0
