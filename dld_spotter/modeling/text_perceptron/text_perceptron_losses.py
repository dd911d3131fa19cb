"""Losses of the order-aware segmentation head.

Shapes: B images, H and W of the feature map.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from dld_spotter.modeling.text_perceptron.order_aware_head import SegmentationMaps
from dld_spotter.modeling.text_perceptron.text_perceptron_targets import BOUNDARY, CENTER, HEAD, TAIL, TargetMaps

SEGMENTED = {"center": CENTER, "head": HEAD, "tail": TAIL, "boundary": BOUNDARY}  # in the order of the score maps
REGRESSED = {"head": HEAD, "tail": TAIL, "offset": CENTER}  # in the order of the regression maps


@dataclass(frozen=True)
class PerceptronLosses:
    """Dice losses of the four score maps and smooth L1 losses of the three regression maps.

    The regression losses are means over the cells that have a target. The authors' code takes sums, times 1/1024, with
    weights of 0.1 and 0.01, which suit 8 images a GPU of 736 pixels; means do not depend on the batch and on its size.

    Attributes:
        corner_weight, offset_weight: of the regression losses.
        beta: of the smooth L1 loss, in units of 32 pixels: below this error it is quadratic.
    """

    corner_weight: float = 1.0
    offset_weight: float = 0.25
    beta: float = 0.11

    def __call__(self, predicted: SegmentationMaps, targets: TargetMaps) -> dict[str, Tensor]:
        """Weighted losses by name; they stay in the graph on a batch without words."""
        scores = predicted.scores.float().sigmoid()
        losses = {
            f"loss_seg_{name}": dice_loss(scores[:, index], targets.areas == area, targets.counted)
            for index, (name, area) in enumerate(SEGMENTED.items())
        }
        weights = {"head": self.corner_weight, "tail": self.corner_weight, "offset": self.offset_weight}
        for name, geometry in zip(REGRESSED, predicted.regression(), strict=True):
            total, number = regression_error(geometry, targets.geometry, targets.areas == REGRESSED[name], self.beta)
            losses[f"loss_reg_{name}"] = weights[name] * total / number.clamp(min=1)
        return losses


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

    Predictions and targets are (B, 4, H, W); ``valid`` is (B, H, W) bool.
    """
    error = F.smooth_l1_loss(predicted.float(), target, reduction="none", beta=beta)
    return (error * valid[:, None]).sum(), valid.sum() * predicted.shape[1]
