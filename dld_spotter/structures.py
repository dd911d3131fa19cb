"""Word outlines as one tensor, so that they can be moved, indexed, rescaled and rasterised as a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.structures import Boxes
from torch import Tensor


class WordPolygons:
    """Outlines of N words with at most P points each, padded by repeating each outline's last point.

    It stands in an ``Instances`` as ``gt_masks`` and takes the place of Detectron2's ``PolygonMasks``, which are
    rasterised on the CPU one word at a time.

    Attributes:
        tensor: (N, P, 2) float32, x and y in pixels.
    """

    def __init__(self, tensor: Tensor):
        if tensor.dim() != 3 or tensor.shape[-1] != 2:
            raise ValueError(f"word polygons are (N, P, 2); got {tuple(tensor.shape)}.")
        self.tensor = tensor.to(torch.float32)

    @classmethod
    def from_list(cls, polygons: Sequence) -> WordPolygons:
        """From N arrays of (points, 2), or flat x1, y1, x2, y2, ..."""
        rows = [torch.as_tensor(polygon, dtype=torch.float32).reshape(-1, 2) for polygon in polygons]
        width = max([1, *map(len, rows)])
        padded = [torch.cat([row, row[-1:].expand(width - len(row), 2)]) for row in rows]
        return cls(torch.stack(padded) if padded else torch.zeros(0, width, 2))

    @property
    def device(self) -> torch.device:
        return self.tensor.device

    def to(self, *args, **kwargs) -> WordPolygons:
        return WordPolygons(self.tensor.to(*args, **kwargs))

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, item: Any) -> WordPolygons:
        rows = self.tensor[item]
        return WordPolygons(rows[None] if rows.dim() == 2 else rows)

    @staticmethod
    def cat(polygons: Sequence[WordPolygons]) -> WordPolygons:
        """Join the words of several sets."""
        width = max(p.tensor.shape[1] for p in polygons)
        rows = [
            torch.cat([p.tensor, p.tensor[:, -1:].expand(-1, width - p.tensor.shape[1], 2)], dim=1) for p in polygons
        ]
        return WordPolygons(torch.cat(rows))

    def scale(self, scale_x: float, scale_y: float) -> WordPolygons:
        """The outlines in an image resized by these factors."""
        return WordPolygons(_scaled(self.tensor, scale_x, scale_y))

    def get_bounding_boxes(self) -> Boxes:
        """(N, 4) axis-aligned boxes."""
        return Boxes(torch.cat([self.tensor.amin(dim=1), self.tensor.amax(dim=1)], dim=1))

    def contain(self, points: Tensor) -> Tensor:
        """Which points lie inside (even-odd rule).

        Args:
            points: (N, S, 2), S points for each word.

        Returns:
            (N, S) bool.
        """
        x, y = points[..., None, 0], points[..., None, 1]  # (N, S, 1)
        start, end = self.tensor[:, None], self.tensor.roll(-1, dims=1)[:, None]  # (N, 1, P, 2)
        rise = end[..., 1] - start[..., 1]
        crosses = (start[..., 1] > y) != (end[..., 1] > y)
        at_x = start[..., 0] + (y - start[..., 1]) * (end[..., 0] - start[..., 0]) / torch.where(rise == 0, 1.0, rise)
        return ((crosses & (x < at_x)).sum(dim=-1) % 2).bool()

    def coverage(self, boxes: Tensor, size: tuple[int, int], samples: int = 2) -> Tensor:
        """The share of each bin of a grid over each box that lies inside the word.

        Args:
            boxes: (N, 4) x1, y1, x2, y2, in the polygons' pixels.
            size: rows and columns of the grid.
            samples: sample points a bin and axis.

        Returns:
            (N, rows, columns) float32 in [0, 1].
        """
        rows, columns = size[0] * samples, size[1] * samples
        points = grid_points(boxes, (rows, columns)).flatten(1, 2)
        inside = self.contain(points).to(torch.float32).reshape(-1, size[0], samples, size[1], samples)
        return inside.mean(dim=(2, 4))

    def crop_and_resize(self, boxes: Tensor, mask_size: int) -> Tensor:
        """Masks of the words on a square grid over each box, as Detectron2's mask loss asks for them.

        Boxes are (N, 4), one a word.

        Returns:
            (N, mask_size, mask_size) bool, true where the centre of the bin lies inside.
        """
        return self.coverage(boxes.to(self.device), (mask_size, mask_size), samples=1) > 0.5

    def __repr__(self) -> str:
        return f"WordPolygons({len(self)} words, {self.tensor.shape[1]} points at most)"


class CharacterBoxes:
    """Quadrilaterals of the characters of N words with at most M characters each, NaN where a word has fewer or none.

    It stands in an ``Instances`` as ``gt_characters``, where the data have characters' boxes.

    Attributes:
        tensor: (N, M, 4, 2) float32, x and y in pixels, clockwise from the top left of the character as it is read.
    """

    def __init__(self, tensor: Tensor):
        if tensor.dim() != 4 or tensor.shape[-2:] != (4, 2):
            raise ValueError(f"character boxes are (N, M, 4, 2); got {tuple(tensor.shape)}.")
        self.tensor = tensor.to(torch.float32)

    @classmethod
    def from_list(cls, words: Sequence) -> CharacterBoxes:
        """From N arrays of (characters, 4, 2); None for a word without boxes."""
        rows = [torch.zeros(0, 4, 2) if word is None else torch.as_tensor(word, dtype=torch.float32) for word in words]
        tensor = torch.full((len(rows), max([1, *map(len, rows)]), 4, 2), torch.nan)
        for boxes, row in zip(tensor, rows, strict=True):
            boxes[: len(row)] = row
        return cls(tensor)

    def to(self, *args, **kwargs) -> CharacterBoxes:
        return CharacterBoxes(self.tensor.to(*args, **kwargs))

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, item: Any) -> CharacterBoxes:
        rows = self.tensor[item]
        return CharacterBoxes(rows[None] if rows.dim() == 3 else rows)

    def scale(self, scale_x: float, scale_y: float) -> CharacterBoxes:
        """The boxes in an image resized by these factors."""
        return CharacterBoxes(_scaled(self.tensor, scale_x, scale_y))


class PolygonBoxes(Boxes):
    """Boxes around word outlines, which they carry along when they are indexed, moved, scaled and clipped.

    As ``pred_boxes``, beside Detectron2's RotatedBoxes, they let a spotter predict outlines instead of masks:
    ``detector_postprocess``, which knows boxes alone, brings the outlines to the original image's pixels with them.

    Attributes:
        tensor: (N, 4) x1, y1, x2, y2.
        polygons: N WordPolygons, in the pixels of the boxes.
    """

    def __init__(self, polygons: WordPolygons):
        super().__init__(polygons.get_bounding_boxes().tensor)
        self.polygons = polygons

    def clone(self) -> PolygonBoxes:
        return PolygonBoxes(WordPolygons(self.polygons.tensor.clone()))

    def to(self, *args, **kwargs) -> PolygonBoxes:
        return PolygonBoxes(self.polygons.to(*args, **kwargs))

    def __getitem__(self, item: Any) -> PolygonBoxes:
        return PolygonBoxes(self.polygons[item])

    def scale(self, scale_x: float, scale_y: float) -> None:
        """Bring boxes and outlines into an image resized by these factors, in place."""
        super().scale(scale_x, scale_y)
        self.polygons = self.polygons.scale(scale_x, scale_y)

    def clip(self, box_size: tuple[int, int]) -> None:
        """Move each point that lies outside the image (height, width) to its border, in place."""
        super().clip(box_size)
        corner = self.tensor.new_tensor((box_size[1], box_size[0]))
        self.polygons = WordPolygons(self.polygons.tensor.clamp(min=0).minimum(corner))

    @classmethod
    def cat(cls, boxes_list: Sequence[PolygonBoxes]) -> PolygonBoxes:
        """Join the boxes and outlines of several sets."""
        return cls(WordPolygons.cat([boxes.polygons for boxes in boxes_list]))


def _scaled(points: Tensor, scale_x: float, scale_y: float) -> Tensor:
    """(..., 2) x and y, each times its factor; a tensor of the two factors would have to be copied to the device."""
    return torch.stack([points[..., 0] * scale_x, points[..., 1] * scale_y], dim=-1)


def grid_points(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Centres of the bins of a regular grid over each box.

    Args:
        boxes: (N, 4) x1, y1, x2, y2.
        size: rows and columns.

    Returns:
        (N, rows, columns, 2) x and y.
    """
    rows, columns = size
    u = (torch.arange(columns, device=boxes.device, dtype=boxes.dtype) + 0.5) / columns
    v = (torch.arange(rows, device=boxes.device, dtype=boxes.dtype) + 0.5) / rows
    x = boxes[:, 0, None] + (boxes[:, 2] - boxes[:, 0])[:, None] * u  # (N, columns)
    y = boxes[:, 1, None] + (boxes[:, 3] - boxes[:, 1])[:, None] * v  # (N, rows)
    return torch.stack([x[:, None, :].expand(-1, rows, -1), y[:, :, None].expand(-1, -1, columns)], dim=-1)
