"""Putting ink and plates into a scene: warped masks, colours with enough contrast, outlines and shadows."""

from dataclasses import dataclass

import cv2
import numpy as np

from dld_spotter.data.synthetic.backgrounds import luminance, random_colour
from dld_spotter.data.synthetic.blocks import SetWord
from dld_spotter.data.synthetic.surfaces import Surface, shift

Window = tuple[int, int, int, int]  # left, top, width, height in pixels of the scene


@dataclass(frozen=True)
class Ink:
    """How the letters look.

    Attributes:
        colour, stroke: (3,) BGR of the letters and of their outline (None without one).
        opacity: of both.
        shadow: its (dx, dy), blur in pixels and strength; None without one.
        worn: how much of the ink has flaked off, 0 to 1.
    """

    colour: np.ndarray
    stroke: np.ndarray | None = None
    opacity: float = 1.0
    shadow: tuple[float, float, float, float] | None = None
    worn: float = 0.0


def window_around(points: np.ndarray, size: tuple[int, int], margin: float) -> Window | None:
    """The part of the scene around some points; None where they lie outside."""
    left, top = np.floor(points.min(axis=0) - margin).astype(int)
    right, bottom = np.ceil(points.max(axis=0) + margin).astype(int)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, size[1]), min(bottom, size[0])
    return None if left >= right or top >= bottom else (int(left), int(top), int(right - left), int(bottom - top))


def warp_mask(mask: np.ndarray, word: SetWord, surface: Surface, window: Window) -> np.ndarray:
    """(h, w) uint8: a word's mask as it appears in a window of the scene."""
    left, top, width, height = window
    if surface.is_flat:
        # OpenCV counts from pixel centres, the maps from pixel corners.
        to_plane = np.array([[word.scale, 0, word.corner[0]], [0, word.scale, word.corner[1]], [0, 0, 1]])
        matrix = shift(-left - 0.5, -top - 0.5) @ surface.to_scene @ to_plane @ shift(0.5, 0.5)
        return cv2.warpPerspective(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)
    rows, columns = np.mgrid[0:height, 0:width]
    points = np.stack([columns.ravel() + left + 0.5, rows.ravel() + top + 0.5], axis=-1)
    places = (surface.inverse(points) - word.corner) / word.scale - 0.5
    maps = places.astype(np.float32).reshape(height, width, 2)
    return cv2.remap(mask, maps, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]  # None is right there


