"""Files of predictions: our JSON, AdelaiDet's JSON, and the submissions of the ICDAR competitions."""

import json
import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from dld_spotter.data.text_files import read_json
from dld_spotter.evaluation.ground_truth import PredictedImage, to_points
from dld_spotter.evaluation.icdar import LAYOUTS, read_word_files, result_stems
from dld_spotter.evaluation.protocol import CharacterScores, ReadWord
from dld_spotter.geometry import clockwise

logger = logging.getLogger(__name__)


def read_predictions(path: str | Path, layout: str | None = None) -> list[PredictedImage]:
    """The predictions of a file, whichever of the formats it has.

    - JSON, a list of our results: ``{"file_name", "words": [{"text", "score", "polygon"}]}``; a word may have
      ``character_scores``, for each character of its text the probabilities of those that may stand there, and
      ``columns``, the same for each column of a CTC recogniser;
    - JSON, a list of AdelaiDet's rows, one a word: ``{"image_id", "polys", "rec", "score"}``;
    - a zip or folder of text files, one an image (see :mod:`icdar`); its words get the score 1.

    Args:
        path: a JSON file, a zip, or a folder.
        layout: of the text files: "quad", "polygon", or None to find out.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: it is not in one of the formats; the message names the file and the entry.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"the predictions {path} do not exist.")
    if path.is_dir() or path.suffix.lower() != ".json":
        return [
            PredictedImage([ReadWord(polygon, text) for polygon, text in words], file_name=name)
            for name, words in read_word_files(path, layout).items()
        ]
    content = read_json(path)
    entries = [content] if isinstance(content, dict) else content
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path} holds no predictions: expected a list of results, one an image.")
    rows = [entry for entry in entries if "rec" in entry]
    return _from_rows(rows, path) if rows else _from_results(entries, path)


def write_results(path: str | Path, results: Sequence[Mapping]) -> None:
    """Write our results, one an image, as JSON; bytes of a file name that are no UTF-8 are escaped, not lost."""
    text = json.dumps(list(results), ensure_ascii=False, indent=1, allow_nan=False)
    Path(path).write_bytes((text + "\n").encode("utf-8", "backslashreplace"))  # a lone surrogate's escape is JSON's own


def write_submission(
    path: str | Path, results: Sequence[Mapping], layout: str = "polygon", prefix: str = "res_"
) -> None:
    """Write our results as a flat zip of text files, one an image, for a competition's server or script.

    Words go by descending score, because the official matching depends on the order; coordinates are rounded. Images
    of one stem are told apart by the shortest part of their path: ``res_a_img_7.txt``.

    Args:
        path: of the zip.
        results: our results; only ``file_name`` and ``words`` are used.
        layout: "polygon" writes the outlines as they are and leaves commas out of the words; "quad" writes the
            smallest rectangle round each and keeps commas (the ICDAR 2013 and 2015 servers want this).
        prefix: of the file names: "res_" gives ``res_img_7.txt``, "" gives ``img_7.txt``.

    Raises:
        ValueError: an unknown layout.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"the layout is '{layout}'; use one of {list(LAYOUTS)}.")
    files: dict[str, str] = {}
    for result, stem in zip(results, result_stems([result["file_name"] for result in results]), strict=True):
        words = sorted(result["words"], key=lambda word: -word["score"])
        # Archives name their files in UTF-8; a backslash would be a folder.
        name = stem.encode("utf-8", "xmlcharrefreplace").decode("utf-8")
        files[f"{prefix}{name}.txt"] = "".join(_to_line(word, layout) for word in words)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(files.items()):
            archive.writestr(name, text.encode("utf-8"))


def _to_line(word: Mapping, layout: str) -> str:
    points = np.asarray(word["polygon"], dtype=np.float64)
    text = " ".join(word["text"].splitlines())
    if layout == "quad":
        points = points if len(points) == 4 else _rectangle(points)
    else:
        text = text.replace(",", "")
    numbers = np.rint(points).astype(int).ravel().tolist()
    return f"{','.join(map(str, numbers))},{text}\r\n"


def _rectangle(points: np.ndarray) -> np.ndarray:
    """(4, 2) corners of the smallest rectangle round an outline, clockwise from the one nearest to the top left."""
    rectangle = shapely.minimum_rotated_rectangle(shapely.MultiPoint(points))
    if not isinstance(rectangle, shapely.Polygon):  # points on one line
        rectangle = shapely.box(*points.min(axis=0), *points.max(axis=0))
    corners = np.asarray(rectangle.exterior.coords)[:4]
    return clockwise(np.roll(corners, -int(corners.sum(axis=1).argmin()), axis=0))


def _from_results(entries: Sequence[Mapping], path: Path) -> list[PredictedImage]:
    images = []
    for position, entry in enumerate(entries, start=1):
        name = entry.get("file_name")
        place = f"{path}: result {position} ({name})"
        if "words" not in entry and "error" in entry:
            logger.warning("%s: not read (%s); its words count as missed.", place, entry["error"])
            continue
        if not isinstance(name, str) or not isinstance(entry.get("words"), list):
            raise ValueError(f"{place} needs 'file_name' and the list 'words'; it has {sorted(entry)}.")
        words = [_to_word(word, "polygon", "text", f"{place}, word {i}") for i, word in enumerate(entry["words"], 1)]
        size: tuple[Any, Any] = entry.get("height"), entry.get("width")
        images.append(PredictedImage(words, file_name=name, size=size if all(map(_is_length, size)) else None))
    return images


def _from_rows(rows: Sequence[Mapping], path: Path) -> list[PredictedImage]:
    """AdelaiDet's ``text_results.json``; an image in which nothing was found has no row."""
    images: dict[object, PredictedImage] = {}
    for position, row in enumerate(rows, start=1):
        if not isinstance(row.get("image_id"), int | str):
            raise ValueError(f"{path}: row {position} needs 'image_id', a number or a name; it has {sorted(row)}.")
        image = images.setdefault(row["image_id"], PredictedImage([], image_id=row["image_id"]))
        image.words.append(_to_word(row, "polys", "rec", f"{path}: row {position} (image {row['image_id']})"))
    return list(images.values())


def _to_word(entry: Mapping, polygon_key: str, text_key: str, place: str) -> ReadWord:
    try:
        score = float(entry.get("score", 1.0))
        det_score, confidence = (
            None if entry.get(key) is None else float(entry[key]) for key in ("det_score", "confidence")
        )
        word = ReadWord(
            to_points(entry[polygon_key]),
            entry[text_key],
            score,
            _character_scores(entry, "character_scores"),
            _character_scores(entry, "columns"),
            det_score,
            confidence,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{place} needs '{polygon_key}', '{text_key}' and 'score' ({error!r}).") from error
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{place}: {error}") from error
    if not np.isfinite([score, det_score or 0.0, confidence or 0.0]).all():
        raise ValueError(f"{place}: the score {score} is of no use.")
    if word.character_scores is not None and len(word.character_scores) != len(word.text):
        raise ValueError(f"{place}: 'character_scores' needs one entry for each character of {word.text!r}.")
    return word


def _character_scores(entry: Mapping, key: str) -> CharacterScores | None:
    scores = entry.get(key)
    if scores is None:
        return None
    places = [{str(character): float(value) for character, value in place.items()} for place in scores]
    if not all(0 <= value <= 1 for place in places for value in place.values()):
        raise ValueError(f"'{key}' needs probabilities, numbers from 0 to 1.")
    return places


def _is_length(value: object) -> bool:
    return type(value) is int and value > 0
