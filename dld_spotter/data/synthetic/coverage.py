"""Which fonts can draw which words, and what each lacks."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dld_spotter.data.synthetic.fonts import LETTERS_AND_DIGITS, FontFace
from dld_spotter.data.synthetic.vocabulary import CASES, needs_shaping, set_case

LEAST_SHARE = 0.25  # of the words; with a font that draws fewer, hardly a sign would get its words


@dataclass(frozen=True)
class Coverage:
    """What fonts and words are left when they are matched.

    Attributes:
        faces: fonts that draw enough of the words.
        words: those that at least one of these fonts draws.
        undrawable: words that none of them draws.
        lacking: for each font, of those that are left and of others, what characters of the words it lacks.
        left_out: fonts that draw too few of the words.
    """

    faces: list[FontFace]
    words: list[str]
    undrawable: list[str]
    lacking: dict[FontFace, str]
    left_out: list[FontFace]


def characters_of(words: Iterable[str]) -> frozenset[str]:
    """The characters that the words have in any case."""
    found = frozenset(character for word in words for character in word)
    forms = {c for character in found for case in CASES for c in set_case(character, case)}
    return frozenset(character for character in found | forms if not needs_shaping(character))


def match_fonts(faces: Sequence[FontFace], words: Sequence[str]) -> Coverage:
    """Leave out the fonts that draw hardly any of the words, then the words that no font draws.

    Raises:
        ValueError: no font draws enough of them; the message names what the best one lacks.
    """
    # Every face has the Latin letters and digits, so that words of the same other characters are alike to it.
    special = {word: frozenset(word.lower()).difference(LETTERS_AND_DIGITS) for word in words}
    counts = Counter(special.values())
    shares = {face: sum(n for own, n in counts.items() if face.characters >= own) / len(words) for face in faces}
    kept = [face for face in faces if shares[face] >= LEAST_SHARE]
    wanted = characters_of(words)
    lacking = {face: "".join(sorted(wanted - face.characters)) for face in faces if wanted - face.characters}
    if not kept:
        best = max(faces, key=lambda face: shares[face])
        raise ValueError(
            f"none of the {len(faces)} fonts can draw a quarter of the {len(words)} words; the best, {best.family} "
            f"{best.style}, lacks {describe_characters(lacking[best])}. Give other fonts (--fonts; "
            "tools/fetch_fonts.py --languages brings some)."
        )
    drawable = {own for own in counts if any(face.characters >= own for face in kept)}
    return Coverage(
        faces=kept,
        words=[word for word in words if special[word] in drawable],
        undrawable=[word for word in words if special[word] not in drawable],
        lacking=lacking,
        left_out=[face for face in faces if shares[face] < LEAST_SHARE],
    )


def describe_characters(characters: str, most: int = 12) -> str:
    """Some characters, and how many there are; those that cannot be seen by their names."""
    shown = " ".join(c if c.isprintable() else unicodedata.name(c, f"U+{ord(c):04X}") for c in characters[:most])
    return shown if len(characters) <= most else f"{shown} ... ({len(characters)} in all)"
