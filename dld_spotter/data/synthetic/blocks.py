"""Words set in lines on a plane, as on a sign or a page."""

from dataclasses import dataclass

import numpy as np

from dld_spotter.data.synthetic.fonts import FontChoice, FontFace, capital_height
from dld_spotter.data.synthetic.lettering import Lettering, draw_letters
from dld_spotter.data.synthetic.vocabulary import Vocabulary

SHARP_HEIGHT = 32  # capitals lower than this are drawn at twice their size, beyond the reach of hinting


@dataclass(frozen=True)
class SetWord:
    """A word on the plane: pixel (x, y) of its ink lies at ``corner + scale * (x, y)``."""

    lettering: Lettering
    corner: tuple[float, float]
    scale: float

    @property
    def box(self) -> np.ndarray:
        """Left, top, right, bottom on the plane."""
        height, width = self.lettering.ink.shape
        x, y = self.corner
        return np.array([x, y, x + self.scale * width, y + self.scale * height])

    @property
    def character_boxes(self) -> np.ndarray:
        """(n, 4) left, top, right, bottom of the characters on the plane."""
        return self.lettering.characters * self.scale + np.array([*self.corner] * 2)

    def moved(self, right: float, down: float) -> "SetWord":
        """The same word elsewhere on the plane."""
        return SetWord(self.lettering, (self.corner[0] + right, self.corner[1] + down), self.scale)


@dataclass(frozen=True)
class Block:
    """Words and the (width, height) that they take up from (0, 0) on."""

    words: list[SetWord]
    size: tuple[float, float]


@dataclass(frozen=True)
class Setting:
    """How the words of a block are drawn.

    Attributes:
        face: the font.
        capital: height of capitals in plane pixels.
        case: of the words, see :meth:`~dld_spotter.data.synthetic.vocabulary.Vocabulary.draw`.
        tracking: extra space between letters as a share of the capitals' height.
        stroke: outline around the letters in plane pixels.
    """

    face: FontFace
    capital: float
    case: str | None = None
    tracking: float = 0.0
    stroke: float = 0.0


def random_setting(rng: np.random.Generator, fonts: FontChoice, capital: float, outlined: bool) -> Setting:
    """A font that keeps its ink at this height, with a case and spacing that go with signs."""
    face = fonts.draw(rng, least_ink=0.3 if capital < 14 else 0.2 if capital < 24 else 0.0)
    case = None if rng.random() < 0.4 else ("lower", "title", "upper")[int(rng.choice(3, p=(0.2, 0.35, 0.45)))]
    case = "upper" if face.single_case else case
    tracking = rng.choice([0.0, rng.uniform(0.02, 0.12), rng.uniform(0.1, 0.45)], p=[0.6, 0.3, 0.1])
    stroke = max(1.0, capital * rng.uniform(0.03, 0.1)) if outlined else 0.0
    return Setting(face, capital, case, tracking if capital > 12 else max(tracking, 0.04), stroke)


def letter_word(
    rng: np.random.Generator, vocabulary: Vocabulary, setting: Setting, longest: int
) -> tuple[Lettering, float] | None:
    """A new word in a setting, and the scale from its pixels to the plane's; None where the font lacks characters."""
    text = vocabulary.draw(rng, longest, setting.case)
    text = text.upper() if setting.face.single_case else text
    if not setting.face.can_draw(text):
        return None
    finer = 2 if setting.capital < SHARP_HEIGHT else 1
    size = max(6, round(finer * setting.capital / capital_height(setting.face.path)))
    # The true height of the capitals at this whole size; the scale makes up for the rounding.
    scale = setting.capital / (size * capital_height(setting.face.path))
    lettering = draw_letters(
        setting.face, text, size, setting.tracking * setting.capital / scale, round(setting.stroke / scale)
    )
    return None if lettering is None else (lettering, scale)


def set_lines(
    rng: np.random.Generator,
    vocabulary: Vocabulary,
    setting: Setting,
    lines: int,
    words: int,
    widest: float,
    title: float = 1.0,
) -> Block | None:
    """Words in lines under each other; None where none could be drawn.

    Args:
        rng: of the random choices.
        vocabulary: where the words come from.
        setting: of the letters.
        lines: how many.
        words: how many together.
        widest: most width of a line in plane pixels.
        title: factor of the first line's size.
    """
    align = rng.choice([0.0, 0.5, 1.0], p=[0.4, 0.5, 0.1])
    leading = rng.uniform(1.45, 2.1)
    gap = rng.uniform(0.35, 0.8)
    placed: list[tuple[list[SetWord], float]] = []
    base, free = 0.0, -np.inf
    for number in range(lines):
        factor = title if number == 0 else 1.0
        one = Setting(setting.face, setting.capital * factor, setting.case, setting.tracking, setting.stroke)
        count = max(1, round(words / lines))
        base += one.capital * leading
        line: list[SetWord] = []
        x = 0.0
        for _ in range(count):
            longest = int((widest - x) / (0.75 * one.capital * (1 + one.tracking)))
            lettered = letter_word(rng, vocabulary, one, min(longest, 20)) if longest >= 2 else None
            if lettered is None:
                continue
            lettering, scale = lettered
            width = scale * lettering.ink.shape[1]
            if line and x + width > widest:
                break
            line.append(SetWord(lettering, (x, base - scale * lettering.base), scale))
            x += width + gap * one.capital * (1 + one.tracking)
        if line:
            # Long tails reach beyond the leading; the outlines of two lines, which have a margin, must not meet.
            down = max(0.0, free - min(word.box[1] for word in line))
            line, base = [word.moved(0.0, down) for word in line], base + down
            free = max(word.box[3] for word in line) + 1.5 + 0.12 * one.capital
            placed.append((line, line[-1].box[2]))
    if not placed:
        return None
    full = max(width for _, width in placed)
    moved = [word.moved(align * (full - width), 0.0) for line, width in placed for word in line]
    top = min(word.box[1] for word in moved)
    moved = [word.moved(0.0, -top) for word in moved]
    return Block(moved, (max(word.box[2] for word in moved), max(word.box[3] for word in moved)))
