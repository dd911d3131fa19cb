"""Figures of methods on one data set with their intervals, and the expected orderings beside the measured ones."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from comparison_plan import SIGNS, Comparison, DataSet, Plan, Row

from dld_spotter.analysis.flops import GIGA
from dld_spotter.analysis.readings import ImageReading, Readings
from dld_spotter.analysis.scales import scale_shares
from dld_spotter.evaluation.bootstrap import (
    Estimate,
    estimate,
    estimate_difference,
    hmean_parts,
    resample_images,
)
from dld_spotter.evaluation.ground_truth import GroundTruth
from dld_spotter.evaluation.lexicon import ImageLexicons, Lexicon
from dld_spotter.evaluation.protocol import ImageWords, Protocol
from dld_spotter.evaluation.scoring import count_images
from dld_spotter.evaluation.transcription import fold_case

NOT_TRAINED = "not trained"
NOT_MEASURED = "not measured"

Parts = dict[str, np.ndarray]  # by figure: (images, 2) as in evaluation.bootstrap


@dataclass(frozen=True)
class Measured:
    """What a row read in a data set, and what its figures are made of; images in the order of the ground truth."""

    images: list[ImageWords]
    readings: list[ImageReading]
    machine: str
    parts: Parts


@dataclass(frozen=True)
class RowResult:
    """One row on one data set.

    Attributes:
        row: of the plan.
        missing: why there are no figures; "" where there are.
        figures: by name (``comparison_plan.FIGURES``), as shares in [0, 1]; "gflops" in 10**9 multiply-adds an image.
        differences: to the reference; empty for the reference itself.
        cost: multiply-adds relative to the first row's; None if that is not there.
        seconds: median an image.
        shares: of the images by scale.
        machine: where the seconds were measured.
    """

    row: Row
    missing: str = ""
    figures: dict[str, Estimate] = field(default_factory=dict)
    differences: dict[str, Estimate] = field(default_factory=dict)
    cost: float | None = None
    seconds: float = 0.0
    shares: dict[float, float] = field(default_factory=dict)
    machine: str = ""


@dataclass(frozen=True)
class ComparisonResult:
    """What became of an expected ordering; without ``difference`` one of the methods is not there.

    Attributes:
        first, second: figures of the two methods, means over their runs.
        difference: first - second, paired.
        agrees: "yes", "no", or "within the interval", which holds zero.
        runs: how many of either method were compared.
    """

    comparison: Comparison
    first: Estimate | None = None
    second: Estimate | None = None
    difference: Estimate | None = None
    agrees: str = NOT_MEASURED
    runs: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class SetResult:
    """All rows on one data set; ``images`` and ``words`` (cared for) are 0 where no row was measured."""

    data_set: DataSet
    images: int
    words: int
    protocol: str
    rows: list[RowResult]
    comparisons: list[ComparisonResult]

    def to_dict(self) -> dict:
        """Everything as plain data for a JSON file."""
        return asdict(self)


def measured(
    readings: Readings,
    truth: GroundTruth,
    protocol: Protocol,
    lexicons: Mapping[str, Lexicon | ImageLexicons | None],
) -> Measured:
    """Readings paired with the annotated words of the images that were read, and counted."""
    by_id = {str(reading.image_id): reading for reading in readings.images}
    paired = zip(truth.images, truth.pair(reading.prediction() for reading in readings.images), strict=True)
    kept = [(words, by_id[str(image.image_id)]) for image, words in paired if str(image.image_id) in by_id]
    images, ordered = [words for words, _ in kept], [reading for _, reading in kept]
    return Measured(images, ordered, readings.machine, figure_parts(images, ordered, protocol, lexicons))


def figure_parts(
    images: Sequence[ImageWords],
    readings: Sequence[ImageReading],
    protocol: Protocol,
    lexicons: Mapping[str, Lexicon | ImageLexicons | None],
) -> Parts:
    """What each figure of ``comparison_plan.FIGURES`` is made of, image by image: (I, 2) each."""
    parts = {name: hmean_parts(counts) for name, counts in count_images(images, protocol, lexicons).items()}
    right = [
        [sum(fold_case(a, protocol) == fold_case(b, protocol) for a, b in r.true_places), len(r.true_places)]
        for r in readings
    ]
    parts["recognition"] = np.array(right, dtype=np.int64)
    parts["gflops"] = np.array([[reading.multiply_adds, GIGA] for reading in readings], dtype=np.int64)
    return parts


def score_set(
    plan: Plan,
    data_set: DataSet,
    protocol: Protocol,
    found: Mapping[str, Measured | str],
    resamples: int = 1000,
    seed: int = 0,
) -> SetResult:
    """All figures of a data set with their intervals.

    Args:
        plan: of the comparison.
        data_set: that was read.
        protocol: the rules.
        found: by the rows' names; in place of a row that was not measured, why.
        resamples: of the bootstrap; all rows share the resampled images.
        seed: likewise.
    """
    runs = {name: entry for name, entry in found.items() if isinstance(entry, Measured)}
    if not runs:
        rows = [RowResult(row, found[row.name]) for row in plan.rows]
        return SetResult(data_set, 0, 0, protocol.describe(), rows, [ComparisonResult(c) for c in plan.comparisons])
    images = next(iter(runs.values())).images
    draws = resample_images(len(images), resamples, seed)
    methods: dict[str, list[Parts]] = {row.title: [] for row in plan.rows}
    for row in plan.rows:
        if row.name in runs:
            methods[row.title].append(runs[row.name].parts)
    first = runs.get(plan.rows[0].name)
    unit = estimate([first.parts["gflops"]], draws).value if first else None
    rows = [
        _score_row(row, runs[row.name], [] if row.title == plan.reference else methods[plan.reference], draws, unit)
        if row.name in runs
        else RowResult(row, found[row.name])
        for row in plan.rows
    ]
    words = sum(not word.ignore for image in images for word in image.truths)
    comparisons = [_compare(comparison, methods, draws) for comparison in plan.comparisons]
    return SetResult(data_set, len(images), words, protocol.describe(), rows, comparisons)


def agreement(difference: Estimate, expected: str) -> str:
    """Whether a difference has the expected sign (">" or "<"): "yes", "no", or "within the interval"."""
    if difference.sign == 0:
        return "within the interval"
    return "yes" if difference.sign == SIGNS[expected] else "no"


def _score_row(row: Row, run: Measured, reference: Sequence[Parts], draws: np.ndarray, unit: float | None) -> RowResult:
    """A row's figures; ``unit`` is the first row's cost, None where that is not known."""
    figures = {name: estimate([parts], draws) for name, parts in run.parts.items()}
    scales = [reading.scale for reading in run.readings]
    return RowResult(
        row,
        figures=figures,
        differences={
            name: estimate_difference([parts], [other[name] for other in reference], draws)
            for name, parts in (run.parts.items() if reference else ())
        },
        cost=figures["gflops"].value / unit if unit else None,
        seconds=statistics.median(reading.seconds for reading in run.readings),
        shares=scale_shares(scales, sorted(set(scales))),
        machine=run.machine,
    )


def _compare(comparison: Comparison, methods: Mapping[str, Sequence[Parts]], draws: np.ndarray) -> ComparisonResult:
    first, second = (
        [parts[comparison.figure] for parts in methods[title] if comparison.figure in parts]
        for title in (comparison.first, comparison.second)
    )
    if not first or not second:
        return ComparisonResult(comparison)
    difference = estimate_difference(first, second, draws)
    return ComparisonResult(
        comparison,
        estimate(first, draws),
        estimate(second, draws),
        difference,
        agreement(difference, comparison.expected),
        (len(first), len(second)),
    )
