"""The annotated words of a data set, as its authors give them: outlines are not clipped or reordered for scoring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dld_spotter.data.text_json import load_text_json
from dld_spotter.evaluation.icdar import image_key, image_keys, key_forms, read_word_files, to_path
from dld_spotter.evaluation.protocol import DONT_CARE, ImageWords, ReadWord, TruthWord


@dataclass(frozen=True)
class TruthImage:
    """The annotated words of one image.

    Its ``image_id``, ``file_name`` and ``size`` (height and width in pixels) are as far as the ground truth has them.
    """

    file_name: str
    image_id: int | str | None
    words: list[TruthWord]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class PredictedImage:
    """What a spotter read in one image, which is known by its id, its file name, or both; ``size`` if it is known."""

    words: list[ReadWord]
    file_name: str | None = None
    image_id: int | str | None = None
    size: tuple[int, int] | None = None

    def __str__(self) -> str:
        return str(self.image_id if self.file_name is None else self.file_name)


class GroundTruth:
    """The images of a data set with their words, found again by id or by name.

    Args:
        images: each once.
        source: where they come from, for error messages.
    """

    def __init__(self, images: Sequence[TruthImage], source: str):
        self.images = list(images)
        self.source = source
        if not self.images:
            raise ValueError(f"{source}: no images to score against.")
        names = [image.file_name for image in self.images]
        self.keys = image_keys(names)
        self._by_id = {str(image.image_id): i for i, image in enumerate(self.images) if image.image_id is not None}
        self._by_whole_name = {name: i for i, name in enumerate(names)}
        self._by_name = {to_path(name): i for i, name in enumerate(names)}
        self._by_key = {key: i for i, key in enumerate(self.keys)}
        self._alike: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            self._alike.setdefault(image_key(name), []).append(index)

    def pair(self, predictions: Iterable[PredictedImage]) -> list[ImageWords]:
        """All images of the ground truth, each with what was read in it; without a prediction, nothing was.

        Raises:
            ValueError: predictions for images that are not in the ground truth, or twice for one image.
        """
        found: dict[int, PredictedImage] = {}
        unknown: list[str] = []
        for predicted in predictions:
            index = self._find(predicted)
            if index is None:
                unknown.append(str(predicted))
            elif index in found:
                raise ValueError(
                    f"two predictions for the image {self.images[index].file_name} of {self.source} "
                    f"(the second is '{predicted}'); keep one."
                )
            else:
                found[index] = predicted
        if unknown:
            raise ValueError(
                f"predictions for {len(unknown)} image{'s' * (len(unknown) > 1)} that {self.source} does not have, "
                f"e.g. {', '.join(unknown[:5])}; it has {len(self.images)}, e.g. {self.images[0].file_name}. "
                "Is this the ground truth of that split?"
            )
        return [self._paired(i, found.get(i, PredictedImage([]))) for i in range(len(self.images))]

    def _paired(self, index: int, predicted: PredictedImage) -> ImageWords:
        image = self.images[index]
        return ImageWords(self.keys[index], image.words, predicted.words, image.size or predicted.size)

    def _find(self, predicted: PredictedImage) -> int | None:
        if predicted.image_id is not None and str(predicted.image_id) in self._by_id:
            return self._by_id[str(predicted.image_id)]
        name = predicted.image_id if predicted.file_name is None else predicted.file_name
        if name is None:
            return None
        if name in self._by_whole_name:
            return self._by_whole_name[name]
        if to_path(name) in self._by_name:
            return self._by_name[to_path(name)]
        index = next((self._by_key[key] for key in key_forms(name) if key in self._by_key), None)
        if index is None and image_key(name) in self._alike:
            names = [self.images[i].file_name for i in self._alike[image_key(name)][:3]]
            raise ValueError(
                f"the prediction for '{predicted}' fits several images of {self.source}: {', '.join(names)}; "
                "name the image in it as the ground truth does."
            )
        return index

    def __len__(self) -> int:
        return len(self.images)


def read_ground_truth(path: str | Path, layout: str | None = None) -> GroundTruth:
    """Our JSON, or the competitions' text files (one an image) in a zip or a folder.

    Args:
        path: a JSON file, a zip, or a folder.
        layout: of the text files: "quad", "polygon", or None to find out.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: it is not in the format; the message names the file and the image, word or line.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"the ground truth {path} does not exist.")
    if path.is_file() and path.suffix.lower() == ".json":
        return _from_json(path)
    images = [
        TruthImage(name, None, [TruthWord(polygon, text, text in ("", DONT_CARE)) for polygon, text in words])
        for name, words in read_word_files(path, layout).items()
    ]
    return GroundTruth(images, str(path))


def truth_from_records(records: Sequence[Mapping], source: str) -> GroundTruth:
    """The words of Detectron2's records, for data sets that have no JSON file.

    A word without text, or with ``ignore`` or ``iscrowd``, is don't care. Where a word has no outline, its box counts.

    Raises:
        ValueError: a word has no outline and no box; the message names its image.
    """
    images = []
    for record in records:
        size = (record["height"], record["width"]) if "height" in record and "width" in record else None
        try:
            words = [_to_word(word) for word in record["annotations"]]
        except ValueError as error:
            raise ValueError(f"{source}: {record['file_name']}: {error}") from error
        images.append(TruthImage(record["file_name"], record["image_id"], words, size))
    return GroundTruth(images, source)


def to_points(coordinates: Any) -> np.ndarray:
    """(P, 2) float64 from [x1, y1, ...] or [[x1, y1], ...].

    Raises:
        ValueError: fewer than three points, an odd number of coordinates, or something that is no finite number.
    """
    try:
        points = np.asarray(coordinates, dtype=np.float64)
        points = points.reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"the outline {coordinates!r} is no list of x and y.") from None
    if len(points) < 3 or not np.isfinite(points).all():
        raise ValueError(f"the outline {coordinates!r} needs three points or more, of finite numbers.")
    return points


def _from_json(path: Path) -> GroundTruth:
    return truth_from_records(load_text_json(path, as_annotated=True), str(path))


def _to_word(annotation: Mapping) -> TruthWord:
    text = annotation.get("text") or ""
    ignored = bool(annotation.get("ignore")) or bool(annotation.get("iscrowd"))
    return TruthWord(_outline(annotation), text, ignored or text.strip() in ("", DONT_CARE))


def _outline(annotation: Mapping) -> np.ndarray:
    """The first outline of a record's word, else the corners of its box."""
    parts, box = annotation.get("segmentation"), annotation.get("bbox")
    if isinstance(parts, list) and parts and len(parts[0]):
        return to_points(parts[0])
    from detectron2.structures import BoxMode  # records come from Detectron2, so that it is loaded

    if box is None or len(box) != 4:
        raise ValueError(f"a word has neither an outline in 'segmentation' nor a box: {annotation}.")
    x1, y1, x2, y2 = BoxMode.convert(list(box), annotation.get("bbox_mode", BoxMode.XYWH_ABS), BoxMode.XYXY_ABS)
    return to_points([x1, y1, x2, y1, x2, y2, x1, y2])
