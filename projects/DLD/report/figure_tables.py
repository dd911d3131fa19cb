"""The figures' tables as Markdown, with the paper's numbers beside them where the paper has them."""

from collections.abc import Sequence

from comparison_table import table
from failure_shares import PAPER as PAPER_FAILURES
from failure_shares import SHARES
from feature_figures import KINDS, RowFeatures
from feature_figures import PAPER as PAPER_FEATURES
from scale_figures import CurvePoint, GammaColumn

from dld_spotter.evaluation.bootstrap import Estimate


def gamma_table(title: str, columns: Sequence[GammaColumn]) -> str:
    """Table A1 of one row: a column a gamma; below the shares, cost and score."""
    head = [title, *(f"gamma {column.gamma:g}" for column in columns)]
    scales = list(columns[0].shares)
    lines = [[f"scale {scale:g}", *(percent(column.shares[scale]) for column in columns)] for scale in scales]
    lines.append(["cost", *(f"{column.cost:.2f}" for column in columns)])
    lines.append(["end to end, none", *(percent(column.score) for column in columns)])
    return table(head, lines)


def curve_table(points: Sequence[CurvePoint], reference: str) -> str:
    """Accuracy and cost of each point."""
    head = ["method", "scale or gamma", "cost", "end to end, none", f"difference to {reference}"]
    lines = [
        [point.title, point.setting, f"{point.cost:.2f}", percent(point.score), percent(point.difference, "+")]
        for point in points
    ]
    return table(head, lines)


def failure_table(first: str, second: str, shares: dict[tuple[str, str], Estimate]) -> str:
    """Table A3."""
    lines = [
        [*kind, percent(shares[kind]), *(f"{paper[index]:.2f}" for paper in PAPER_FAILURES.values())]
        for index, kind in enumerate(SHARES)
    ]
    return table([first, second, "share of the words", *(f"paper, {name}" for name in PAPER_FAILURES)], lines)


def feature_table(rows: Sequence[RowFeatures], resamples: int, seed: int) -> str:
    """Table A2, and the paper's."""
    lines = []
    for row in rows:
        distances = row.distances(resamples, seed)
        lines.append([row.title, *(_distance(distances[kind]) for kind in KINDS), f"{row.words} words"])
    for name, methods in PAPER_FEATURES.items():
        for method, values in zip(("Vanilla Multi-Scale", "SKD-only"), methods, strict=True):
            lines.append([f"paper: {method}", *(f"{value:.2f}" for value in values), name])
    return table(["method", *(f"L2 distance, {kind}" for kind in KINDS), "on"], lines)


def percent(figure: Estimate, sign: str = "") -> str:
    """A share in per cent with its interval, which is left out where it has no width."""
    value, low, high = (f"{100 * part:{sign}.1f}" for part in (figure.value, figure.low, figure.high))
    return value if figure.low == figure.high else f"{value} [{low}, {high}]"


def _distance(figure: Estimate) -> str:
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
