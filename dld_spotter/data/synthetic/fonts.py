"""Font files that can draw Latin words: found, checked glyph by glyph, and split by family."""

import hashlib
import os
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

SUFFIXES = (".ttf", ".otf", ".ttc")  # of a collection, the first face
LETTERS_AND_DIGITS = string.ascii_letters + string.digits
PRINTABLE = LETTERS_AND_DIGITS + string.punctuation
HELD_OUT_PERCENT = 30
# Families whose design goes by several names (metric clones, successors, siblings): held out, they would be in the
# training fonts under the other name, so they are for training alone.
_CLONED_STEMS = """
    arimo berenika beteckna betecknags bitstream c cabin cabinsketch caladea caliban carlito century charis clear cmu
    computer conakry courier cousine dejavu doulos droid eb elstob elstobd eurofurence free gentium gentiumalt gfs
    gillius gwmonospace hack ikarius induni inter junicode karla karmilla klaudia latin lato liberation libertinus
    linux lm m monofur monoid monoisome mplus nanumbarungothic nanumgothic nanumgothiccoding nanumsquare
    nanumsquareround nimbus noto ocr ocra open opendyslexic p rasa roboto stix stixgeneral stixsize switzera tex
    texgyre tibetanyigchung times tinos tiresias tribun unifur universalis urw vera verana xits yrsa z
"""
CLONED = frozenset(_CLONED_STEMS.split())
# Faces that pass the checks below although what they draw is Greek, symbols, keys or hardly anything readable.
_UNREADABLE_FAMILIES = """
    Alfa-beta, BM Euljiro oraeorae, D050000L, Delphine, Elegante, Ellhnikh, Engadget, Hamlet, Isabella, It wasn't me,
    Jessen, Joscelyn, Linux Biolinum Keyboard, Linux Biolinum Keyboard O, Noto Sans Symbols, Noto Traditional Nushu,
    OCR B, OCRB, Penguin Attack, Ptolemy, Quercus, Solide Mirage, Solothurn, Standard Symbols PS, Train One,
    TriodPostnaja, Ubuntu-Title, Wargames, Zainer, femkeklaver, unifur
"""
UNREADABLE = frozenset(name.strip() for name in _UNREADABLE_FAMILIES.split(","))
STYLE_WORDS = ("regular", "bold", "italic", "oblique", "condensed", "mono", "alta", "sans", "serif")
# Letters whose capital and small forms differ in shape; in the others only the size may differ.
TWO_FORMS = "abdeghnqrt"
UNLIKE = frozenset("Il1|/\\0OoQ.,'`-_~\"")  # fonts may draw some of these alike
CHECK_SIZE = 32


@dataclass(frozen=True)
class FontFace:
    """One font file.

    Attributes:
        path: of the file.
        family, style: as the file names them.
        characters: those that it has a glyph for, of printable ASCII and of what was asked for.
        single_case: small letters look like capitals, so it may only draw capitals.
        ink_share: share of the box of "HOn" that is ink; hairlines have little.
    """

    path: str
    family: str
    style: str
    characters: frozenset[str]
    single_case: bool
    ink_share: float

    def can_draw(self, word: str) -> bool:
        return self.characters.issuperset(word) and not (self.single_case and word.upper() != word)


def family_stem(family: str) -> str:
    """The first word of a family's name, in small letters: what its sans, serif and condensed siblings share."""
    words = "".join(character if character.isalpha() else " " for character in family.lower()).split()
    stem = words[0] if words else family.lower()
    while (shorter := stem.removesuffix(next(filter(stem.endswith, STYLE_WORDS), "."))) not in (stem, ""):
        stem = shorter
    return stem


def is_held_out_family(family: str) -> bool:
    """Whether a family is for test scenes alone, by a hash of its stem; siblings share the answer."""
    stem = family_stem(family)
    digest = hashlib.blake2b(stem.encode(), digest_size=8).digest()
    return stem not in CLONED and int.from_bytes(digest, "big") % 100 < HELD_OUT_PERCENT


