"""What a batch teaches, image by image: maps, and the cells that read each word.

Shapes: N annotated words of one image, R of them readable, M cells kept a word, H, W of the feature map, S cells a side
of the grid, L character slots.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances
from torch import Tensor

from dld_spotter.data.charset import PAD
from dld_spotter.modeling.mango.cells import CellOwners, CentreLines, assign_cells, centre_lines, choose_cells
from dld_spotter.modeling.mango.grid import map_points
from dld_spotter.modeling.mango.mango_targets import CharacterRegions, centre_line_target, character_regions, inside
from dld_spotter.modeling.text_perceptron.reading_order import OrderedOutlines, order_outlines

# A word's outline is shrunk by area * (1 - SHRINK**2) / perimeter for its centre line, as published.
SHRINK = 0.4


class ReadCells(NamedTuple):
    """The cells that read the words of one image, and what their attention should be.

    Attributes:
        cells: (R, M) counted row by row.
        weight: (R, M) of what the cells see: adds up to 1 for each word with a cell, and to 0 for one without.
        characters: where the characters are.
    """

    cells: Tensor
    weight: Tensor
    characters: CharacterRegions

    def words(self, start: int, end: int) -> "ReadCells":
        """Those of the words from ``start`` to before ``end``."""
        rows = slice(start, end)
        characters = CharacterRegions(*(part[rows] for part in self.characters))
        return ReadCells(self.cells[rows], self.weight[rows], characters)


class MapTargets(NamedTuple):
    """What the maps of one image should show, and where that counts: (H, W) and (S * S) bool."""

    centre_line: Tensor
    centre_line_counted: Tensor
    grid: Tensor
    grid_counted: Tensor


@dataclass(frozen=True)
class TargetMaker:
    """Draws targets; names as in ``MODEL.MANGO``.

    Attributes:
        grid_size: S.
        cells_per_word: M.
        num_slots: L.
        stride: pixels a map position.
        vertical_ratio: quadrilaterals that are taller than this many times their width are read downwards.
    """

    grid_size: int
    cells_per_word: int
    num_slots: int
    stride: int
    shrink: float = SHRINK
    slice_words: bool = False
    ordered_points: tuple[int, ...] = (10, 14)
    vertical_ratio: float = 1.5

    @classmethod
    def from_config(cls, cfg: CfgNode, stride: int) -> "TargetMaker":
        mango = cfg.MODEL.MANGO
        return cls(
            grid_size=mango.GRID_SIZE,
            cells_per_word=mango.CELLS_PER_WORD,
            num_slots=cfg.MODEL.TEXT.MAX_LENGTH + 1,
            stride=stride,
            slice_words=mango.SLICE_WORDS,
            ordered_points=tuple(cfg.INPUT.TEXT.ORDERED_POINTS),
            vertical_ratio=cfg.MODEL.ROI_TEXT_HEAD.VERTICAL_RATIO,
        )

    @torch.no_grad()
    def all_targets(
        self, words: Instances, image_size: tuple[int, int], map_size: tuple[int, int], draw: bool
    ) -> tuple[MapTargets, ReadCells]:
        """What one image teaches.

        Args:
            words: all annotations.
            image_size: height and width without padding.
            map_size: H, W.
            draw: choose cells at random where a word has more than M.
        """
        outlines, lines = self._lines(words)
        readable = words.gt_text[:, 0] != PAD
        ignored = words.gt_ignore & ~readable if words.has("gt_ignore") else torch.zeros_like(readable)
        owners = assign_cells(lines, ignored, image_size, self.grid_size)
        maps = MapTargets(
            *centre_line_target(outlines, ignored, map_size, self.stride, self.shrink),
            *self._grid_targets(outlines, owners, ignored, image_size),
        )
        rows = readable.nonzero()[:, 0]
        lines = CentreLines(*(part[rows] for part in lines))
        owners = CellOwners(*(part[rows] for part in owners))
        return maps, self._read_cells(words[rows], lines, owners, draw)

    @torch.no_grad()
    def read_cells(self, words: Instances, image_size: tuple[int, int]) -> ReadCells:
        """The cells of readable words, those that they cover most."""
        outlines, lines = self._lines(words)
        none_ignored = torch.zeros(len(words), dtype=torch.bool, device=outlines.points.device)
        owners = assign_cells(lines, none_ignored, image_size, self.grid_size)
        return self._read_cells(words, lines, owners, draw=False)

    def _lines(self, words: Instances) -> tuple[OrderedOutlines, CentreLines]:
        outlines = order_outlines(words.gt_masks.tensor, self.ordered_points, self.vertical_ratio)
        return outlines, centre_lines(outlines)

    def _read_cells(self, words: Instances, lines: CentreLines, owners: CellOwners, draw: bool) -> ReadCells:
        regions = character_regions(words, lines, self.num_slots, self.slice_words)
        return ReadCells(*choose_cells(owners, self.cells_per_word, draw), regions)

    def _grid_targets(
        self, outlines: OrderedOutlines, owners: CellOwners, ignored: Tensor, image_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """(S * S,) bool each: cells that hold a word; all but those in don't-care regions that hold none."""
        height, width = image_size
        owned = owners.owned.any(dim=0)
        centres = map_points((self.grid_size, self.grid_size), 1, owned.device).flatten(0, 1) / self.grid_size
        hidden = inside(outlines.points, centres * centres.new_tensor([width, height]))
        return owned, owned | ~(hidden & ignored[:, None]).any(dim=0)


def cells_without_targets(cells: Tensor) -> ReadCells:
    """Each of the cells (K,) on its own, with nothing known of what it should see."""
    rows, device = len(cells), cells.device
    nowhere = torch.zeros(rows, 0, 4, 2, device=device)
    unknown = CharacterRegions(nowhere, torch.zeros_like(cells), torch.zeros(rows, dtype=torch.bool, device=device))
    return ReadCells(cells[:, None], torch.ones(rows, 1, device=device), unknown)
