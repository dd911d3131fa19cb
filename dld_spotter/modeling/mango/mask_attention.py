"""Slot features of the cells that read: attention maps, and what the slots see through them, in bounded memory.

Shapes: B images, C channels of the feature map, D of the heads, H, W of the map, S cells a side of the grid, R words of
one image, M cells a word, L character slots.
"""

from typing import NamedTuple

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dld_spotter.modeling.backbones.fpn_features import map_size
from dld_spotter.modeling.mango.attention_fusion import AttentionFusion
from dld_spotter.modeling.mango.attention_window import places_of, window_sums
from dld_spotter.modeling.mango.dynamic_attention import CharacterAttention
from dld_spotter.modeling.mango.grid import MapGeometry
from dld_spotter.modeling.mango.mango_losses import dice_sums
from dld_spotter.modeling.mango.mango_target_maker import ReadCells
from dld_spotter.modeling.mango.mango_targets import character_masks


class AttentionMaps(NamedTuple):
    """What cells attend to, of a batch.

    Attributes:
        cells: (B, S * S, D) from which the kernels of the characters are made.
        features: (B, D, H, W) that they are applied to.
        values: (B, D, H, W) what is collected; None where nothing is read.
        valid: (B, H, W) bool, outside of the padding.
        position: (B, 2, H, W) as in ``MapGeometry``.
    """

    cells: Tensor
    features: Tensor
    values: Tensor | None
    valid: Tensor
    position: Tensor

    def of_image(self, index: int) -> "AttentionMaps":
        """Those of one image, without the batch's dimension."""
        return AttentionMaps(
            self.cells[index],
            self.features[index],
            None if self.values is None else self.values[index],
            self.valid[index],
            self.position[index],
        )


class Attended(NamedTuple):
    """What words saw.

    Attributes:
        slots: (R, L, D) mean over the cells of each word; 0 for a word without cells, and where nothing is read.
        character_sums: (3, L) for the Dice loss of the characters' attention (see ``dice_sums``); None without.
        window_sums: (2,) how far the middles of the characters' windows are from the characters' (see ``window_sums``);
            None without.
    """

    slots: Tensor
    character_sums: Tensor | None
    window_sums: Tensor | None


class MaskAttention(nn.Module):
    """The attention of cells, image by image.

    Args:
        character: attention of the characters.
        fusion: what slots see through it.
        max_cells: cells whose maps are kept at once.
        stride: pixels a map position.
    """

    def __init__(self, character: CharacterAttention, fusion: AttentionFusion, max_cells: int, stride: int):
        super().__init__()
        self.character, self.fusion = character, fusion
        self.max_cells, self.stride = max_cells, stride

    @classmethod
    def from_config(cls, cfg: CfgNode, shape: ShapeSpec) -> "MaskAttention":
        """``shape`` is the feature map's."""
        mango = cfg.MODEL.MANGO
        convs = (shape.channels, mango.CONV_DIM, mango.NUM_CONVS)
        slots = cfg.MODEL.TEXT.MAX_LENGTH + 1
        return cls(
            CharacterAttention(*convs, mango.GRID_SIZE, slots, windows=mango.CHARACTER_WINDOWS),
            AttentionFusion(*convs),
            mango.MAX_CELLS,
            shape.stride,
        )

    def maps(self, feature: Tensor, geometry: MapGeometry, read: bool = True) -> AttentionMaps:
        """Run the towers over feature maps (B, C, H, W)."""
        return AttentionMaps(
            self.character.kernel_tower(feature, geometry),
            self.character.features(feature, geometry),
            self.fusion.values(feature) if read else None,
            geometry.valid,
            geometry.position,
        )

    def forward(self, maps: AttentionMaps, words: list[ReadCells], learn_characters: bool = False) -> list[Attended]:
        """Attend for the words of each image, in parts of at most ``max_cells`` cells.

        Args:
            maps: of the batch.
            words: one entry an image.
            learn_characters: whether the sums for the loss of the characters' attention are wanted.
        """
        total = sum(entry.cells.numel() for entry in words)
        recompute = torch.is_grad_enabled() and total > self.max_cells
        return [
            self._attend_in_parts(maps.of_image(i), entry, learn_characters, recompute) for i, entry in enumerate(words)
        ]

    def _attend_in_parts(self, maps: AttentionMaps, words: ReadCells, learn: bool, recompute: bool) -> Attended:
        size = max(1, self.max_cells // max(1, words.cells.shape[1]))
        parts = [words.words(start, start + size) for start in range(0, max(1, len(words.cells)), size)]
        if recompute:
            done = [checkpoint(self._attend, maps, part, learn, use_reentrant=False) for part in parts]
        else:
            done = [self._attend(maps, part, learn) for part in parts]
        slots, characters, middles = zip(*done, strict=True)
        return Attended(
            torch.cat(slots),
            sum(characters) if learn else None,
            sum(middles) if learn and self.character.windows else None,
        )

    def _attend(self, maps: AttentionMaps, words: ReadCells, learn: bool) -> Attended:
        # (R, M, L, H, W) and (R, M, L, 6)
        attention, windows = self.character(maps.cells, words.cells, maps.features, maps.position)
        characters, middles = None, None
        if maps.values is None:
            slots = attention.new_zeros(len(attention), attention.shape[2], self.fusion.channels)
        else:
            slots = self.fusion(attention, maps.values, maps.valid)  # (R, M, L, D)
            slots = (slots * words.weight[..., None, None]).sum(dim=1)
        if learn:
            where = (words.weight > 0)[:, :, None, None, None] & maps.valid  # (R, M, 1, H, W)
            masks, counted = character_masks(words.characters, map_size(maps.valid), self.stride)
            characters = dice_sums(attention, masks[:, None], where & counted[:, None, :, None, None])
            if self.character.windows:
                middles = self._window_sums(windows, words, maps.position)
        return Attended(slots, characters, middles)

    def _window_sums(self, windows: Tensor, words: ReadCells, position: Tensor) -> Tensor:
        """See ``window_sums``; of the windows (R, M, L, 6) of words' characters, from the cells that words have."""
        regions = words.characters
        slot = torch.arange(regions.quads.shape[1], device=regions.count.device)
        filled = regions.known[:, None] & (slot < regions.count[:, None])  # (R, L)
        middle = torch.where(filled[..., None], regions.quads.mean(dim=2), 0.0)
        counted = filled[:, None] & (words.weight > 0)[..., None]  # (R, M, L)
        places = places_of(middle, position, self.stride)
        return window_sums(windows, words.cells, self.character.kernel_tower.grid_size, places[:, None], counted)
