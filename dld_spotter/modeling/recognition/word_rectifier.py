"""Words cut out of the image, upright and at one size, for a crop-based recogniser.

Shapes: B images, R words over the whole batch.
"""

import math
from collections.abc import Sequence

import torch
from detectron2.structures import Boxes
from torch import Tensor, nn
from torch.nn import functional as F

from dld_spotter.modeling.recognition.masked_pooler import mask_coverage
from dld_spotter.structures import WordPolygons, grid_points

# Points a side at which a word's mask is looked at to find how the word lies.
MASK_SIZE = 28
# Halvings of the image that large words are cut from, so that no pixel is skipped.
HALVINGS = 3
# Added around a word on each side, in heights of the word.
MARGIN = 0.08
# Up to this ratio of length and height a word is taken to lie level; from the second one on its mask tells how it lies.
LEVEL, TELLING = 1.1, 1.6
# A word that rises more steeply than this (degrees) is read downwards, as all vertical words are.
STEEPEST_RISE = 75.0


class WordRectifier(nn.Module):
    """The least rectangle around each word's mask, along the mask's main axis, as a small picture.

    Words keep their proportions, or with ``heights`` are all stretched alike: a short word fills the left of its
    picture and the rest is zero, which is the mean colour of a normalised image; a longer word than fits is compressed.
    Words that are taller than ``vertical_ratio`` times their width are read from top to bottom.

    Args:
        size: rows and columns of the picture.
        vertical_ratio: see above.
        heights: how many heights of the word fill the picture's length; 0: as many as keep its proportions.
    """

    def __init__(self, size: tuple[int, int], vertical_ratio: float = 1.5, heights: float = 0.0):
        super().__init__()
        self.size = tuple(size)
        self.vertical_ratio = vertical_ratio
        self.heights = heights or size[1] / size[0]

    def forward(
        self,
        images: Tensor,
        boxes: Sequence[Boxes],
        polygons: Sequence[WordPolygons] | None = None,
        mask_probs: Tensor | None = None,
    ) -> Tensor:
        """
        Args:
            images: (B, C, H, W), normalised and padded.
            boxes: of the words of each image, in pixels.
            polygons: outlines of the words of each image, in pixels; or
            mask_probs: (R, 1, M, M) predicted masks, each over its word's box.

        Returns:
            (R, C, rows, columns).
        """
        box = torch.cat([b.tensor for b in boxes])
        if len(box) == 0:
            return images.new_zeros(0, images.shape[1], *self.size)
        points = grid_points(box, (MASK_SIZE, MASK_SIZE)).flatten(1, 2)
        if mask_probs is None:
            inside = WordPolygons.cat(polygons or ()).contain(points)
        else:
            inside = (mask_coverage(mask_probs, box, box, (MASK_SIZE, MASK_SIZE), 1) > 0.5).flatten(1)
        # A mask without a point inside says nothing: the box counts.
        inside = inside | ~inside.any(dim=1, keepdim=True)
        cell = (box[:, 2:] - box[:, :2]) / MASK_SIZE
        frame = word_frames(points, inside, cell, self.vertical_ratio)
        return self._cut(images, frame, [len(b) for b in boxes])

    def _cut(self, images: Tensor, frames: Tensor, counts: Sequence[int]) -> Tensor:
        rows, columns = self.size
        origin, along, length, height = frames[:, :2], frames[:, 2:4], frames[:, 4:5], frames[:, 5:6]
        down = torch.stack([-along[:, 1], along[:, 0]], dim=1)
        span = torch.maximum(length, height * self.heights)
        u = (torch.arange(columns, device=images.device) + 0.5) / columns * span  # (R, columns)
        v = (torch.arange(rows, device=images.device) + 0.5) / rows * height
        grid = (
            origin[:, None, None]
            + u[:, None, :, None] * along[:, None, None]
            + v[:, :, None, None] * down[:, None, None]
        )
        image_height, image_width = images.shape[-2:]
        grid = torch.stack([grid[..., 0] / image_width, grid[..., 1] / image_height], dim=-1)
        grid = (2 * grid - 1).split(list(counts))
        step = torch.maximum(height / rows, span / columns).clamp(min=1)
        level = step.log2().floor().clamp(max=HALVINGS)[..., None, None]
        halved = images.float()
        pictures = halved.new_zeros(())
        for index in range(HALVINGS + 1):
            cut = torch.cat([_sample(image, g) for image, g in zip(halved, grid, strict=True)])
            pictures = torch.where(level == index, cut, pictures)
            if index < HALVINGS:
                halved = F.avg_pool2d(halved, 2, ceil_mode=True, count_include_pad=False)
        return (pictures * (u <= length)[:, None, None]).to(images.dtype)


