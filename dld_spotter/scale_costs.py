"""What the scales of a model cost, and which one a reader may be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NO_SELECTOR = "the model has no selector, which would foresee what a scale loses; give a scale instead."
STEP = 1000  # a chosen scale is rounded down to one part in so many, where single precision still counts alike


@dataclass(frozen=True)
class ScaleCosts:
    """The candidate scales of a model.

    Attributes:
        scales: shares of the full resolution.
        costs: of each the share of the full resolution's multiply-adds, as the model's config states them.
    """

    scales: tuple[float, ...]
    costs: tuple[float, ...]

    def share(self, scale: float) -> float:
        """The share of the full cost at any scale.

        Between candidates it is interpolated linearly. The full resolution costs 1. Below the smallest candidate it is
        that candidate's, which is too much.
        """
        known = dict(sorted(zip((*self.scales, 1.0), (*self.costs, 1.0), strict=True)))
        return float(np.interp(scale, list(known), list(known.values())))

    def largest(self, cost: float) -> float:
        """The largest scale that costs at most this share, interpolated as ``share`` is; costs rise with the scales."""
        known = sorted(zip((*self.scales, 1.0), (*self.costs, 1.0), strict=True))
        return float(np.interp(cost, [own for _, own in known], [scale for scale, _ in known]))


@dataclass(frozen=True)
class ScaleBound:
    """What the choice of a photo's scale may lose, or cost: any scale between the candidates can be chosen.

    Attributes:
        max_loss: in wrong words over the words of a mean photo: 0.01 is one word in a hundred.
        budget: the largest share of the full resolution's cost, of each photo.
    """

    max_loss: float = 0.0
    budget: float = 1.0

    def __post_init__(self) -> None:
        """Raises:
        ValueError: a number that bounds nothing.
        """
        if not self.max_loss >= 0 or not self.budget > 0:
            raise ValueError(
                f"the largest loss is {self.max_loss} and the budget {self.budget}; the loss must be 0 or more, "
                "and the budget a share of the full cost above 0."
            )

    def choose(self, losses: Sequence[float] | np.ndarray, costs: ScaleCosts, limit: float = 0.0) -> float:
        """The smallest scale within the budget that is foreseen to lose at most ``max_loss`` more than the best there.

        Between candidates the loss is interpolated linearly.

        Args:
            losses: (k,) that are foreseen at ``costs.scales``; a number that all share does not count.
            costs: of the k scales.
            limit: the largest candidate that may be chosen; 0 for all.
        """
        known = sorted((s, float(loss)) for s, loss in zip(costs.scales, losses, strict=True) if not 0 < limit < s)
        scales, foreseen = np.array(known, np.float64).T
        largest = min(max(costs.largest(self.budget), scales[0]), scales[-1])
        ends = np.append(scales[scales < largest], largest)
        values = np.interp(ends, scales, foreseen)
        bound = values.min() + self.max_loss
        last = int(np.argmax(values <= bound))
        chosen = ends[last]
        if last > 0:  # the line from the end before, which loses more, reaches the bound here
            share = (values[last - 1] - bound) / (values[last - 1] - values[last])
            chosen = ends[last - 1] + share * (chosen - ends[last - 1])
        return float(max(np.floor(chosen * STEP + 1e-6) / STEP, scales[0]))


def check_scale(scale: float | ScaleBound | None, costs: ScaleCosts | None) -> None:
    """Whether a reader can be asked for a scale.

    Args:
        scale: None lets the model choose.
        costs: of the model; None of one that chooses no scale.

    Raises:
        ValueError: the model chooses no scale, or it is no share of the full resolution, or the budget is too small.
    """
    if scale is None:
        return
    if costs is None:
        raise ValueError("this model reads at full resolution alone; a scale needs a model such as 'photos-dld'.")
    if isinstance(scale, ScaleBound):
        if scale.budget < min(costs.costs):
            raise ValueError(f"the budget is {scale.budget:g}; the smallest scale costs {min(costs.costs):g} of all.")
    elif not 0 < scale <= 1:
        raise ValueError(f"the scale is {scale}; it is a share of the full resolution above 0, up to 1.")
