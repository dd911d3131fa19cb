"""Where the character slots of words look, on a grid that is the same for an image at any scale.

Shapes: R words of one image, M cells a word, L character slots, D channels of the head, H, W of the feature map, N grid
positions, in rows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from dld_spotter.modeling.mango.dynamic_attention import CharacterAttention
from dld_spotter.modeling.mango.mango_target_maker import ReadCells
from dld_spotter.modeling.mango.mask_attention import AttentionMaps

# Positions a side. A map of stride 4 has more of them, but so the maps of a batch of words stay small.
GRID = 64
SMALLEST = 1e-6


def word_attention(
    character: CharacterAttention,
    maps: AttentionMaps,
    words: Sequence[ReadCells],
    map_sizes: Sequence[tuple[int, int]],
    max_cells: int,
) -> Tensor:
    """The attention of words, the mean over the cells that read them.

    Args:
        character: makes kernels of cells.
        maps: of a batch of images.
        words: one entry an image.
        map_sizes: rows and columns of the feature map that show each image, without padding.
        max_cells: cells whose maps are kept at once.

    Returns:
        (words of all images, L, N) float32; each slot's attention sums to 1, or to 0 for a word without cells.
    """
    # Without words there is still something to take a gradient of.
    parts = [(maps.cells.sum() * 0.0).expand(0, character.num_slots, GRID**2)]
    for cells, features, position, entry, size in zip(
        maps.cells, maps.features, maps.position, words, map_sizes, strict=True
    ):
        number = max(1, max_cells // max(1, entry.cells.shape[1]))
        for chosen, weight in zip(entry.cells.split(number), entry.weight.split(number), strict=True):
            if len(chosen) == 0:
                continue
            given = character, cells, chosen, features, position, weight, size
            kept = torch.is_grad_enabled()
            parts.append(checkpoint(_attend, *given, use_reentrant=False) if kept else _attend(*given))
    return torch.cat(parts)


def _attend(
    character: CharacterAttention,
    cell_features: Tensor,
    cells: Tensor,
    features: Tensor,
    position: Tensor,
    weight: Tensor,
    size: tuple[int, int],
) -> Tensor:
    """(R, L, N) of the cells (R, M), with weights (R, M); the rest as ``CharacterAttention`` takes it."""
    attention, _ = character(cell_features, cells, features, position)  # (R, M, L, H, W)
    attention = (attention.float()[..., : size[0], : size[1]] * weight[..., None, None, None]).sum(dim=1)
    grid = F.interpolate(attention, (GRID, GRID), mode="bilinear", align_corners=False, antialias=True).flatten(2)
    return grid / grid.sum(dim=2, keepdim=True).clamp(min=SMALLEST)
