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

from dld_spotter.modeling.mango.attention_fusion import AttentionFusion
from dld_spotter.modeling.mango.attention_window import places_of, window_sums
from dld_spotter.modeling.mango.dynamic_attention import CharacterAttention, InstanceAttention
from dld_spotter.modeling.mango.grid import MapGeometry
from dld_spotter.modeling.mango.mango_losses import dice_sums
from dld_spotter.modeling.mango.mango_target_maker import ReadCells
from dld_spotter.modeling.mango.mango_targets import character_masks, inside_map


class AttentionMaps(NamedTuple):
    """What cells attend to, of a batch.

    Attributes:
        feature: (B, C, H, W) the feature map itself.
        cells: (B, S * S, D) from which the kernels of the characters are made.
        features: (B, D, H, W) that they are applied to.
        values: (B, D, H, W) what is collected; None where nothing is read.
        instance_cells: (B, S * S, D) from which the kernel of the whole word is made; None where it is not learnt.
        valid: (B, H, W) bool, outside of the padding.
        position: (B, 2, H, W) as in ``MapGeometry``.
    """

    feature: Tensor
    cells: Tensor
    features: Tensor
    values: Tensor | None
    instance_cells: Tensor | None
    valid: Tensor
    position: Tensor


class Attended(NamedTuple):
    """What words saw.

    Attributes:
        slots: (R, L, D) mean over the cells of each word; 0 for a word without cells, and where nothing is read.
        character_sums: (3, L) for the Dice loss of the characters' attention (see ``dice_sums``); None without.
        window_sums: (2,) how far the middles of the characters' windows are from the characters' (see ``window_sums``);
            None without.
        instance_sums: (3, 1) likewise of whole words.
    """

    slots: Tensor
    character_sums: Tensor | None
    window_sums: Tensor | None
    instance_sums: Tensor | None


class MaskAttention(nn.Module):
    """The attention of cells, image by image.

    Args:
        character: attention of the characters.
        fusion: what slots see through it.
        instance: attention of whole words, or None.
        max_cells: cells whose maps are kept at once.
        stride: pixels a map position.
    """

    def __init__(
        self,
        character: CharacterAttention,
        fusion: AttentionFusion,
        instance: InstanceAttention | None,
        max_cells: int,
        stride: int,
    ):
        super().__init__()
        self.character, self.fusion, self.instance = character, fusion, instance
        self.max_cells, self.stride = max_cells, stride

    @classmethod
    def from_config(cls, cfg: CfgNode, shape: ShapeSpec) -> "MaskAttention":
        """``shape`` is the feature map's."""
        mango = cfg.MODEL.MANGO
        convs = (shape.channels, mango.CONV_DIM, mango.NUM_CONVS, mango.NORM_GROUPS)
        learns_instances = mango.INSTANCE_ATTENTION_LOSS_WEIGHT > 0
        return cls(
            CharacterAttention(
                *(*convs, mango.GRID_SIZE, cfg.MODEL.TEXT.MAX_LENGTH + 1),
                kernel_depth=mango.NUM_KERNEL_CONVS,
                windows=mango.CHARACTER_WINDOWS,
            ),
            AttentionFusion(*convs, mango.NORMALIZE_ATTENTION),
            InstanceAttention(*convs, mango.GRID_SIZE) if learns_instances else None,
            mango.MAX_CELLS,
            shape.stride,
        )

    def maps(
        self, feature: Tensor, geometry: MapGeometry, read: bool = True, learn_instances: bool = False
    ) -> AttentionMaps:
        """Run the towers over feature maps (B, C, H, W)."""
        return AttentionMaps(
            feature,
            self.character.kernel_tower(feature, geometry),
            self.character.features(feature, geometry),
            self.fusion.values(feature) if read else None,
            self.instance.kernel_tower(feature, geometry) if learn_instances else None,
            geometry.valid,
            geometry.position,
        )

    def forward(self, maps: AttentionMaps, words: list[ReadCells], learn_characters: bool = False) -> list[Attended]:
        """Attend for the words of each image, in parts of at most ``max_cells`` cells.

        Args:
            words: one entry an image.
            learn_characters: whether the sums for the loss of the characters' attention are wanted.
        """
        total = sum(entry.cells.numel() for entry in words)
        recompute = torch.is_grad_enabled() and total > self.max_cells
        return [
            self._attend_in_parts(
                AttentionMaps(*(m if m is None else m[i] for m in maps)), entry, learn_characters, recompute
            )
            for i, entry in enumerate(words)
        ]

    def _attend_in_parts(self, maps: AttentionMaps, words: ReadCells, learn: bool, recompute: bool) -> Attended:
        size = max(1, self.max_cells // max(1, words.cells.shape[1]))
        parts = [words.words(start, start + size) for start in range(0, max(1, len(words.cells)), size)]
        if recompute:
            done = [checkpoint(self._attend, maps, part, learn, use_reentrant=False) for part in parts]
        else:
            done = [self._attend(maps, part, learn) for part in parts]
        slots, characters, middles, instances = zip(*done, strict=True)
        return Attended(
            torch.cat(slots),
            sum(characters) if learn else None,
            sum(middles) if learn and self.character.windows else None,
            sum(instances) if maps.instance_cells is not None else None,
        )

    def _attend(self, maps: AttentionMaps, words: ReadCells, learn: bool) -> Attended:
        # (R, M, L, H, W) and (R, M, L, 6)
        attention, windows = self.character(maps.cells, words.cells, maps.features, maps.position)
        characters, middles, instances = None, None, None
        if maps.values is None:
            slots = attention.new_zeros(len(attention), attention.shape[2], self.fusion.channels)
        else:
            slots = self.fusion(attention, maps.values, maps.valid)  # (R, M, L, D)
            slots = (slots * words.weight[..., None, None]).sum(dim=1)
        where = (words.weight > 0)[:, :, None, None, None] & maps.valid  # (R, M, 1, H, W)
        if learn:
            masks, counted = character_masks(words.characters, maps.valid.shape, self.stride)
            characters = dice_sums(attention, masks[:, None], where & counted[:, None, :, None, None])
            if self.character.windows:
                middles = self._window_sums(windows, words, maps.position)
        if maps.instance_cells is not None:
            kernels = self.instance.kernels(maps.instance_cells[words.cells])  # (R, M, C)
            attention = self.instance.dynamic_convolution(kernels, maps.feature).sigmoid()  # (R, M, H, W)
            masks = inside_map(words.outlines, maps.valid.shape, self.stride)  # (R, H, W)
            instances = dice_sums(attention[:, :, None], masks[:, None, None], where)
        return Attended(slots, characters, middles, instances)

    def _window_sums(self, windows: Tensor, words: ReadCells, position: Tensor) -> Tensor:
        """See ``window_sums``; of the windows (R, M, L, 6) of words' characters, from the cells that words have."""
        regions = words.characters
        slot = torch.arange(regions.quads.shape[1], device=regions.count.device)
        filled = regions.known[:, None] & (slot < regions.count[:, None])  # (R, L)
        middle = torch.where(filled[..., None], regions.quads.mean(dim=2), 0.0)
        counted = filled[:, None] & (words.weight > 0)[..., None]  # (R, M, L)
        places = places_of(middle, position, self.stride)
        return window_sums(windows, words.cells, self.character.kernel_tower.grid_size, places[:, None], counted)
