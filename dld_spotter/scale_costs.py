"""What the scales of a model cost, and which one a reader may be asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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


def check_scale(scale: float | None, costs: ScaleCosts | None) -> None:
    """Whether a reader can be asked for a scale.

    Args:
        scale: None lets the model choose.
        costs: of the model; None of one that chooses no scale.

    Raises:
        ValueError: the model chooses no scale, or it is no share of the full resolution.
    """
    if scale is None:
        return
    if costs is None:
        raise ValueError("this model reads at full resolution alone; a scale needs a model such as 'photos-dld'.")
    if not 0 < scale <= 1:
        raise ValueError(f"the scale is {scale}; it is a share of the full resolution above 0, up to 1.")
