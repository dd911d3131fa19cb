"""The reliability plot: the share of right words against what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dld_spotter.evaluation.calibration import Reliability


def draw_reliability(found: Mapping[str, Reliability], path: Path) -> None:
    """Write a panel for each of what is said of words.

    Args:
        found: by name.
        path: of the picture; its suffix names the format.

    Raises:
        ImportError: Matplotlib is not installed.
        ValueError, OSError: the file cannot be written, or has another format.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("the plot needs Matplotlib: `pip install matplotlib`.") from error
    figure = Figure(figsize=(4.2 * len(found), 4.2), layout="constrained")
    for name, axes in zip(found, figure.subplots(1, len(found), squeeze=False)[0], strict=True):
        own = found[name]
        shares = np.array([[group.value, group.low, group.high] for group in own.right])
        spread = np.abs(shares[:, 1:] - shares[:, :1]).T
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
        axes.errorbar(own.said, shares[:, 0], spread, fmt="o-", color="#0072b2", capsize=2, markersize=4)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=f"{name}, mean of each group", ylabel="share of right words")
        value, low, high = own.error.value, own.error.low, own.error.high
        axes.set_title(f"calibration error {value:.3f} [{low:.3f}, {high:.3f}]", fontsize=10)
    figure.savefig(path, dpi=120)