def find_faces(folders: Iterable[str | os.PathLike], split: str, wanted: Iterable[str] = ()) -> list[FontFace]:
    """The usable faces of a split in these folders and those below, in the order of family and style.

    Left out: other families than the split's, files that FreeType cannot read, faces without Latin letters and
    digits, symbols, and second copies of a face.

    Args:
        folders: with font files, at any depth.
        split: "train" or "val".
        wanted: characters to look for besides printable ASCII; a face is not left out for want of them.

    Raises:
        FileNotFoundError: one of the folders does not exist.
        ValueError: there is no usable face.
    """
    places = [Path(folder) for folder in folders]
    for folder in places:
        if not folder.is_dir():
            raise FileNotFoundError(f"the font folder {folder} does not exist (--fonts).")
    paths = sorted(path for folder in places for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    wanted = frozenset(wanted)
    faces: dict[tuple[str, str], FontFace] = {}
    for path in paths:
        face = check_face(path, split, wanted)
        if face is not None:
            faces.setdefault((face.family, face.style), face)
    if not faces:
        names = ", ".join(map(str, folders)) or "no folder"
        raise ValueError(
            f"no font for the split '{split}' in {names} ({len(paths)} font files looked at); "
            "tools/fetch_fonts.py brings some, --fonts names their folder."
        )
    return [faces[key] for key in sorted(faces)]


def check_face(path: str | os.PathLike, split: str | None = None, wanted: Iterable[str] = ()) -> FontFace | None:
    """The face in a file; None where it cannot draw Latin words or its family belongs to another split.

    It notes which characters besides printable ASCII, of ``wanted``, the face has.
    """
    try:
        font = ImageFont.truetype(str(path), CHECK_SIZE, layout_engine=ImageFont.Layout.BASIC)
        family, style = (name or "" for name in font.getname())
        if split is not None and is_held_out_family(family) != (split == "test"):
            return None
        if family in UNREADABLE or "_" in family or not any(map(str.isalpha, family)):
            return None
        drawn = _drawn_glyphs(font)
    except (OSError, ValueError):
        return None
    if not set(LETTERS_AND_DIGITS) <= drawn.keys() or _confuses(drawn):
        return None
    share = float(np.mean([(drawn[character] / 255).mean() for character in "HOn"]))
    characters = frozenset(drawn) | _mapped_characters(path, font, wanted)
    return FontFace(str(path), family, style, characters, _is_single_case(drawn), share)


@lru_cache(maxsize=1024)
def load_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """A font at a size in pixels, kept. Pillow's basic layout: no ligatures, so that each character has its place."""
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def capital_height(path: str) -> float:
    """Height of an H as a share of the font size."""
    _, top, _, bottom = load_font(path, 100).getbbox("H")
    return max(bottom - top, 10) / 100


class FontChoice:
    """Picks faces: first a family, then one of its faces, so that families with many weights do not crowd out others.

    Families with more faces, mostly the everyday ones, come somewhat more often (by the square root).
    """

    def __init__(self, faces: Sequence[FontFace]):
        families: dict[str, list[FontFace]] = {}
        for face in faces:
            families.setdefault(family_stem(face.family), []).append(face)
        self.families = list(families.values())
        weights = np.sqrt([len(family) for family in self.families])
        self.shares = weights / weights.sum()

    def draw(self, rng: np.random.Generator, least_ink: float = 0.0, plain: bool = False) -> FontFace:
        """A face with at least this share of ink (hairlines vanish in small print) if one is found soon."""
        for _ in range(20):
            family = self.families[int(rng.choice(len(self.families), p=self.shares))]
            face = family[int(rng.integers(len(family)))]
            if face.ink_share >= least_ink and not (plain and face.single_case):
                break
        return face


def _mapped_characters(path: str | os.PathLike, font: ImageFont.FreeTypeFont, wanted: Iterable[str]) -> frozenset[str]:
    """Those of some characters that the file's character map has and that have ink."""
    wanted = frozenset(wanted)
    if not wanted:
        return wanted
    try:
        with TTFont(path, lazy=True, fontNumber=0) as file:
            mapped = file.getBestCmap() or {}
    except Exception:  # a damaged table raises nearly anything
        return frozenset()
    return frozenset(c for c in wanted if ord(c) in mapped and _glyph(font, c) is not None)


def _drawn_glyphs(font: ImageFont.FreeTypeFont) -> dict[str, np.ndarray]:
    """The ink of the printable characters that the font has a glyph for; {} where it lacks the first letter."""
    missing = _glyph(font, "\U0010fffd")
    drawn: dict[str, np.ndarray] = {}
    for character in PRINTABLE:
        glyph = _glyph(font, character)
        if glyph is not None and not _same(glyph, missing) and glyph.shape[0] < 2 * CHECK_SIZE:
            drawn[character] = glyph
        elif not drawn:
            break  # most likely a script of its own; the other characters need not be looked at
    return drawn


def _glyph(font: ImageFont.FreeTypeFont, character: str) -> np.ndarray | None:
    """(h, w) uint8 ink of one character, cut to its edges; None without ink."""
    canvas = Image.new("L", (4 * CHECK_SIZE, 4 * CHECK_SIZE))
    ImageDraw.Draw(canvas).text((CHECK_SIZE, CHECK_SIZE), character, fill=255, font=font)
    box = canvas.getbbox()
    return None if box is None else np.asarray(canvas.crop(box))


def _same(one: np.ndarray, other: np.ndarray | None) -> bool:
    return other is not None and one.shape == other.shape and bool((one == other).all())


def _confuses(glyphs: dict[str, np.ndarray]) -> bool:
    """Whether two letters or digits look the same that should not (a capital and its small letter may)."""
    seen: dict[tuple, str] = {}
    for character in LETTERS_AND_DIGITS:
        glyph = glyphs[character]
        other = seen.setdefault((glyph.shape, glyph.tobytes()), character)
        if other.lower() != character.lower() and not {other, character} <= UNLIKE:
            return True
    return False


def _is_single_case(glyphs: dict[str, np.ndarray]) -> bool:
    """Whether of all capitals a small letter's own one is mostly the most alike to it, at the same size."""
    small = np.stack([_shape(glyphs[letter]) for letter in TWO_FORMS])
    capitals = np.stack([_shape(glyphs[letter]) for letter in string.ascii_uppercase])
    shared = small @ capitals.T
    alike = shared / (small.sum(axis=1)[:, None] + capitals.sum(axis=1) - shared).clip(1)  # intersection over union
    own = [string.ascii_uppercase.index(letter.upper()) for letter in TWO_FORMS]
    return bool((alike.argmax(axis=1) == own).mean() > 0.5)


def _shape(glyph: np.ndarray) -> np.ndarray:
    """(576,) float32: 1 where a glyph has ink when stretched to 24 x 24 pixels."""
    return (cv2.resize(glyph, (24, 24), interpolation=cv2.INTER_AREA) > 100).astype(np.float32).ravel()
