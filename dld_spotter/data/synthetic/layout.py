"""Where blocks of words find room in a scene."""

from dataclasses import dataclass

import cv2
import numpy as np

from dld_spotter.data.synthetic.blocks import SetWord
from dld_spotter.data.synthetic.surfaces import Surface, random_view, shift

PLACES_TRIED = 15
EDGE = 1.5  # pixels between a block and the edge of the scene


@dataclass(frozen=True)
class Placement:
    """A block in its place.

    Attributes:
        surface: from the block's plane to the scene.
        inner: (P, 2) outline in the scene of the block's words.
        footprint: (P, 2) outline in the scene of the block with the space around it.
        padded: (4,) left, top, right, bottom of the same on the plane.
        margin: between the ink of a word and its outline, in pixels of the plane.
    """

    surface: Surface
    inner: np.ndarray
    footprint: np.ndarray
    padded: np.ndarray
    margin: float

    def outline(self, word: SetWord) -> np.ndarray:
        """(P, 2) outline of a word in the scene."""
        return self.surface.outline(word.box, self.margin)


class Room:
    """Which part of a scene is still free.

    Args:
        size: height and width of the scene in pixels.
    """

    def __init__(self, size: tuple[int, int]):
        self.taken = np.zeros(size, np.uint8)

    @property
    def share(self) -> float:
        """Of the scene that is taken."""
        return float(self.taken.mean())

    def take(self, footprint: np.ndarray) -> None:
        """Let nothing else stand here."""
        cv2.fillPoly(self.taken, [np.rint(footprint).astype(np.int32)], 1)

    def find(
        self, rng: np.random.Generator, surface: Surface, size: tuple[float, float], padding: float, capital: float
    ) -> Placement | None:
        """Move a block of (width, height) to a free place; None where none was found.

        Args:
            rng: of the random choices.
            surface: of the block, anywhere.
            size: (width, height) of the block, in pixels of the plane.
            padding: free space around it, in pixels of the plane.
            capital: height of its capitals there.
        """
        box = np.array([0.0, 0.0, *size])
        padded = box + padding * np.array([-1, -1, 1, 1])
        footprint = surface.outline(padded, 0.0)
        low, high = footprint.min(axis=0) - EDGE, footprint.max(axis=0) + EDGE
        height, width = self.taken.shape
        if not np.isfinite(footprint).all() or (high - low > [width, height]).any():
            return None
        ground = np.rint(footprint - low).astype(np.int32)
        stamp = np.zeros(np.ceil(high - low).astype(int)[::-1] + 1, np.uint8)
        cv2.fillPoly(stamp, [ground], 1)
        for _ in range(PLACES_TRIED):
            x, y = rng.uniform(0, width - (high - low)[0]), rng.uniform(0, height - (high - low)[1])
            part = self.taken[int(y) : int(y) + stamp.shape[0], int(x) : int(x) + stamp.shape[1]]
            if not (part & stamp[: part.shape[0], : part.shape[1]]).any():
                moved = _moved(surface, int(x) - low[0], int(y) - low[1])
                return Placement(moved, moved.outline(box, 0.0), moved.outline(padded, 0.0), padded, _margin(capital))
        return None


def _margin(capital: float) -> float:
    """People outline words with a little air; half a pixel is what sampling smears."""
    return 0.5 + 0.05 * capital


def _moved(surface: Surface, x: float, y: float) -> Surface:
    return Surface(shift(x, y) @ surface.to_scene, surface.centre, surface.radius, surface.wave)


def flat_surface(rng: np.random.Generator, size: tuple[float, float], strength: float, turn: float) -> Surface:
    """A plane with a block of (width, height), seen from some side (see ``random_view``)."""
    return Surface(random_view(rng, size, strength, turn))


def curved_surface(
    rng: np.random.Generator, size: tuple[float, float], capital: float, strength: float, turn: float
) -> Surface:
    """The same, bent: mostly an arc of up to 130 degrees, sometimes a wave."""
    width, height = size
    view = random_view(rng, size, strength, turn)
    centre = (width / 2, height / 2)
    if rng.random() < 0.3:
        wave = (capital * rng.uniform(0.15, 0.4), max(width, 3 * capital) * rng.uniform(0.8, 1.6))
        return Surface(view, centre, wave=wave)
    # No arc is so tight that letters on its inside run into each other.
    radius = max(width / rng.uniform(0.5, 2.3), 1.6 * height)
    return Surface(view, centre, radius * rng.choice([-1, 1], p=[0.35, 0.65]))
