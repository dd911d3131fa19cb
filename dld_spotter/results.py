"""What a spotter found in one image, in the form that leaves the program: strings and plain numbers."""

from __future__ import annotations

import json
import logging
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
from detectron2.structures import Instances

from dld_spotter.data.charset import Charset
from dld_spotter.image_io import read_image
from dld_spotter.outlines import instances_to_polygons
from dld_spotter.visualizer import TextVisualizer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Word:
    """One word that was found and read.

    Attributes:
        text: what it says.
        score: ``det_score`` times ``text_score``.
        det_score: how sure it is that there is a word, in [0, 1].
        text_score: how sure the reading is, in [0, 1].
        polygon: its outline, clockwise on screen: [x, y] in pixels of the original image.
    """

    text: str
    score: float
    det_score: float
    text_score: float
    polygon: list[list[float]]


@dataclass(frozen=True)
class TextResult:
    """The words of one image, sorted from the top left; or why there are none.

    Attributes:
        file_name: what the image is called in the record.
        height: pixels of the original image; None if it could not be read.
        width: likewise.
        scale: the share of the full resolution that the model chose; 1.0 where it chooses none.
        words: empty also for an image that could not be read.
        error: why the image could not be read, else None.
        name: the stem of the files that ``save`` writes, distinct among the results of one call.
        source: where the image came from: its path or the array itself.
    """

    file_name: str
    height: int | None = None
    width: int | None = None
    scale: float = 1.0
    words: list[Word] = field(default_factory=list)
    error: str | None = None
    name: str = "image"
    source: Path | np.ndarray | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict:
        """The record: plain numbers and strings, ready for JSON. An unreadable image has ``error`` and no words."""
        if self.error is not None:
            return {"file_name": self.file_name, "error": self.error}
        return {
            "file_name": self.file_name,
            "height": self.height,
            "width": self.width,
            "scale": self.scale,
            "words": [asdict(word) for word in self.words],
        }

    def draw(self, image: np.ndarray | None = None, show_scores: bool = False) -> np.ndarray:
        """The image with the words on it.

        Args:
            image: (H, W, 3) uint8 in BGR order, of the original size; by default the source is read again.

        Returns:
            (H, W, 3) uint8 in BGR order.
        """
        if self.error is not None:
            raise ValueError(f"there is nothing to draw: {self.error}")
        if image is None:
            image = self.source if isinstance(self.source, np.ndarray) else read_image(self.source)
        if image.shape[:2] != (self.height, self.width):
            raise ValueError(
                f"the words of {self.file_name} are in pixels of an image of {self.width} x {self.height}; "
                f"the given one has {image.shape[1]} x {image.shape[0]}."
            )
        visualizer = TextVisualizer(image[:, :, ::-1], show_scores=show_scores)
        return np.ascontiguousarray(visualizer.draw_record(self.to_dict()).get_image()[:, :, ::-1])

    def save(self, out_dir: str | os.PathLike, show_scores: bool = False) -> None:
        """Write the record to ``preds/NAME.json`` and, of a readable image, the drawing to ``vis/NAME.jpg``."""
        record = Path(out_dir, "preds", f"{self.name}.json")
        record.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1, allow_nan=False)
        record.write_text(text + "\n", encoding="utf-8")
        if self.error is None:
            write_image(Path(out_dir, "vis", f"{self.name}.jpg"), self.draw(show_scores=show_scores))


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a BGR image in the format that the suffix says; missing folders are made.

    Raises:
        OSError: the folder cannot be written to, or the suffix is not known.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        encoded = cv2.imencode(path.suffix, image)[1]
    except cv2.error as error:
        raise OSError(f"{path}: images cannot be written as '{path.suffix}'; use .jpg or .png.") from error
    path.write_bytes(encoded.tobytes())


def to_words(instances: Instances, charset: Charset, scale_x: float = 1.0, scale_y: float = 1.0) -> list[Word]:
    """Predictions to words, from the top left; those without an area or with a score that is no number are left out.

    Args:
        instances: N predictions of one image (see ``instances_to_polygons``), with ``scores``, ``pred_text`` and
            ``pred_text_scores``.
        scale_x: factor from the instances' pixels to those of the record.
        scale_y: likewise.
    """
    texts = charset.decode(instances.pred_text)
    scores = zip(instances.scores.tolist(), instances.pred_text_scores.tolist(), strict=True)
    words = []
    for text, (det_score, text_score), polygon in zip(texts, scores, instances_to_polygons(instances), strict=True):
        if not (math.isfinite(det_score) and math.isfinite(text_score)):
            logger.warning("a word is left out: its scores are %s and %s.", det_score, text_score)
        elif polygon is not None:
            words.append(_to_word(text, det_score, text_score, polygon * (scale_x, scale_y)))
    return sorted(words, key=_top_left)


def _top_left(word: Word) -> tuple[float, float]:
    columns, rows = zip(*word.polygon, strict=True)
    return min(rows), min(columns)


def _to_word(text: str, det_score: float, text_score: float, polygon: np.ndarray) -> Word:
    return Word(
        text=text,
        score=round(det_score * text_score, 4),
        det_score=round(det_score, 4),
        text_score=round(text_score, 4),
        polygon=np.round(polygon.astype(np.float64), 2).tolist(),
    )
