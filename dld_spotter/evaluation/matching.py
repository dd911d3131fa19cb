"""Which detection finds which word: overlap of outlines, and one-to-one matching as in the ICDAR competitions.

Shapes: G annotated words and D detections of one image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely

from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord
from dld_spotter.evaluation.transcription import reference_word
from dld_spotter.geometry import valid_polygon

_NOTHING = shapely.Polygon()


@dataclass(frozen=True)
class Overlap:
    """How far outlines cover each other.

    Attributes:
        iou: (G, D) area of the intersection over that of the union.
        covered: (G, D) share of the detection's area that lies in the annotated word.
    """

    iou: np.ndarray
    covered: np.ndarray

    def of_detections(self, kept: np.ndarray) -> Overlap:
        """The overlaps of some of the detections, (D,) bool."""
        return Overlap(self.iou[:, kept], self.covered[:, kept])


@dataclass(frozen=True)
class Matching:
    """Which detection found which word.

    Attributes:
        pairs: (K, 2) indices of words and of the detections that found them, by ascending word.
        ignored: (D,) bool, detections that do not count because a don't-care region covers them.
    """

    pairs: np.ndarray
    ignored: np.ndarray


@dataclass(frozen=True, eq=False)
class ComparedWords:
    """The words of an image and their overlaps."""

    image: ImageWords
    overlap: Overlap

    @classmethod
    def of(cls, image: ImageWords) -> ComparedWords:
        return cls(image, measure_overlap([w.polygon for w in image.truths], [w.polygon for w in image.reads]))

    @property
    def reads(self) -> Sequence[ReadWord]:
        return self.image.reads

    def keep(self, kept: Sequence[bool]) -> ComparedWords:
        """Without the read words that are not kept."""
        if all(kept):
            return self
        reads = [word for word, keep in zip(self.reads, kept, strict=True) if keep]
        return ComparedWords(replace(self.image, reads=reads), self.overlap.of_detections(np.array(kept, dtype=bool)))


@dataclass(frozen=True)
class MatchedWords:
    """What every image's words should be read as (None: don't care), and which detection found which."""

    references: list[list[str | None]]
    matchings: list[Matching]

    @property
    def num_truths(self) -> int:
        """Words to be found."""
        return sum(reference is not None for words in self.references for reference in words)

    @property
    def num_detections(self) -> int:
        """Detections that count."""
        return sum(int((~matching.ignored).sum()) for matching in self.matchings)

    def pairs(self, texts: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
        """(reference, read) texts of all words that were found; ``texts`` are the read ones of each image."""
        return [
            (words[truth], read[detection])
            for words, matching, read in zip(self.references, self.matchings, texts, strict=True)
            for truth, detection in matching.pairs.tolist()
        ]


def measure_overlap(truths: Sequence[np.ndarray], detections: Sequence[np.ndarray]) -> Overlap:
    """Overlaps of all pairs of G and D outlines, each (P, 2) in pixels with a P of its own.

    An outline that crosses itself counts as its largest part; one without an area overlaps nothing.
    """
    truth_regions, detected_regions = to_regions(truths), to_regions(detections)
    truth_areas, detected_areas = shapely.area(truth_regions), shapely.area(detected_regions)
    intersection = np.zeros((len(truths), len(detections)))
    rows, columns = _touching_boxes(shapely.bounds(truth_regions), shapely.bounds(detected_regions))
    shared = shapely.intersection(truth_regions[rows], detected_regions[columns])
    intersection[rows, columns] = shapely.area(shared)
    union = truth_areas[:, None] + detected_areas - intersection
    return Overlap(
        iou=np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0),
        covered=np.divide(
            intersection, detected_areas, out=np.zeros_like(intersection), where=(detected_areas > 0)[None]
        ),
    )


def match_words(overlap: Overlap, dont_care: np.ndarray, threshold: float) -> Matching:
    """Match greedily, in the order of the words and, for each word, of the detections.

    A detection is ignored when one don't-care word covers more than ``threshold`` of it. Every other word takes the
    first free detection whose IoU exceeds ``threshold``. This is the rule of the official ICDAR end-to-end script:
    the order counts, not the size of the overlap.

    Args:
        overlap: of G words with D detections.
        dont_care: (G,) bool.
        threshold: both overlaps must exceed it strictly.
    """
    ignored = (overlap.covered[dont_care] > threshold).any(axis=0)
    allowed = (overlap.iou > threshold) & ~dont_care[:, None] & ~ignored
    pairs: list[tuple[int, int]] = []
    found, used = set(), set()
    for word, detection in np.argwhere(allowed).tolist():
        if word not in found and detection not in used:
            found.add(word)
            used.add(detection)
            pairs.append((word, detection))
    return Matching(np.array(pairs, dtype=np.int64).reshape(-1, 2), ignored)


def match_images(images: Sequence[ComparedWords], protocol: Protocol) -> MatchedWords:
    references = [[reference_word(word, protocol) for word in image.image.truths] for image in images]
    dont_care = [np.array([reference is None for reference in words], dtype=bool) for words in references]
    matchings = [
        match_words(image.overlap, ignored, protocol.iou_threshold)
        for image, ignored in zip(images, dont_care, strict=True)
    ]
    return MatchedWords(references, matchings)


def to_regions(polygons: Sequence[np.ndarray]) -> np.ndarray:
    """(N,) shapely polygons, all of them valid; empty ones for outlines without an area."""
    regions = np.full(len(polygons), _NOTHING, dtype=object)
    usable = np.array([i for i, p in enumerate(polygons) if len(p) >= 3 and np.isfinite(p).all()], dtype=np.int64)
    if not len(usable):
        return regions
    points = [np.asarray(polygons[i], dtype=np.float64) for i in usable]
    owners = np.repeat(np.arange(len(points)), [len(p) for p in points])
    regions[usable] = shapely.polygons(shapely.linearrings(np.concatenate(points), indices=owners))
    for index in usable[~shapely.is_valid(regions[usable])]:
        regions[index] = _repaired(polygons[index])
    return regions


def _repaired(polygon: np.ndarray) -> shapely.Polygon:
    try:
        return valid_polygon(polygon)
    except ValueError:  # no area: the word stays in the count, but nothing can overlap it
        return _NOTHING


def _touching_boxes(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the pairs of boxes (G, 4) and (D, 4), x1, y1, x2, y2, that overlap; NaN boxes overlap nothing."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    reference, read = np.nonzero((low < high).all(axis=-1))
    return reference, read