def paint_word(
    rng: np.random.Generator, image: np.ndarray, word: SetWord, surface: Surface, outline: np.ndarray, ink: Ink
) -> None:
    """Paint one word into the image (H, W, 3) uint8, in place."""
    reach = 2.0 if ink.shadow is None else 2.0 + max(map(abs, ink.shadow[:2])) + 3 * ink.shadow[2]
    window = window_around(outline, image.shape[:2], reach)
    if window is None:
        return
    left, top, width, height = window
    part = image[top : top + height, left : left + width].astype(np.float32)
    full = warp_mask(word.lettering.ink, word, surface, window).astype(np.float32) / 255
    if ink.shadow is not None:
        dx, dy, blur, strength = ink.shadow
        moved = cv2.warpAffine(full, np.array([[1, 0, dx], [0, 1, dy]], np.float32), (width, height))
        moved = cv2.GaussianBlur(moved, (0, 0), blur) if blur > 0.2 else moved
        part *= (1 - strength * moved)[..., None]
    wear: np.ndarray = np.array(ink.opacity, np.float32)
    if ink.worn:
        grain = cv2.resize(rng.random((max(2, height // 2), max(2, width // 2)), np.float32), (width, height))
        wear = ink.opacity * (1 - ink.worn * grain)
    if ink.stroke is None:
        part += (ink.colour - part) * (full * wear)[..., None]
    else:
        core = warp_mask(word.lettering.core, word, surface, window).astype(np.float32) / 255
        part += (ink.stroke - part) * (full * wear)[..., None]
        part += (ink.colour - part) * (core * wear)[..., None]
    image[top : top + height, left : left + width] = np.clip(np.rint(part), 0, 255).astype(np.uint8)


def ground_under(image: np.ndarray, outline: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean BGR (3,) of the image inside an outline, and the standard deviation of the luminance there."""
    window = window_around(outline, image.shape[:2], 0)
    if window is None:
        return np.full(3, 128.0), 0.0
    left, top, width, height = window
    part = image[top : top + height, left : left + width]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline - [left, top]).astype(np.int32)], 255)
    mean = np.array(cv2.mean(part, mask)[:3])
    deviation = cv2.meanStdDev(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), mask=mask)[1]
    return mean, float(deviation[0, 0])


def with_luminance(colour: np.ndarray, target: float) -> np.ndarray:
    """The colour made darker, or mixed with white, until it has that luminance."""
    own = float(luminance(colour))
    if target <= own:
        return colour * (target / max(own, 1e-6))
    return colour + (255 - colour) * ((target - own) / max(255 - own, 1e-6))


def contrasting_colour(rng: np.random.Generator, ground: float, difference: float) -> np.ndarray | None:
    """(3,) BGR whose luminance differs from the ground's by that much, on either side; None where there is no room."""
    targets = [target for target in (ground - difference, ground + difference) if 0 <= target <= 255]
    if not targets:
        return None
    return with_luminance(random_colour(rng, (0.2, 1.0)), targets[int(rng.integers(len(targets)))])


def choose_ink(
    rng: np.random.Generator,
    mean: np.ndarray,
    deviation: float,
    height: float,
    faint: bool,
    effects: bool,
    stroked: bool,
) -> Ink:
    """An ink that can be read on a ground of this mean and deviation.

    Args:
        rng: of the random choices.
        mean: (3,) BGR of the ground.
        deviation: standard deviation of its luminance.
        height: of the smallest word in pixels; small print needs more contrast.
        faint: little contrast is wanted.
        effects: shadows and worn ink are.
        stroked: the letters have an outline.
    """
    ground = float(luminance(mean))
    low, high = (34, 55) if faint and height > 12 else (75, 200)
    # The widest difference that one of the sides has room for is what a plain ground lets everyone have.
    room = max(ground, 255 - ground) - 1e-3
    difference = min(max(rng.uniform(low, max(low + 1, min(high, room))), 2.2 * deviation + 20), room)
    colour = contrasting_colour(rng, ground, difference)
    assert colour is not None  # the difference has room
    stroke = None
    if stroked:
        own = float(luminance(colour))
        stroke = contrasting_colour(rng, own, rng.uniform(90, 125))
        stroke = np.full(3, 255.0 if own < 128 else 0.0) if stroke is None else stroke
    shadow, worn = None, 0.0
    if effects and not faint:
        reach = height * rng.uniform(0.03, 0.09)
        shadow = (*(reach * rng.choice([-1, 1], 2)), reach * rng.uniform(0.0, 0.8), rng.uniform(0.3, 0.8))
        worn = rng.uniform(0.1, 0.5) if height > 20 and rng.random() < 0.4 else 0.0
    return Ink(colour, stroke, rng.uniform(0.88, 1.0) if not faint else 1.0, shadow, worn)


def paint_plate(
    rng: np.random.Generator,
    image: np.ndarray,
    surface: Surface,
    box: np.ndarray,
    colour: np.ndarray,
    texture: np.ndarray,
) -> None:
    """Paint a sign's own ground into the image, in place: rounded or not, with a border, shading and a cast shadow.

    ``box`` is left, top, right and bottom on the plane; ``texture`` an (h, w) uint8 pattern that mottles the plate.
    """
    outer = surface.forward(_rounded(box, rng.choice([0.0, 0.0, 0.08, 0.2, 0.5])))
    depth = rng.uniform(1, 8)
    window = window_around(outer, image.shape[:2], 3 * depth + 4)
    if window is None:
        return
    left, top, width, height = window
    part = image[top : top + height, left : left + width].astype(np.float32)
    mask = _filled(outer - [left, top], (height, width))
    if rng.random() < 0.7:
        shift_below = np.array([[1, 0, rng.uniform(-1, 1) * depth], [0, 1, depth]], np.float32)
        moved = cv2.warpAffine(mask, shift_below, (width, height))
        part *= (1 - rng.uniform(0.2, 0.6) * cv2.GaussianBlur(moved, (0, 0), depth))[..., None]
    face = _plate_face(rng, colour, texture, (height, width))
    part += (face - part) * mask[..., None]
    if rng.random() < 0.45:
        inset = rng.uniform(0.02, 0.05) * (box[3] - box[1])
        edge = contrasting_colour(rng, float(luminance(colour)), rng.uniform(40, 110))
        inner = _filled(
            surface.forward(_rounded(box + np.array([1, 1, -1, -1]) * inset, 0.1)) - [left, top], mask.shape
        )
        border = np.clip(mask - inner, 0, 1)[..., None]
        part += ((edge if edge is not None else colour * 0.5) - part) * border
    image[top : top + height, left : left + width] = np.clip(np.rint(part), 0, 255).astype(np.uint8)


def _plate_face(rng: np.random.Generator, colour: np.ndarray, texture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3): a colour that changes a little across the plate, with dirt or grain."""
    corners = 1 + rng.uniform(0, 0.25) * rng.uniform(-1, 1, (2, 2)).astype(np.float32)
    shade = cv2.resize(corners, size[::-1], interpolation=cv2.INTER_LINEAR)
    y, x = (int(rng.integers(max(1, length - side))) for length, side in zip(texture.shape, size, strict=True))
    grain = cv2.resize(texture[y : y + size[0], x : x + size[1]], size[::-1])
    shade = shade + rng.beta(1, 4) * 0.5 * (grain.astype(np.float32) / 255 - 0.5)
    return colour.astype(np.float32) * shade[..., None]


def _rounded(box: np.ndarray, share: float) -> np.ndarray:
    """(N, 2) outline of a box whose corners are rounded by a share of its shorter side; its edges have points too."""
    left, top, right, bottom = box
    radius = share * min(right - left, bottom - top)
    centres = [(right, bottom), (left, bottom), (left, top), (right, top)]
    signs = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    steps = np.linspace(0, np.pi / 2, 5 if share else 1)
    points = [
        (x + sx * radius + radius * np.cos(turn + step), y + sy * radius + radius * np.sin(turn + step))
        for (x, y), (sx, sy), turn in zip(centres, signs, np.arange(4) * np.pi / 2, strict=True)
        for step in steps
    ]
    corners = np.array(points)
    following = np.roll(corners, -1, axis=0)
    shares = np.linspace(0, 1, 8, endpoint=False)[:, None]
    return np.concatenate([a + (b - a) * shares for a, b in zip(corners, following, strict=True)])


def _filled(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) float32 coverage of a polygon."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.rint((points - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255
