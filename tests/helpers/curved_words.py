"""Outlines of words along arcs and waves, in any direction, with known reading order."""

import numpy as np
import torch
from detectron2.structures import Instances

from dld_spotter.structures import WordPolygons


def curved_word(rng: np.random.Generator, points_a_side: int = 8, extent: int = 256) -> np.ndarray:
    """(2 * points_a_side, 2) outline, clockwise on screen from the start of the reading, inside a square image.

    The line of text is an arc that turns by up to 150 degrees either way, in a random direction.
    """
    height = rng.uniform(20, 48)
    length = rng.uniform(2, 4.5) * height
    turn = np.deg2rad(rng.uniform(-150, 150))
    if abs(turn) * height > length:  # the inner side would fold
        turn = np.sign(turn) * length / height
    heading = rng.uniform(0, 2 * np.pi) + turn * np.linspace(-0.5, 0.5, 400)
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * length / 400
    line = steps.cumsum(axis=0)
    index = np.linspace(0, 399, points_a_side).astype(int)
    up = np.stack([np.sin(heading), -np.cos(heading)], axis=1)[index] * height / 2
    outline = np.concatenate([line[index] + up, (line[index] - up)[::-1]])
    low, high = outline.min(axis=0), outline.max(axis=0)
    room = np.maximum(extent - 16 - (high - low), 0)
    return (outline - low + 8 + rng.uniform(0, 1, 2) * room).astype(np.float32)


def targets_of(polygons, image_size, ignored=()) -> Instances:
    """Target Instances of outlines; ``ignored`` lists the don't-care ones."""
    words = Instances(image_size)
    words.gt_masks = WordPolygons.from_list(polygons)
    words.gt_ignore = torch.tensor([i in ignored for i in range(len(polygons))], dtype=torch.bool)
    return words
