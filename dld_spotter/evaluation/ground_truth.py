"""The annotated words of a data set, as its authors give them: outlines are not clipped or reordered for scoring."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dld_spotter.evaluation.icdar import image_key, read_word_files
from dld_spotter.evaluation.protocol import DONT_CARE, ImageWords, ReadWord, TruthWord


@dataclass(frozen=True)
class TruthImage:
    """The annotated words of one image; ``image_id`` and ``file_name`` as far as the ground truth has them."""

    file_name: str
    image_id: int | str | None
    words: list[TruthWord]

    @property
    def key(self) -> str:
        return image_key(self.file_name)


@dataclass(frozen=True)
class PredictedImage:
    """What a spotter read in one image, which is known by its id, its file name, or both."""

    words: list[ReadWord]
    file_name: str | None = None
    image_id: int | str | None = None

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
        self._by_id = {str(image.image_id): i for i, image in enumerate(self.images) if image.image_id is not None}
        self._by_name = {image.file_name: i for i, image in enumerate(self.images)}
        self._by_key: dict[str, list[int]] = {}
        for index, image in enumerate(self.images):
            self._by_key.setdefault(image.key, []).append(index)

    def pair(self, predictions: Iterable[PredictedImage]) -> list[ImageWords]:
        """All images of the ground truth, each with what was read in it; without a prediction, nothing was.

        Raises:
            ValueError: predictions for images that are not in the ground truth, or twice for one image.
        """
        reads: dict[int, list[ReadWord]] = {}
        unknown: list[str] = []
        for predicted in predictions:
            index = self._find(predicted)
            if index is None:
                unknown.append(str(predicted))
            elif index in reads:
                raise ValueError(
                    f"two predictions for the image {self.images[index].file_name} of {self.source} "
                    f"(the second is '{predicted}'); keep one."
                )
            else:
                reads[index] = predicted.words
        if unknown:
            raise ValueError(
                f"predictions for {len(unknown)} image{'s' * (len(unknown) > 1)} that {self.source} does not have, "
                f"e.g. {', '.join(unknown[:5])}; it has {len(self.images)}, e.g. {self.images[0].file_name}. "
                "Is this the ground truth of that split?"
            )
        return [ImageWords(image.key, image.words, reads.get(i, ())) for i, image in enumerate(self.images)]

    def _find(self, predicted: PredictedImage) -> int | None:
        name = predicted.file_name
        if predicted.image_id is not None and str(predicted.image_id) in self._by_id:
            return self._by_id[str(predicted.image_id)]
        if name is not None and name in self._by_name:
            return self._by_name[name]
        indices = self._by_key.get(image_key(predicted.image_id if name is None else name), [])
        if len(indices) > 1:
            names = [self.images[i].file_name for i in indices[:3]]
            raise ValueError(
                f"the prediction for '{predicted}' fits several images of {self.source}: {', '.join(names)}; "
                "name the image in it as the ground truth does."
            )
        return indices[0] if indices else None

    def __len__(self) -> int:
        return len(self.images)


def read_ground_truth(path: str | Path, layout: str | None = None) -> GroundTruth:
    """Our JSON, or the competitions' text files (one an image) in a zip or a folder.

    Args:
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
        TruthImage(name, None, [TruthWord(polygon, text, text == DONT_CARE) for polygon, text in words])
        for name, words in read_word_files(path, layout).items()
    ]
    return GroundTruth(images, str(path))


def truth_from_records(records: Sequence[Mapping], source: str) -> GroundTruth:
    """The words of Detectron2's records with ``text`` and ``ignore``, for data sets that have no JSON file."""
    images = [
        TruthImage(record["file_name"], record["image_id"], [_to_word(word) for word in record["annotations"]])
        for record in records
    ]
    return GroundTruth(images, source)


def read_json(path: Path) -> object:
    """The content of a JSON file in UTF-8.

    Raises:
        ValueError: it is none; the message says where.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON in UTF-8: {error}.") from error


def to_points(coordinates) -> np.ndarray:
    """(P, 2) float64 from [x1, y1, ...] or [[x1, y1], ...].

    Raises:
        ValueError: fewer than three points, an odd number of coordinates, or something that is no finite number.
    """
    try:
        points = np.asarray(coordinates, dtype=np.float64)
        points = points.reshape(-1, 2)
    except (TypeError, ValueError):
        raise ValueError(f"the outline {coordinates!r} is no list of x and y.") from None
    if len(points) < 3 or not np.isfinite(points).all():
        raise ValueError(f"the outline {coordinates!r} needs three points or more, of finite numbers.")
    return points


def _from_json(path: Path) -> GroundTruth:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise ValueError(f"{path} is not our ground-truth format: it needs the lists 'images' and 'annotations'.")
    words: dict[object, list[TruthWord]] = {}
    for position, image in enumerate(content["images"]):
        if not isinstance(image, dict) or "id" not in image or "file_name" not in image:
            raise ValueError(f"{path}: image number {position + 1} needs 'id' and 'file_name'; it is {image!r}.")
        if image["id"] in words:
            raise ValueError(f"{path}: two images have the id {image['id']}; give each its own.")
        words[image["id"]] = []
    for position, annotation in enumerate(content.get("annotations", [])):
        name = f"annotation {annotation.get('id', f'number {position + 1}')}"
        if annotation.get("image_id") not in words:
            raise ValueError(f"{path}: {name}: there is no image with the id {annotation.get('image_id')}.")
        try:
            words[annotation["image_id"]].append(_to_word(annotation))
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"{path}: {name}: needs 'segmentation' (one outline) and 'text' ({error!r}).") from error
        except ValueError as error:
            raise ValueError(f"{path}: {name}: {error}") from error
    return GroundTruth([TruthImage(i["file_name"], i["id"], words[i["id"]]) for i in content["images"]], str(path))


def _to_word(annotation: Mapping) -> TruthWord:
    """A word without text cannot be read: it is don't care."""
    ignored = bool(annotation.get("ignore", 0)) or annotation["text"].strip() in ("", DONT_CARE)
    return TruthWord(to_points(annotation["segmentation"][0]), annotation["text"].strip(), ignored)
