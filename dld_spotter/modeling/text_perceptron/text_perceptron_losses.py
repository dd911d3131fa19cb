"""Losses of the order-aware segmentation head.

Shapes: B images, H and W of the feature map.
"""

from dataclasses import dataclass

from detectron2.config import CfgNode
from detectron2.utils.events import get_event_storage
from torch import Tensor
from torch.nn import functional as F

from dld_spotter.modeling.text_perceptron.order_aware_head import SegmentationMaps
from dld_spotter.modeling.text_perceptron.text_perceptron_targets import BOUNDARY, CENTER, HEAD, TAIL, TargetMaps

SEGMENTED = {"center": CENTER, "head": HEAD, "tail": TAIL, "boundary": BOUNDARY}  # in the order of the score maps
REGRESSED = {"head": HEAD, "tail": TAIL, "offset": CENTER}  # in the order of the regression maps

# The authors' weights, by which a sum over cells stays small: stride**2 / (256 * 64), and of the losses.
_SUM_FACTOR = 1 / 1024
_SUM_WEIGHTS = {"head": 0.1, "tail": 0.1, "offset": 0.01}


@dataclass(frozen=True)
class PerceptronLosses:
    """Dice losses of the four score maps and smooth L1 losses of the three regression maps.

    Attributes:
        segmentation_weight: of each Dice loss.
        corner_weight, offset_weight: of means over the cells that have a target.
        reduction: "mean", or "sum" with the authors' weights; the other form's total is logged.
        beta: of the smooth L1 loss, in units of 32 pixels.
    """

    segmentation_weight: float = 1.0
    corner_weight: float = 1.0
    offset_weight: float = 0.25
    reduction: str = "mean"
    beta: float = 0.11

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "PerceptronLosses":
        perceptron = cfg.MODEL.TEXT_PERCEPTRON
        return cls(
            segmentation_weight=perceptron.SEGMENTATION_WEIGHT,
            corner_weight=perceptron.CORNER_WEIGHT,
            offset_weight=perceptron.OFFSET_WEIGHT,
            reduction=perceptron.REGRESSION_REDUCTION,
            beta=perceptron.SMOOTH_L1_BETA,
        )

    def __call__(self, predicted: SegmentationMaps, targets: TargetMaps) -> dict[str, Tensor]:
        """Weighted losses by name; they stay in the graph on a batch without words."""
        scores = predicted.scores.float().sigmoid()
        losses = {
            f"loss_seg_{name}": self.segmentation_weight
            * dice_loss(scores[:, index], targets.areas == area, targets.counted)
            for index, (name, area) in enumerate(SEGMENTED.items())
        }
        weights = {"head": self.corner_weight, "tail": self.corner_weight, "offset": self.offset_weight}
        means, sums = {}, {}
        for name, geometry in zip(REGRESSED, predicted.regression(), strict=True):
            total, number = regression_error(geometry, targets.geometry, targets.areas == REGRESSED[name], self.beta)
            means[f"loss_reg_{name}"] = weights[name] * total / number.clamp(min=1)
            sums[f"loss_reg_{name}"] = _SUM_WEIGHTS[name] * _SUM_FACTOR * total
        used, other = (means, sums) if self.reduction == "mean" else (sums, means)
        name = "sum" if self.reduction == "mean" else "mean"
        get_event_storage().put_scalar(f"text_perceptron/regression_{name}", sum(other.values()).detach())
        return losses | used


def dice_loss(scores: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
    """1 - (2 sum(p g) + 1) / (sum(p^2) + sum(g^2) + 1), over the counted cells of the whole batch.

    Args:
        scores: p, (B, H, W) in [0, 1].
        truth: g, (B, H, W) bool.
        counted: (B, H, W) bool.
    """
    scores, truth = scores * counted, (truth & counted).to(scores.dtype)
    return 1 - (2 * (scores * truth).sum() + 1) / (scores.square().sum() + truth.sum() + 1)


def regression_error(predicted: Tensor, target: Tensor, valid: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """The sum of the smooth L1 errors in the valid cells, and how many numbers it is the sum of.

    Args:
        predicted, target: (B, 4, H, W).
        valid: (B, H, W) bool.
    """
    error = F.smooth_l1_loss(predicted.float(), target, reduction="none", beta=beta)
    return (error * valid[:, None]).sum(), valid.sum() * predicted.shape[1]
