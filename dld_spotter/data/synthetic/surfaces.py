"""Where a flat piece of text lies in the scene: bent along an arc or a wave, then seen in perspective."""

from dataclasses import dataclass

import numpy as np

EDGE_POINTS = 7  # of each long side of a bent word's outline


@dataclass(frozen=True)
class Surface:
    """A map from a plane, on which text is set in straight lines, to the scene. All in pixels, y down.

    Attributes:
        to_scene: (3, 3) homography.
        centre: (u, v) of the plane where the bend begins to either side.
        radius: of the arc that the line v = centre v becomes; positive bends the ends down, negative up, 0 not at all.
        wave: height and length of a sine that moves points up and down; height 0 for none.
    """

    to_scene: np.ndarray
    centre: tuple[float, float] = (0.0, 0.0)
    radius: float = 0.0
    wave: tuple[float, float] = (0.0, 1.0)

    @property
    def is_flat(self) -> bool:
        return self.radius == 0 and self.wave[0] == 0

    def forward(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) of the plane to (N, 2) of the scene."""
        u, v = np.asarray(points, np.float64).T
        if self.radius:
            (u0, v0), radius = self.centre, self.radius
            along, away = (u - u0) / radius, radius - (v - v0)
            u, v = u0 + away * np.sin(along), v0 + radius - away * np.cos(along)
        if self.wave[0]:
            v = v + self.wave[0] * np.sin(2 * np.pi * (u - self.centre[0]) / self.wave[1])
        return transform(self.to_scene, np.stack([u, v], axis=-1))

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) of the scene to (N, 2) of the plane."""
        u, v = transform(np.linalg.inv(self.to_scene), np.asarray(points, np.float64)).T
        if self.wave[0]:
            v = v - self.wave[0] * np.sin(2 * np.pi * (u - self.centre[0]) / self.wave[1])
        if self.radius:
            (u0, v0), radius = self.centre, self.radius
            sign = np.sign(radius)
            across, down = sign * (u - u0), sign * (v0 + radius - v)
            u = u0 + radius * np.arctan2(across, down)
            v = v0 + radius - sign * np.hypot(across, down)
        return np.stack([u, v], axis=-1)

    def outline(self, box: np.ndarray, margin: float) -> np.ndarray:
        """Outline in the scene of a box (left, top, right, bottom) of the plane, widened by a margin.

        Four points where the plane is flat, else twice seven: the upper edge from the left, then the lower edge from
        the right. Chords cut the outer edge of an arc and the crests of a wave, so edges move out by their sagitta.
        """
        left, top, right, bottom = box + np.array([-margin, -margin, margin, margin])
        if self.is_flat:
            return self.forward(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))
        half_chord = (right - left) / (EDGE_POINTS - 1) / 2
        if self.radius:
            outer = abs(self.radius) + (self.centre[1] - top if self.radius > 0 else bottom - self.centre[1])
            sagitta = outer * (1 - np.cos(min(half_chord / abs(self.radius), 1.0)))
            top, bottom = (top - sagitta, bottom) if self.radius > 0 else (top, bottom + sagitta)
        if self.wave[0]:
            sagitta = abs(self.wave[0]) * (1 - np.cos(min(2 * np.pi * half_chord / self.wave[1], np.pi / 2)))
            top, bottom = top - sagitta, bottom + sagitta
        u = np.linspace(left, right, EDGE_POINTS)
        upper, lower = np.stack([u, np.full_like(u, top)], -1), np.stack([u, np.full_like(u, bottom)], -1)
        return self.forward(np.concatenate([upper, lower[::-1]]))


def transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 2) through a (3, 3) homography."""
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    return mapped[:, :2] / mapped[:, 2:]


def random_view(rng: np.random.Generator, size: tuple[float, float], strength: float, roll: float) -> np.ndarray:
    """(3, 3): a plane of (width, height) seen from an angle, its middle at (0, 0) and there at its own scale.

    Args:
        rng: of the random choices.
        size: (width, height) of the plane.
        strength: 0 sees it straight on, 1 turns it sideways by up to 55 and up or down by up to 35 degrees.
        roll: turn in the image in degrees, positive clockwise on screen.
    """
    yaw, pitch = np.deg2rad(rng.uniform(-55, 55) * strength), np.deg2rad(rng.uniform(-35, 35) * strength)
    roll = np.deg2rad(roll)
    width, height = size
    distance = rng.uniform(1.5, 4.0) * max(width, height, 1.0)
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    turn = about_z @ about_x @ about_y
    # Plane point (u, v, 0), moved to the middle, turned, pushed away by the distance, seen with that focal length.
    matrix = np.column_stack([turn[:, 0], turn[:, 1], [0, 0, distance]])
    matrix[:2] *= distance
    centred = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    matrix = matrix @ centred
    return matrix / matrix[2, 2]


def shift(x: float, y: float) -> np.ndarray:
    """(3, 3): move by x and y."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
