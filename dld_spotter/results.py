"""What a spotter found in one image, in the form that leaves the program: strings and plain numbers."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dld_spotter.photo_sources import Photo
from dld_spotter.text_lines import reading_lines
from dld_spotter.word_drawing import draw_words
from dld_spotter.word_formats import csv_header, csv_rows, hocr, printable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Word:
    """One word that was found and read.

    Attributes:
        text: what it says.
        score: both together, as TEST.TEXT.SCORE_POWERS says; by default ``det_score`` times ``text_score``.
        det_score: how sure it is that there is a word, in [0, 1].
        text_score: how sure the reading is, in [0, 1].
        polygon: its outline, clockwise on screen: [x, y] in pixels of the original image.
        columns: of a CTC recogniser, for each column the probabilities of its likeliest characters, "" for none; the
            lexicon rule "likelihood" asks for them.
        confidence: how many of a hundred words with this ``score`` are right, over a hundred; None of a model without
            a calibration, and of words that a lexicon corrects.
    """

    text: str
    score: float
    det_score: float
    text_score: float
    polygon: list[list[float]]
    columns: tuple[dict[str, float], ...] | None = field(default=None, repr=False, compare=False)
    confidence: float | None = None

    def to_dict(self, columns: bool = False) -> dict:
        """Plain numbers and strings, ready for JSON; with ``columns`` if asked for and known."""
        record = asdict(self)
        if self.confidence is None:
            del record["confidence"]
        if self.columns is None or not columns:
            del record["columns"]
        return record


@dataclass(frozen=True)
class TextResult:
    """The words of one image in reading order; or why there are none.

    Attributes:
        file_name: what the image is called in the record.
        height: pixels of the original image; None if it could not be read.
        width: likewise.
        scale: the share of the full resolution that the model chose, of an image read in tiles their mean; None of a
            model that chooses none.
        words: empty also for an image that could not be read.
        error: why the image could not be read, else None.
        name: the stem of the files that ``save`` writes, distinct among the results of one call.
        source: where the image came from: its path, or the array, bytes or PIL image itself.
        page: of a TIFF of several pages, from 1; else None.
        tiles: in how many tiles the image was read.
    """

    file_name: str
    height: int | None = None
    width: int | None = None
    scale: float | None = None
    words: list[Word] = field(default_factory=list)
    error: str | None = None
    name: str = "image"
    source: Path | bytes | np.ndarray | Image.Image | None = field(default=None, repr=False, compare=False)
    page: int | None = None
    tiles: int = 1

    @property
    def lines(self) -> list[list[Word]]:
        """The words by lines, in reading order."""
        lines = reading_lines([word.polygon for word in self.words], [word.text for word in self.words])
        return [[self.words[index] for index in line] for line in lines]

    @property
    def text(self) -> str:
        """What the image says, line by line."""
        return "\n".join(" ".join(word.text for word in line) for line in self.lines)

    def to_dict(self, columns: bool = False) -> dict:
        """The record: plain numbers and strings, ready for JSON. An unreadable image has ``error`` and no words.

        ``page`` and ``tiles`` stand in it where there are several; ``scale`` is 1.0 of a model that chooses none.

        Args:
            columns: with the words' ``columns``, which are ten times as long as the rest.
        """
        named = {"file_name": self.file_name} | ({"page": self.page} if self.page is not None else {})
        if self.error is not None:
            return named | {"error": self.error}
        size = {"height": self.height, "width": self.width, "scale": 1.0 if self.scale is None else self.scale}
        tiles = {"tiles": self.tiles} if self.tiles > 1 else {}
        return named | size | tiles | {"words": [word.to_dict(columns) for word in self.words]}

    @staticmethod
    def from_dict(record: Mapping, photo: Photo | None = None) -> TextResult:
        """The result that ``to_dict`` made a record of, and its photo, without which it cannot be drawn or saved."""
        result = TextResult(record["file_name"], error=record.get("error"), page=record.get("page"))
        if photo is not None:
            result = replace(result, name=photo.name, source=photo.source)
        if result.error is not None:
            return result
        size = {key: record[key] for key in ("height", "width", "scale")}
        words = [Word(**word) for word in record["words"]]
        return replace(result, **size, words=words, tiles=record.get("tiles", 1))

    def to_json(self, indent: int | None = None) -> str:
        """The record as JSON, on one line unless ``indent`` is given."""
        return to_json(self.to_dict(), indent)

    def to_csv(self, header: bool = True) -> str:
        """The words as CSV, one a line, in reading order; of an unreadable image a line with its ``error``.

        Args:
            header: begin with the names of the columns (``word_formats.CSV_COLUMNS``).
        """
        return (csv_header() if header else "") + csv_rows(self)

    def to_hocr(self) -> str:
        """The words as hOCR, an XHTML document; without a page for an unreadable image."""
        return hocr(self)

    def draw(self, image: np.ndarray | None = None, show_scores: bool = False) -> np.ndarray:
        """The image with the words on it.

        Args:
            image: (H, W, 3) uint8 in BGR order, of the original size; by default the source is read again.
            show_scores: write the scores behind the words.

        Returns:
            (H, W, 3) uint8 in BGR order.
        """
        if self.error is not None:
            raise ValueError(f"there is nothing to draw: {self.error}")
        if image is None:
            if self.source is None:
                raise ValueError(f"{self.file_name} was not kept; give the image.")
            image = Photo(self.source, self.file_name, self.name, self.page).read()
        if image.shape[:2] != (self.height, self.width):
            raise ValueError(
                f"the words of {self.file_name} are in pixels of an image of {self.width} x {self.height}; "
                f"the given one has {image.shape[1]} x {image.shape[0]}."
            )
        labels = [f"{word.text} {word.score:.2f}".strip() if show_scores else word.text for word in self.words]
        return draw_words(image, [word.polygon for word in self.words], labels, self.scale)

    def save(self, out_dir: str | os.PathLike, show_scores: bool = False, overwrite: bool = False) -> None:
        """Write the record to ``preds/NAME.json`` and, of a readable image, the drawing to ``vis/NAME.jpg``.

        Args:
            out_dir: made if need be.
            show_scores: write the scores behind the words.
            overwrite: replace files that are there already, but never the photo itself.

        Raises:
            FileExistsError: a file is there already; nothing is written then.
        """
        record, drawing = Path(out_dir, "preds", f"{self.name}.json"), Path(out_dir, "vis", f"{self.name}.jpg")
        for path in (record, drawing):
            self._check_target(path, overwrite)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(self.to_json(indent=1) + "\n", encoding="utf-8")
        if self.error is None:
            write_image(drawing, self.draw(show_scores=show_scores))

    def _check_target(self, path: Path, overwrite: bool) -> None:
        if isinstance(self.source, Path) and path.exists() and path.samefile(self.source):
            raise FileExistsError(f"{path} is the photo itself; give another folder for the results.")
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} is there already; give another folder, or overwrite=True to replace it.")


def to_json(record: dict, indent: int | None = None) -> str:
    """A record as JSON that can be written in UTF-8: bytes of a file name that are no UTF-8 are escaped, not lost.

    Args:
        record: plain numbers and strings.
        indent: as ``json.dumps`` has it.
    """
    # A lone surrogate's escape is JSON's own.
    return printable(json.dumps(record, ensure_ascii=False, allow_nan=False, indent=indent))


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a BGR image in the format that the suffix says; missing folders are made.

    The file is there as a whole or not at all.

    Raises:
        OSError: the folder cannot be written to, or the suffix is not known.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        encoded = cv2.imencode(path.suffix, image)[1]
    except cv2.error as error:
        raise OSError(f"{path}: images cannot be written as '{path.suffix}'; use .jpg or .png.") from error
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(encoded.tobytes())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def in_reading_order(words: list[Word]) -> list[Word]:
    """The words, line by line."""
    lines = reading_lines([word.polygon for word in words], [word.text for word in words])
    return [words[index] for line in lines for index in line]


def make_words(
    texts: Sequence[str],
    scores: Sequence[Sequence[float]],
    polygons: Sequence[np.ndarray | None],
    columns: Sequence[tuple[dict[str, float], ...]] | None = None,
) -> list[Word]:
    """Words in reading order; those without an outline or with a score that is no number are left out.

    Args:
        texts: what they say.
        scores: of each both together, of detection, and of recognition.
        polygons: (P, 2) of each, in pixels of the original image; None of a word without an area.
        columns: of each, if they are known.
    """
    words = []
    known: Sequence[tuple[dict[str, float], ...] | None] = columns or [None] * len(texts)
    for text, of_word, polygon, own in zip(texts, scores, polygons, known, strict=True):
        if not all(map(math.isfinite, of_word)):
            logger.warning("a word is left out: its scores are %s, %s and %s.", *of_word)
        elif polygon is not None:
            words.append(replace(_make_word(text, of_word, polygon), columns=own))
    return in_reading_order(words)


def _make_word(text: str, scores: Sequence[float], polygon: np.ndarray) -> Word:
    score, det_score, text_score = (round(value, 4) for value in scores)
    return Word(
        text=text,
        score=score,
        det_score=det_score,
        text_score=text_score,
        polygon=np.round(polygon.astype(np.float64), 2).tolist(),
    )
