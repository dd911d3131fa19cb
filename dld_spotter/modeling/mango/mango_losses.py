"""The losses of MANGO's maps, in float32.

Shapes: B images, H, W of the feature map, S cells a side of the grid, R words, M cells a word, L character slots.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dld_spotter.modeling.mango.mango_target_maker import MapTargets

# Weight of the grid's cells that hold words against those that do not. The method's public code has 1, but then the few
# cells with words long stay below MODEL.MANGO.GRID_THRESHOLD, and nothing is found.
POSITIVE_WEIGHT = 5.0


def dice_loss(overlap: Tensor, predicted: Tensor, target: Tensor) -> Tensor:
    """1 - (2 sum pg + 1) / (sum p**2 + sum g**2 + 1), from the three sums."""
    return 1 - (2 * overlap + 1) / (predicted + target + 1)


def centre_line_loss(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Dice over the whole batch.

    Args:
        logits: (B, H, W).
        target: (B, H, W) bool.
        counted: (B, H, W) bool, outside of padding and don't-care regions.
    """
    probability = torch.where(counted, logits.float().sigmoid(), 0.0)
    target = (target & counted).float()
    return dice_loss((probability * target).sum(), probability.square().sum(), target.sum())


def grid_loss(logits: Tensor, target: Tensor, counted: Tensor, positive_weight: float = POSITIVE_WEIGHT) -> Tensor:
    """The mean binary cross-entropy of the cells.

    Args:
        logits: (B, S * S).
        target: (B, S * S) bool, cells that hold a word.
        counted: (B, S * S) bool.
        positive_weight: factor on the cells that hold a word.
    """
    logits, target = logits.float(), target.float()
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = loss * (1 + (positive_weight - 1) * target)
    return torch.where(counted, loss, 0.0).sum() / counted.sum().clamp(min=1)


def place_losses(
    line_logits: Tensor, grid_logits: Tensor, valid: Tensor, targets: Sequence[MapTargets]
) -> dict[str, Tensor]:
    """Losses of the centre lines and of the grid, by name.

    Args:
        line_logits: (B, H, W).
        grid_logits: (B, S * S).
        valid: (B, H, W) bool, outside of padding.
        targets: of each image.
    """
    centre_line, line_counted, cells, cells_counted = (torch.stack(maps) for maps in zip(*targets, strict=True))
    line_loss = centre_line_loss(line_logits, centre_line, line_counted & valid)
    return {"loss_centre_line": line_loss, "loss_grid": grid_loss(grid_logits, cells, cells_counted)}


def dice_sums(attention: Tensor, masks: Tensor, counted: Tensor) -> Tensor:
    """The three sums of the Dice loss of attention maps, over cells and positions, so that parts of a batch add up.

    Args:
        attention: (R, M, L, H, W) in [0, 1].
        masks: (R, 1, L, H, W) bool, what the cells of a word should attend to.
        counted: (R, M, L, H, W) bool.

    Returns:
        (3, L): sum pg, sum p**2, sum g**2.
    """
    over = (0, 1, 3, 4)
    attention = attention.float() * counted
    overlap = torch.where(masks, attention, 0.0).sum(dim=over)
    return torch.stack([overlap, attention.square().sum(dim=over), (masks & counted).sum(dim=over).float()])


def no_gradient(*modules: nn.Module) -> Tensor | float:
    """Zero, with a gradient of zero for the parameters of modules: distributed training would wait for them."""
    return 0.0 * sum(p.sum() for module in modules for p in module.parameters() if p.requires_grad)
