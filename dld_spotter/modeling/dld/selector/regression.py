"""The fitted selector, which foresees what each scale loses: for a student that stays as it is.

The paper's way of training a selector is in ``gumbel.py``. Here, what an image loses at each scale is measured once.
The selector's logits are fitted to -SHARPNESS times these losses by least squares; ``engine/selector_fitting.py`` has
the loop. The squared error is least at the expectation, so that the likeliest scale is the one of least expected loss.
Since the cost enters a loss as gamma times it, another gamma is a shift of the logits, which costs no training.

Shapes: M images, k candidate scales, R words, B images a batch, T decoding steps, V characters and special tokens.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dld_spotter.modeling.dld.selector.gumbel import SMALLEST
from dld_spotter.modeling.dld.selector.selector_network import ScaleClassifier

# Logits a nat of expected loss. A scale that loses 0.1 more is chosen e times less often where choices are sampled.
SHARPNESS = 10.0


@dataclass(frozen=True)
class ScaleLosses:
    """What recognition at each scale loses.

    Attributes:
        lost: (M, k) summed over the units of an image: D_KL of the teacher's output at full resolution and the
            student's, of characters and end tokens; or words that are wrong.
        units: (M,) how many characters and end tokens, or words, there are.
    """

    lost: Tensor
    units: Tensor

    def values(self, gamma: float, costs: Tensor) -> Tensor:
        """(M, k): an image's share of L_acc + gamma L_flops at each scale.

        L_acc is a mean over the characters (or words) of all images, L_flops one over the images: an image with many
        words counts more in the first, as in a training step of ``DLDSpotter``.
        """
        return self.lost / self.units.float().mean().clamp(min=1) + gamma * costs

    def select(self, images: Sequence[int]) -> "ScaleLosses":
        """Those of some images."""
        return ScaleLosses(self.lost[list(images)], self.units[list(images)])


def recognition_divergence(teacher_logits: Tensor, student_logits: Tensor, valid: Tensor) -> Tensor:
    """(R,) D_KL of the two outputs, summed over a word's steps: ``gumbel.accuracy_loss`` with one scale chosen.

    Args:
        teacher_logits: (R, T, V).
        student_logits: likewise.
        valid: (R, T) bool, the steps that count.
    """
    teacher = teacher_logits.float().log_softmax(dim=-1)
    student = student_logits.float().softmax(dim=-1).clamp(min=SMALLEST).log()
    divergence = (teacher.exp() * (teacher - student)).sum(dim=-1)
    return torch.where(valid, divergence, 0.0).sum(dim=1)


def fitting_loss(logits: Tensor, losses: Tensor) -> Tensor:
    """The mean squared error of what a selector foresees; a number that all scales share does not count.

    Args:
        logits: (B, k) of the selector.
        losses: (B, k) of ``ScaleLosses.values``.
    """
    return F.mse_loss(_centred(logits) / SHARPNESS, _centred(-losses))


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(dim=1, keepdim=True)


def shift_gamma(logits: Tensor, shift: float, costs: Tensor) -> Tensor:
    """(B, k) logits of a fitted selector as if gamma had been greater by ``shift``.

    ``costs`` are (k,), one a scale.
    """
    return logits - SHARPNESS * shift * costs


def foreseen_losses(logits: Tensor, gamma: float, costs: Tensor) -> Tensor:
    """(B, k) losses that a fitted selector foresees, without the cost; a number that an image's scales share is open.

    Args:
        logits: (B, k).
        gamma: that the selector was fitted for.
        costs: (k,).
    """
    return -logits / SHARPNESS - gamma * costs


def check_gamma_shift(shift: float, selector: nn.Module | None) -> None:
    """Raise ValueError where there is no selector whose gamma could be shifted."""
    if shift != 0 and selector is None:
        raise ValueError(
            f"MODEL.DLD.GAMMA_SHIFT is {shift:g}, but the model has no selector: set it to 0. It is for models with a "
            "selector from tools/fit_selector.py."
        )


def choose_at(
    selector: ScaleClassifier, gamma: float, costs: Tensor, among: Sequence[int] | None = None
) -> ScaleClassifier:
    """A copy of a selector that was fitted with a gamma of 0, for another one.

    What it expects a scale to lose grows by gamma times the scale's cost, for every image.

    Args:
        selector: that was fitted.
        gamma: what it shall choose at.
        costs: (k,) of all scales.
        among: indices of the scales that may be chosen; None for all.
    """
    selector = copy.deepcopy(selector)
    selector.shift(-SHARPNESS * gamma * costs)
    if among is not None:
        selector.restrict(among)
    return selector
