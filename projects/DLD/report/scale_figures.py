"""Table A1, the share of each scale by gamma; and accuracy against cost, at fixed and at chosen scales.

Words are read once at each scale. Another gamma only chooses otherwise among what was read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from figure_data import FigureData, ScaleSweep, is_dld
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dld_spotter.evaluation.bootstrap import Estimate, estimate, estimate_difference, resample_images

# End to end, per cent, and multiply-adds / 2**30, of the paper's Table 1: ICDAR 2015 with the generic lexicon, and
# Total-Text without one.
PAPER = {
    "ICDAR 2015, generic lexicon": {
        "Vanilla": [(69.5, 517.2), (62.9, 129.3)],
        "SKD-only": [(67.1, 129.3)],
        "DRS-only": [(66.8, 298.8), (63.7, 163.6)],
        "DLD": [(70.9, 261.8), (69.3, 148.3)],
    },
    "Total-Text, no lexicon": {
        "Vanilla": [(62.3, 206.7), (55.4, 52.0)],
        "SKD-only": [(59.6, 52.0)],
        "DRS-only": [(60.9, 119.2), (58.8, 75.0)],
        "DLD": [(63.9, 103.0), (61.9, 62.1)],
    },
}
_PAPER_MARKS = dict(zip(("Vanilla", "SKD-only", "DRS-only", "DLD"), "sD^o", strict=True))
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7f7f7f", "#e69f00")


@dataclass(frozen=True)
class CurvePoint:
    """A row at one setting.

    Attributes:
        title: of the row, and how its scale is found.
        setting: the scale, or gamma.
        cost: share of the multiply-adds of the plan's first row.
        score: end to end, a share.
        difference: to the plan's first row, paired.
    """

    title: str
    setting: str
    cost: float
    score: Estimate
    difference: Estimate


@dataclass(frozen=True)
class GammaColumn:
    """What a selector chooses at one gamma.

    Attributes:
        gamma: the price of the cost.
        shares: of the images by scale.
        cost: relative to the plan's first row.
        score: end to end, a share.
    """

    gamma: float
    shares: dict[float, Estimate]
    cost: float
    score: Estimate


def gamma_columns(
    data: FigureData, sweep: ScaleSweep, gammas: Sequence[float], resamples: int, seed: int
) -> list[GammaColumn]:
    """Table A1 of one row."""
    draws = resample_images(len(sweep.selector_cost), resamples, seed)
    unit = _unit(data)
    columns = []
    for gamma in gammas:
        choice = sweep.choose(gamma)
        chosen = {scale: choice == index for index, scale in enumerate(sweep.scales)}
        shares = {
            scale: estimate([np.stack([here, np.ones_like(here)], axis=1).astype(np.int64)], draws)
            for scale, here in chosen.items()
        }
        score = estimate([sweep.parts("e2e_none", choice)], draws)
        columns.append(GammaColumn(gamma, shares, _cost(sweep.parts("gflops", choice)) / unit, score))
    return columns


def curve_points(
    data: FigureData, titles: Sequence[str], gammas: Sequence[float], scales: Sequence[float], resamples: int, seed: int
) -> list[CurvePoint]:
    """Each row at one scale for all, and, where it has a selector, at each gamma.

    Args:
        data: the rows.
        titles: of them.
        gammas: for rows with a selector.
        scales: for rows without one; none are read at the one scale that they have.
        resamples: of the bootstrap.
        seed: likewise.
    """
    first = data.measured(data.plan.rows[0])
    draws = resample_images(len(first.images), resamples, seed)
    unit = _cost(first.parts["gflops"])

    def point(title: str, setting: str, parts: np.ndarray, costs: np.ndarray) -> CurvePoint:
        difference = estimate_difference([parts], [first.parts["e2e_none"]], draws)
        return CurvePoint(title, setting, _cost(costs) / unit, estimate([parts], draws), difference)

    points = []
    for title in titles:
        row = data.row(title)
        if is_dld(data.cfg(row)) and len(data.cfg(row).MODEL.DLD.SCALES) == 1:
            own = data.measured(row)
            points.append(point(title, "", own.parts["e2e_none"], own.parts["gflops"]))
            continue
        sweep = data.sweep(row, scales)
        for scale, at_scale in zip(sweep.scales, sweep.at_scale, strict=True):
            parts = at_scale.parts
            points.append(point(f"{title}, one scale for all", f"{scale:g}", parts["e2e_none"], parts["gflops"]))
        for gamma in gammas if sweep.logits is not None else ():
            choice = sweep.choose(gamma)
            parts = sweep.parts("e2e_none", choice), sweep.parts("gflops", choice)
            points.append(point(f"{title}, scale chosen", f"gamma {gamma:g}", *parts))
    return points


def draw_curve(points: Sequence[CurvePoint], heading: str) -> Figure:
    """Two panels: the points lost to full resolution here, and in the paper, against the share of its multiply-adds."""
    figure = Figure(figsize=(10.5, 4.6))
    FigureCanvasAgg(figure)
    here, there = figure.subplots(1, 2)
    titles = list(dict.fromkeys(point.title for point in points))
    for title, colour in zip(titles, _COLOURS * len(titles), strict=False):
        own = [point for point in points if point.title == title]
        chosen = title.endswith("scale chosen")
        scores = [100 * point.difference.value for point in own]
        spread = [[s - 100 * p.difference.low for s, p in zip(scores, own, strict=True)]]
        spread += [[100 * p.difference.high - s for s, p in zip(scores, own, strict=True)]]
        style = {"marker": "o" if chosen else "s", "ms": 4, "lw": 1.4, "ls": "-" if chosen else "--"}
        here.errorbar(
            [p.cost for p in own], scores, spread, color=colour, label=title, capsize=2, elinewidth=0.5, **style
        )
        for position, (point, score) in enumerate(zip(own, scores, strict=True)):
            if point.setting and (not chosen or position in (0, len(own) - 1)):
                _label(here, point.setting, (point.cost, score), colour, above=chosen)
    here.set_title(heading, fontsize=9)
    _draw_paper(there)
    for axes in (here, there):
        axes.axhline(0, color="#999999", lw=0.7)
        axes.set_xlabel("share of the multiply-adds at full resolution", fontsize=8)
        axes.set_ylabel("end to end, points above full resolution", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=6.5, loc="lower right")
        axes.grid(lw=0.3)
    figure.tight_layout()
    return figure


def _draw_paper(axes: Axes) -> None:
    for (name, methods), colour in zip(PAPER.items(), _COLOURS, strict=False):
        full, unit = methods["Vanilla"][0]
        for method, found in methods.items():
            costs, scores = [cost / unit for _, cost in found], [score - full for score, _ in found]
            filled = colour if method == "DLD" else "none"
            axes.plot(
                costs,
                scores,
                _PAPER_MARKS[method] + ":",
                color=colour,
                mfc=filled,
                lw=0.8,
                ms=6,
                label=f"{name}: {method}",
            )
    axes.set_title("the paper, ResNet-50 (DRS-only and DLD: gamma 0.1 and 0.3)", fontsize=9)


def _label(axes: Axes, text: str, place: tuple[float, float], colour: str, above: bool) -> None:
    offset = (0, 6) if above else (3, -9)
    axes.annotate(text, place, xytext=offset, textcoords="offset points", fontsize=6, color=colour)


def _unit(data: FigureData) -> float:
    return _cost(data.measured(data.plan.rows[0]).parts["gflops"])


def _cost(parts: np.ndarray) -> float:
    """The mean of costs, from their parts (I, 2)."""
    numerator, denominator = parts.sum(axis=0)
    return float(numerator / denominator)