def _sample(image: Tensor, grid: Tensor) -> Tensor:
    """(R, C, rows, columns) of one image (C, H, W) at the places (R, rows, columns, 2); zero outside."""
    words, rows, columns = grid.shape[:3]
    if words == 0:
        return image.new_zeros(0, image.shape[0], rows, columns)
    sampled = F.grid_sample(image[None], grid.float().reshape(1, words * rows, columns, 2), align_corners=False)
    return sampled[0].unflatten(1, (words, rows)).transpose(0, 1)


def word_frames(points: Tensor, inside: Tensor, cell: Tensor, vertical_ratio: float) -> Tensor:
    """How words lie, by the second moments of their masks.

    The main axis of a shape with the covariance ((a, b), (b, c)) has the angle atan2(2 b, a - c) / 2, and the standard
    deviations along the axes of a rectangle are to each other as its sides.

    Args:
        points: (R, S, 2) centres of cells over each word's box.
        inside: (R, S) bool, which of them the word covers; at least one.
        cell: (R, 2) width and height of a cell.
        vertical_ratio: words longer than this many times their height may be vertical.

    Returns:
        (R, 6): the rectangle's corner where reading starts, the unit vector along the word, length and height.
    """
    weight = inside.float()
    total = weight.sum(dim=1)
    centre = (points * weight[..., None]).sum(dim=1) / total[:, None]
    x, y = (points - centre[:, None]).unbind(dim=2)
    # A cell is no point: a uniform density over it has a variance of its own.
    a = (weight * x * x).sum(dim=1) / total + cell[:, 0] ** 2 / 12
    c = (weight * y * y).sum(dim=1) / total + cell[:, 1] ** 2 / 12
    b = (weight * x * y).sum(dim=1) / total
    angle = torch.atan2(2 * b, a - c) / 2  # in (-90, 90] degrees, clockwise on the screen
    spread = ((a - c) ** 2 + 4 * b**2).sqrt()
    ratio = ((a + c + spread) / (a + c - spread).clamp(min=1e-6)).sqrt()

    quarter = math.pi / 2
    upright = (angle.abs() > quarter / 2) & (ratio <= vertical_ratio)  # a short word, taller than wide
    angle = torch.where(upright, angle - quarter * angle.sign(), angle)
    angle = torch.where(angle < -math.radians(STEEPEST_RISE), angle + math.pi, angle)
    telling = ((ratio - LEVEL) / (TELLING - LEVEL)).clamp(0, 1)
    angle = torch.where(angle.abs() > quarter / 2, angle, angle * telling)

    along = torch.stack([angle.cos(), angle.sin()], dim=1)
    down = torch.stack([-along[:, 1], along[:, 0]], dim=1)
    start, size = [], []
    for axis in (along, down):
        place = x * axis[:, :1] + y * axis[:, 1:]
        half = (axis.abs() * cell).sum(dim=1) / 2
        low = place.masked_fill(~inside, torch.inf).amin(dim=1) - half
        start.append(low)
        size.append(place.masked_fill(~inside, -torch.inf).amax(dim=1) + half - low)
    margin = MARGIN * size[1]
    origin = centre + (start[0] - margin)[:, None] * along + (start[1] - margin)[:, None] * down
    return torch.cat([origin, along, torch.stack([size[0] + 2 * margin, size[1] + 2 * margin], dim=1)], dim=1)
