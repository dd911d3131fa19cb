"""Table A2 and Figures A5 and A6: how far word features at a low resolution are from those at the full one.

Shapes: R words, D features of a word in one row, I images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from comparison_plan import Row
from figure_data import FigureData
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dld_spotter.analysis.features import compare_features, feature_distance
from dld_spotter.analysis.readings import annotated_records, load_model
from dld_spotter.evaluation.bootstrap import Estimate, estimate, resample_images
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter

KINDS = ("RoI", "contextual")
# Per cent of Table A2: (RoI, contextual) of Vanilla Multi-Scale, and of SKD-only.
PAPER = {
    "ICDAR 2013": ((0.43, 0.20), (0.30, 0.12)),
    "ICDAR 2015": ((0.28, 0.18), (0.17, 0.10)),
    "Total-Text": ((0.34, 0.19), (0.21, 0.09)),
}
_HIGH, _LOW = "#0072b2", "#d1495b"


@dataclass(frozen=True)
class RowFeatures:
    """One row's features beside those at full resolution.

    Attributes:
        title: of the row.
        words: how many were compared.
        parts: by kind (I, 2): the sum of the distances of an image's words, and how many there are.
        high: by kind (R, D) features at full resolution of the drawn words.
        low: likewise at the row's own scale.
    """

    title: str
    words: int
    parts: dict[str, np.ndarray]
    high: dict[str, np.ndarray] = field(repr=False)
    low: dict[str, np.ndarray] = field(repr=False)

    def distances(self, resamples: int, seed: int) -> dict[str, Estimate]:
        """By kind the mean distance over the words, with its interval over the images."""
        draws = resample_images(len(self.parts["RoI"]), resamples, seed)
        return {kind: estimate([parts], draws) for kind, parts in self.parts.items()}


def row_features(data: FigureData, row: Row, teacher: Row, drawn: int, seed: int) -> RowFeatures:
    """The features of a row's student at its scales, and of a teacher at full resolution, of the same words.

    Args:
        data: the rows.
        row: the student; each image is seen at the scale that it chooses.
        teacher: sees full resolution; the row itself compares a network with itself at two resolutions.
        drawn: about so many words are kept for the plots, drawn at random.
        seed: of them; the same words for every row.
    """
    cfg = data.cfg(row)
    model, full = load_model(cfg), load_model(data.cfg(teacher))
    student = model.student if isinstance(model, DLDSpotter) else model
    full = full.student if isinstance(full, DLDSpotter) else full
    total = sum(not word.ignore for image in data.truth.images[: data.limit] for word in image.words)
    kept = np.random.default_rng(seed)
    parts: dict[str, list] = {kind: [] for kind in KINDS}
    high: dict[str, list] = {kind: [] for kind in KINDS}
    low: dict[str, list] = {kind: [] for kind in KINDS}
    batches = ([record] for record in annotated_records(cfg, data.data_set.name, data.limit))
    for seen, read in compare_features(full, student, batches, model.choose_scales if student is not model else _full):
        mask = kept.random(len(seen.roi)) < drawn / max(1, total)
        for kind, teacher_side, student_side in zip(
            KINDS, (seen.roi, seen.context), (read.roi, read.context), strict=True
        ):
            distance = feature_distance(student_side, teacher_side)
            parts[kind].append((float(distance.sum()), len(distance)))
            high[kind].append(teacher_side.flatten(1).cpu().numpy()[mask])
            low[kind].append(student_side.flatten(1).cpu().numpy()[mask])
    if not parts["RoI"]:
        raise ValueError(f"data set '{data.data_set.name}' has no readable words to compare the features of.")
    return RowFeatures(
        row.title,
        int(sum(number for _, number in parts["RoI"])),
        {kind: np.array(pairs) for kind, pairs in parts.items()},
        {kind: np.concatenate(rows) for kind, rows in high.items()},
        {kind: np.concatenate(rows) for kind, rows in low.items()},
    )


def _full(images: Sequence) -> list[float]:
    return [1.0] * len(images)


def principal_components(features: np.ndarray, components: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along the directions of the greatest variance, and the share of the variance of each.

    From the eigenvectors of the (R, R) matrix of inner products, since words are fewer than features. The sign of each
    component is such that its largest coordinate is positive.

    Args:
        features: (R, D).
        components: how many; there are at most R - 1 and D of them, the others are zeros.

    Returns:
        (R, components) coordinates, and (components,) shares.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    coordinates, shares = np.zeros((len(features), components)), np.zeros(components)
    given = min(components, len(values))
    coordinates[:, :given] = vectors[:, :given] * np.sqrt(values[:given])
    shares[:given] = values[:given] / max(values.sum(), np.finfo(float).tiny)
    largest = np.take_along_axis(coordinates, np.abs(coordinates).argmax(axis=0)[None], axis=0)
    return coordinates * np.where(largest < 0, -1, 1), shares


def draw_features(rows: Sequence[RowFeatures], resamples: int, seed: int) -> Figure:
    """A panel a row and kind: each word at full resolution (blue) and at the row's scale (red), a thin line between.

    All panels of one kind share their axes, the components of all their points.
    """
    figure = Figure(figsize=(3.3 * len(rows), 6.2))
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(KINDS), len(rows), squeeze=False, sharex="row", sharey="row")
    for line, kind in zip(axes, KINDS, strict=True):
        every = [side[kind] for row in rows for side in (row.high, row.low)]
        points, shares = principal_components(np.concatenate(every))
        places = iter(np.split(points, np.cumsum([len(part) for part in every])[:-1]))
        for panel, row in zip(line, rows, strict=True):
            high, low = next(places), next(places)
            panel.plot(*np.stack([high, low]).transpose(2, 0, 1), color="#bbbbbb", lw=0.3, zorder=1)
            panel.scatter(*high.T, s=5, color=_HIGH, lw=0, alpha=0.7, label="full resolution", zorder=2)
            panel.scatter(*low.T, s=5, color=_LOW, lw=0, alpha=0.7, label="low resolution", zorder=3)
            distance = row.distances(resamples, seed)[kind]
            panel.set_title(
                f"{row.title}\n{kind}: {distance.value:.3f} [{distance.low:.3f}, {distance.high:.3f}]", fontsize=8
            )
            panel.tick_params(labelsize=6)
        line[0].set_ylabel(f"component 2 ({shares[1]:.0%} of the variance)", fontsize=7)
        for panel in line:
            panel.set_xlabel(f"component 1 ({shares[0]:.0%})", fontsize=7)
    axes[0, 0].legend(fontsize=6, markerscale=2)
    figure.tight_layout()
    return figure
