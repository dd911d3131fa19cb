"""The size at which a network sees an image, and at which its masks are drawn.

Sides are pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

# Masks of up to 100 words are made at the size of the original; of larger photos at this many pixels, to bound memory.
MAX_MASK_PIXELS = 4_000_000


@dataclass(frozen=True)
class NetworkSize:
    """How images are brought to a network's size.

    Attributes:
        shortest: INPUT.MIN_SIZE_TEST, the shorter side; 0 leaves images as they are.
        longest: INPUT.MAX_SIZE_TEST, a limit of the longer side.
        step: sides are padded to multiples of it.
    """

    shortest: int
    longest: int
    step: int = 1

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """The size to which an image is resized, by the rule of Detectron2's ``ResizeShortestEdge``."""
        if self.shortest == 0:
            return height, width
        scale = self.shortest / min(height, width)
        sides = (self.shortest, scale * width) if height < width else (scale * height, self.shortest)
        factor = min(1.0, self.longest / max(sides))
        rows, columns = (max(1, int(side * factor + 0.5)) for side in sides)
        return rows, columns

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """The size of the network's input for an image of this size."""
        rows, columns = (-(-side // self.step) * self.step for side in self.resized(height, width))
        return rows, columns


def mask_size(height: int, width: int) -> tuple[int, int]:
    """The size at which the masks of an image of this size are made."""
    shrink = min(1.0, (MAX_MASK_PIXELS / (height * width)) ** 0.5)
    return max(1, round(height * shrink)), max(1, round(width * shrink))
