"""Where words are lost: how many are found and read by their height in the photo, and why the others are not.

The height of a word is the shorter side of the smallest rectangle (turned as the word is) round its outline. It is
scaled to a photo with a shorter side of SHORT_SIDE pixels, so that rows of several data sets can be compared.

Shapes: W cared-for words of a data set.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dld_spotter.evaluation.matching import ComparedWords, MatchedWords
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.evaluation.transcription import same_word
from dld_spotter.geometry import shorter_side

SHORT_SIDE = 720  # pixels
EDGES = (0, 14, 20, 30, 50, 80)  # pixels: a row holds the heights from one edge up to the next

NOT_FOUND, LOW_SCORE, MISREAD = "not found", "score below threshold", "misread"
CAUSES = (NOT_FOUND, LOW_SCORE, MISREAD)
RIGHT = ""


@dataclass(frozen=True, eq=False)
class ErrorBreakdown:
    """What became of each cared-for word.

    Attributes:
        heights: (W,) in pixels.
        found: (W,) bool, whether a detection matches the word, whatever its score.
        read: (W,) bool, whether that detection reads it right.
        causes: W names: RIGHT, or why the word is not right among the detections that count. Whoever has the model at
            hand may use finer causes than CAUSES ("no proposal", "box score", "mask", "reading").
        scaled: whether the heights are scaled to SHORT_SIDE; else they are in the photos' own pixels.
        kinds: the causes in the order of the table's columns.
    """

    heights: np.ndarray
    found: np.ndarray
    read: np.ndarray
    causes: Sequence[str]
    scaled: bool = True
    kinds: Sequence[str] = CAUSES

    def rows(self) -> list[tuple[str, str, np.ndarray]]:
        """Key, title and the (W,) bool words of each height that has any; the last one holds all words."""
        titles = [f"{low}-{high}" for low, high in pairwise(EDGES)] + [f"{EDGES[-1]} and more"]
        titles[0] = f"under {EDGES[1]}"
        row_of = np.searchsorted(EDGES, np.round(self.heights, 3), side="right") - 1
        rows = [(f"size_{low}", title, row_of == i) for i, (low, title) in enumerate(zip(EDGES, titles, strict=True))]
        rows.append(("size_all", "all", np.ones(len(self.heights), dtype=bool)))
        return [row for row in rows if row[2].any()]

    def count(self, words: np.ndarray) -> dict[str, int]:
        """Counts of some of the words, (W,) bool: of all, of those found and read, and of each cause."""
        causes = np.array(self.causes, dtype=object)[words]
        counts = {"words": int(words.sum()), "found": int(self.found[words].sum()), "read": int(self.read[words].sum())}
        return counts | {cause: int((causes == cause).sum()) for cause in self.kinds}

    def results(self) -> OrderedDict[str, dict[str, float]]:
        """{"size_80": {"found": share, "read": share}, ..., "lost": {cause: share of all words}}."""
        results = OrderedDict()
        for key, _, words in self.rows():
            counts = self.count(words)
            results[key] = {name: counts[name] / counts["words"] for name in ("found", "read")}
            if key == "size_all":
                results["lost"] = {kind.replace(" ", "_"): counts[kind] / counts["words"] for kind in self.kinds}
        return results

    def to_dict(self) -> dict:
        """The counts as plain data for a JSON file."""
        return {"scaled": self.scaled, "rows": {key: self.count(words) for key, _, words in self.rows()}}

    def table(self) -> str:
        """One line a height: the words, shares found and read, and how many are lost for which cause."""
        pixels = f"of photos with a shorter side of {SHORT_SIDE}" if self.scaled else "of the photos as they are"
        lines = [
            f"Cared-for words by height in pixels {pixels}; found and read are shares with all detections counted, "
            "whatever their score and without a lexicon; then how many words the score lacks, and why:",
            "  ".join(["height".ljust(11), "words", "found", " read", *self.kinds]),
        ]
        for _, title, words in self.rows():
            counts = self.count(words)
            shares = [f"{counts[name] / counts['words']:5.2f}" for name in ("found", "read")]
            causes = [str(counts[kind]).rjust(len(kind)) for kind in self.kinds]
            lines.append("  ".join([title.ljust(11), str(counts["words"]).rjust(5), *shares, *causes]))
        return "\n".join(lines)


def break_down_errors(images: Sequence[ComparedWords], matched: MatchedWords, protocol: Protocol) -> ErrorBreakdown:
    """What became of each cared-for word.

    Args:
        images: with all detections, by descending score.
        matched: the matching of all these detections. Those below the protocol's threshold come last, so that leaving
            them out changes no other match.
        protocol: with the threshold and the rules of comparison.
    """
    sizes = [image.image.size for image in images if image.image.truths]
    scaled = None not in sizes
    heights, found, read, causes = [], [], [], []
    for image, references, matching in zip(images, matched.references, matched.matchings, strict=True):
        scale = SHORT_SIDE / min(image.image.size) if scaled and image.image.size else 1.0
        detections = dict(matching.pairs.tolist())
        for index, reference in enumerate(references):
            if reference is None:
                continue
            word = image.reads[detections[index]] if index in detections else None
            right = word is not None and same_word(reference, word.text, protocol)
            heights.append(scale * shorter_side(image.image.truths[index].polygon))
            found.append(word is not None)
            read.append(right)
            if word is None:
                causes.append(NOT_FOUND)
            elif word.score < protocol.score_threshold:
                causes.append(LOW_SCORE)
            else:
                causes.append(RIGHT if right else MISREAD)
    return ErrorBreakdown(np.array(heights), np.array(found, dtype=bool), np.array(read, dtype=bool), causes, scaled)
