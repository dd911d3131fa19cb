"""From the maps of one image to words: their outlines, and the cells of the grid that read them.

Shapes: H, W of the feature map, S cells a side of the grid, n words, K cells.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances
from torch import Tensor

from dld_spotter.geometry import clockwise
from dld_spotter.modeling.score_threshold import WordScoring
from dld_spotter.outlines import mask_to_polygon
from dld_spotter.structures import PolygonBoxes, WordPolygons


@dataclass(frozen=True)
class LocatedWords:
    """The words of one image.

    Attributes:
        polygons: n arrays of (P, 2) float32, in pixels of the network's input, clockwise.
        scores: (n,) float32 mean probability of the word's centre line.
        cells: (K,) int64 cells that read a word, counted row by row; each word has at least one.
        word: (K,) int64 the word of each cell.
        weight: (K,) float32 share of the cell that the word's centre line takes.
    """

    polygons: list[np.ndarray]
    scores: np.ndarray
    cells: np.ndarray
    word: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class WordLocator:
    """What counts as a word; names and defaults as in ``MODEL.MANGO``.

    Attributes:
        grid_size: S.
        stride: pixels of the network's input a map position.
        min_pixels: map positions of the smallest centre line that counts. The authors ask for 9, which most words of a
            small image do not have.
        score_threshold: words that are less certain are left out (MODEL.ROI_HEADS.SCORE_THRESH_TEST).
    """

    grid_size: int
    stride: int
    centre_line_threshold: float = 0.5
    grid_threshold: float = 0.5
    min_pixels: int = 2
    score_threshold: float = 0.5
    outline: str = "rectangle"

    @classmethod
    def from_config(cls, cfg: CfgNode, stride: int) -> "WordLocator":
        mango = cfg.MODEL.MANGO
        return cls(
            grid_size=mango.GRID_SIZE,
            stride=stride,
            centre_line_threshold=mango.CENTRE_LINE_THRESHOLD,
            grid_threshold=mango.GRID_THRESHOLD,
            score_threshold=max(cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST, WordScoring.from_config(cfg).least_det_score),
            outline=mango.OUTLINE,
        )

    def __call__(self, centre_lines: np.ndarray, grid: np.ndarray, image_size: tuple[int, int]) -> LocatedWords:
        """The words that centre lines and grid agree on.

        A word is a connected part of the centre lines (4 neighbours) with ``min_pixels``. Each active cell belongs to
        the word that takes most of it. A word without a cell is left out.

        Args:
            centre_lines: (H, W) probabilities; what lies in the padding is not looked at.
            grid: (S * S,) probabilities.
            image_size: height and width in pixels, without padding.
        """
        height, width = (-(-(2 * side - self.stride) // (2 * self.stride)) for side in image_size)  # centres inside
        centre_lines = centre_lines[: max(height, 1), : max(width, 1)]
        binary = (centre_lines >= self.centre_line_threshold).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=4)
        number = np.full(count, -1)  # label -> word
        large = np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= self.min_pixels) + 1
        total = np.bincount(labels.ravel(), weights=centre_lines.ravel(), minlength=count)
        scores = total[large] / stats[large, cv2.CC_STAT_AREA]
        sure = scores >= self.score_threshold
        large, scores = large[sure], scores[sure]
        number[large] = np.arange(len(large))

        overlap = self._overlap(number[labels], len(large), image_size)
        overlap[:, grid < self.grid_threshold] = 0
        cells = np.flatnonzero(overlap.any(axis=0))
        word = overlap[:, cells].argmax(axis=0) if len(cells) else cells
        taken = overlap[word, cells]
        share = taken * (self.grid_size**2 * self.stride**2 / (image_size[0] * image_size[1]))
        found, word = np.unique(word, return_inverse=True)
        polygons = [self._polygon(labels, stats, label) for label in large[found]]
        return LocatedWords(polygons, scores[found].astype(np.float32), cells, word, share.astype(np.float32))

    def _overlap(self, words: np.ndarray, count: int, image_size: tuple[int, int]) -> np.ndarray:
        """(count, S * S) map positions that each word has in each cell; ``words`` (H, W) is -1 outside."""
        row, column = np.nonzero(words >= 0)
        places = zip((row, column), image_size, strict=True)
        cell_row, cell_column = (
            np.minimum((index + 0.5) * self.stride / side * self.grid_size, self.grid_size - 1).astype(np.int64)
            for index, side in places
        )
        cell = cell_row * self.grid_size + cell_column
        flat = np.bincount(words[row, column] * self.grid_size**2 + cell, minlength=count * self.grid_size**2)
        return flat.reshape(count, self.grid_size**2)

    def _polygon(self, labels: np.ndarray, stats: np.ndarray, label: int) -> np.ndarray:
        """The outline of one connected part, in pixels."""
        left, top, width, height = stats[label, : cv2.CC_STAT_AREA]
        mask = labels[top : top + height, left : left + width] == label
        if self.outline == "contour":
            polygon = mask_to_polygon(mask)
        if self.outline != "contour" or polygon is None:  # a line has no outline
            row, column = np.nonzero(mask)
            corners = np.concatenate([np.stack([column + dx, row + dy], 1) for dx in (0, 1) for dy in (0, 1)])
            polygon = cv2.boxPoints(cv2.minAreaRect(corners.astype(np.float32)))
        polygon = clockwise((polygon + (left, top)) * self.stride)
        return np.roll(polygon, -int(polygon.sum(axis=1).argmin()), axis=0).astype(np.float32)


def predictions(words: LocatedWords, tokens: Tensor, scores: Tensor, image_size: tuple[int, int]) -> Instances:
    """Words of one image with the tokens (n, L) that were read, and the scores (n,) of these."""
    found = Instances(image_size)
    found.pred_boxes = PolygonBoxes(WordPolygons.from_list(words.polygons).to(tokens.device))
    found.scores = torch.from_numpy(words.scores).to(tokens.device)
    found.pred_classes = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
    found.pred_text = tokens
    found.pred_text_scores = scores
    return found
