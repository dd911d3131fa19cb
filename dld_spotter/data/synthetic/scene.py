"""Whole scenes that look like photographs, with the outline, the characters and the text of every word."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from dld_spotter.data.synthetic.backgrounds import draw_background, random_colour, textured
from dld_spotter.data.synthetic.blocks import Block, SetWord, random_setting, set_lines
from dld_spotter.data.synthetic.degradation import choose_quality, degrade
from dld_spotter.data.synthetic.fonts import FontChoice, FontFace
from dld_spotter.data.synthetic.layout import Placement, Room, curved_surface, flat_surface
from dld_spotter.data.synthetic.painting import choose_ink, ground_under, paint_plate, paint_word
from dld_spotter.data.synthetic.style import SceneStyle, SizeKind
from dld_spotter.data.synthetic.vocabulary import Vocabulary

FONT_TRIES = 4
MOST_FAILURES = 12  # blocks that find no room in a row, before a scene is taken to be full
FINE_PRINT = (3.0, 4.5)  # height of capitals in pixels that nobody can read
HIDDEN = 0.12  # share of a word that a thing in front may hide before nobody is asked to read it


@dataclass(frozen=True)
class SceneWord:
    """One word of a scene.

    Attributes:
        text: what it says.
        polygon: (P, 2) float32 x and y in pixels, clockwise from the top left of the word as it is read.
        characters: (n, 4, 2) float32, a quadrilateral for each character, in the same order.
        ignore: whether nobody is asked to read it: too small, or partly hidden.
    """

    text: str
    polygon: np.ndarray
    characters: np.ndarray
    ignore: bool = False


@dataclass
class PhotoScene:
    """A scene.

    Attributes:
        image: (H, W, 3) uint8, BGR; pixel (column, row) covers [column, column + 1) x [row, row + 1).
        words: all that is written in it.
        quality: of the JPEG file that it should become.
    """

    image: np.ndarray
    words: list[SceneWord] = field(default_factory=list)
    quality: int = 95


class SceneDrawer:
    """Draws scenes of one style; the same generator state gives the same scene.

    Args:
        faces: fonts to draw with.
        vocabulary: words to draw.
        bank: grey patterns for the grounds (see ``textures.texture_bank``).
        style: what the scenes look like.
    """

    def __init__(
        self, faces: Sequence[FontFace], vocabulary: Vocabulary, bank: Sequence[np.ndarray], style: SceneStyle
    ):
        self.fonts = FontChoice(faces)
        self.vocabulary = vocabulary
        self.bank = bank
        self.style = style
        self.items = [name for name, _ in style.items]
        weights = np.array([weight for _, weight in style.items])
        self.item_shares = weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> PhotoScene:
        """A scene with at least one word, unless the fonts cannot draw any."""
        style = self.style
        shares = np.array([kind.share for kind in style.kinds])
        kind = style.kinds[int(rng.choice(len(shares), p=shares / shares.sum()))]
        scene = PhotoScene(draw_background(rng, self.bank, style.size, style.texture))
        room = Room(style.size)
        wanted, failures = int(rng.integers(kind.words[0], kind.words[1] + 1)), 0
        while len(scene.words) < wanted and failures < MOST_FAILURES:
            item = self.items[int(rng.choice(len(self.items), p=self.item_shares))]
            added = self._add_item(rng, scene, room, item, kind, wanted - len(scene.words))
            failures = 0 if added else failures + 1
        if rng.random() < style.fine_print:
            self._add_fine_print(rng, scene, room)
        if rng.random() < style.covers:
            self._cover(rng, scene)
        smallest = min((_thickness(word) for word in scene.words if not word.ignore), default=float(kind.heights[0]))
        scene.image = degrade(rng, scene.image, style, smallest)
        scene.quality = choose_quality(rng, style, smallest)
        return scene

    def _add_item(
        self, rng: np.random.Generator, scene: PhotoScene, room: Room, item: str, kind: SizeKind, left: int
    ) -> bool:
        """Set one block of at most ``left`` words into the scene; whether there was room for it."""
        height, width = self.style.size
        low, high = kind.heights
        # Later blocks of a scene that fills up are smaller.
        capital = np.exp(rng.uniform(np.log(low), np.log(max(low, high * (1 - room.share)) + 1e-3))) * 0.85
        capital = min(capital, 0.6 * height)
        widest = width * rng.uniform(0.3, 0.95)
        if item == "page":
            lines, words, widest = 1, left, 0.96 * width
        elif item in ("single", "curved"):
            lines, words = 1, 1 if item == "single" else int(rng.integers(1, 4))
        else:
            lines = int(rng.integers(1, 5 if item == "panel" else 4))
            words = lines * int(rng.integers(1, 4))
        block = self._set(rng, capital, lines, min(words, left), widest, title=item == "panel")
        if block is None:
            return False
        placement = self._place(rng, room, block, item, capital)
        if placement is None:
            return False
        room.take(placement.footprint)
        self._paint(rng, scene, block, placement, item, capital)
        for word in block.words:
            scene.words.append(_scene_word(word, placement, too_small=0.6 * low))
        return True

    def _set(
        self, rng: np.random.Generator, capital: float, lines: int, words: int, widest: float, title: bool
    ) -> Block | None:
        """A block of new words; another font is tried where one lacks characters."""
        factor = rng.choice([1.0, rng.uniform(1.2, 1.8)], p=[0.6, 0.4]) if title and lines > 1 else 1.0
        for _ in range(FONT_TRIES):
            setting = random_setting(rng, self.fonts, capital, outlined=rng.random() < 0.4 * self.style.effects)
            block = set_lines(rng, self.vocabulary, setting, lines, max(words, lines), widest, factor)
            if block is not None:
                return block
        return None

    def _place(self, rng: np.random.Generator, room: Room, block: Block, item: str, capital: float) -> Placement | None:
        """Where the block fits, seen from some side; None where it does not."""
        style = self.style
        turn = rng.normal(0, style.turn / 2) if rng.random() < 0.94 else rng.uniform(-3, 3) * style.turn
        strength = style.view * rng.beta(1.1, 2.2)
        if item == "page":
            turn, strength = rng.normal(0, style.turn / 2), 0.0
        if item == "curved":
            surface = curved_surface(rng, block.size, capital, strength, turn)
        else:
            surface = flat_surface(rng, block.size, strength, turn)
        # A sign has a border around its words; two blocks do not touch.
        padding = capital * (rng.uniform(0.35, 1.1) if item == "panel" else 0.15 if item == "page" else 0.25)
        return room.find(rng, surface, block.size, padding, capital)

    def _paint(
        self, rng: np.random.Generator, scene: PhotoScene, block: Block, placement: Placement, item: str, capital: float
    ) -> None:
        """The sign, if there is one, then its words in one ink."""
        style, image = self.style, scene.image
        if item == "panel":
            pattern = self.bank[int(rng.integers(len(self.bank)))]
            paint_plate(rng, image, placement.surface, placement.padded, random_colour(rng), pattern)
        mean, deviation = ground_under(image, placement.inner)
        ink = choose_ink(
            rng,
            mean,
            deviation,
            capital,
            faint=rng.random() < style.low_contrast,
            effects=rng.random() < style.effects,
            stroked=block.words[0].lettering.core is not block.words[0].lettering.ink,
        )
        for word in block.words:
            paint_word(rng, image, word, placement.surface, placement.outline(word), ink)

    def _add_fine_print(self, rng: np.random.Generator, scene: PhotoScene, room: Room) -> None:
        """A block that nobody can read, as don't care."""
        capital = rng.uniform(*FINE_PRINT)
        lines = int(rng.integers(2, 5))
        block = self._set(rng, capital, lines, lines * 4, 0.4 * self.style.size[1], title=False)
        placement = None if block is None else self._place(rng, room, block, "panel", capital)
        if block is None or placement is None:
            return
        room.take(placement.footprint)
        self._paint(rng, scene, block, placement, "panel", capital)
        scene.words += [_scene_word(word, placement, too_small=np.inf) for word in block.words]

    def _cover(self, rng: np.random.Generator, scene: PhotoScene) -> None:
        """Put a pole, branch or passer-by in front of the scene; what it hides is don't care."""
        height, width = scene.image.shape[:2]
        x, lean = rng.uniform(0, width), rng.normal(0, 0.15 * width)
        half = rng.uniform(0.004, 0.04) * width
        corners = np.array(
            [[x - half, -9], [x + half, -9], [x + lean + half, height + 9], [x + lean - half, height + 9]]
        )
        if rng.random() < 0.4:  # across instead of down
            corners = corners[:, ::-1] * [width / height, height / width]
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.rint(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        np.copyto(scene.image, textured(rng, self.bank, (height, width), 0.5), where=mask[..., None] > 127)
        scene.words = [
            SceneWord(w.text, w.polygon, w.characters, w.ignore or _hidden_share(mask, w.polygon) > HIDDEN)
            for w in scene.words
        ]


def _scene_word(word: SetWord, placement: Placement, too_small: float) -> SceneWord:
    polygon = placement.outline(word).astype(np.float32)
    boxes = word.character_boxes
    corners = np.stack([boxes[:, [0, 1]], boxes[:, [2, 1]], boxes[:, [2, 3]], boxes[:, [0, 3]]], axis=1)
    characters = placement.surface.forward(corners.reshape(-1, 2)).reshape(-1, 4, 2).astype(np.float32)
    found = SceneWord(word.lettering.text, polygon, characters)
    return SceneWord(found.text, polygon, characters, ignore=_thickness(found) < too_small)


def _thickness(word: SceneWord) -> float:
    """Mean height of the word along its outline in pixels: half of the points lie on either long side."""
    half = len(word.polygon) // 2
    return float(np.linalg.norm(word.polygon[:half] - word.polygon[half:][::-1], axis=1).mean())


def _hidden_share(mask: np.ndarray, polygon: np.ndarray) -> float:
    inside = np.zeros_like(mask)
    cv2.fillPoly(inside, [np.rint(polygon).astype(np.int32)], 1)
    return cv2.mean(mask, inside)[0] / 255
