"""From a record of a data set to what the model takes: the image, augmented, and its words as targets."""

import copy
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode as CN
from detectron2.config import configurable
from detectron2.data import transforms as T
from detectron2.structures import Instances

from dld_spotter.data.augmentation import TextAugInput, build_augmentations
from dld_spotter.data.charset import Charset
from dld_spotter.image_io import read_image
from dld_spotter.structures import CharacterBoxes, WordPolygons

logger = logging.getLogger(__name__)

# Outlines thinner than this many pixels of the network's input are no targets.
_THINNEST = 1.0


class Role(Enum):
    """What a word is for."""

    READ = "read"
    DETECT = "detect"  # found, but not read
    IGNORE = "ignore"  # don't care


@dataclass(frozen=True)
class WordPolicy:
    """Which words are read, only found, or don't care.

    Attributes:
        charset: the characters that can be read.
        max_length: longest word that can be read, in characters.
        unknown: what happens to the others: "ignore", "detect" or "error".
    """

    charset: Charset
    max_length: int
    unknown: str = "ignore"

    @classmethod
    def from_config(cls, cfg: CN) -> "WordPolicy":
        return cls(Charset.load(cfg.MODEL.TEXT.CHARSET), cfg.MODEL.TEXT.MAX_LENGTH, cfg.INPUT.TEXT.UNKNOWN)

    def obstacle(self, text: str) -> str | None:
        """Why a word cannot be read; None if it can."""
        if not text:
            return "are empty"
        if len(self.charset.normalize(text)) > self.max_length:
            return f"are longer than MODEL.TEXT.MAX_LENGTH {self.max_length}"
        if self.charset.unknown(text):
            return f"have characters that are not in {self.charset.source}"
        return None

    def role(self, annotation: dict) -> Role:
        """The role of an annotated word.

        Raises:
            ValueError: the word cannot be read, and ``unknown`` is "error".
        """
        if annotation["ignore"]:
            return Role.IGNORE
        if self.obstacle(annotation["text"]) is None:
            return Role.READ
        if self.unknown == "error":
            raise ValueError(f"words like '{annotation['text']}' {self.obstacle(annotation['text'])}. {_WHAT_TO_DO}")
        return Role(self.unknown)


_WHAT_TO_DO = (
    "Correct them, choose another MODEL.TEXT.CHARSET or MODEL.TEXT.MAX_LENGTH, "
    "or set INPUT.TEXT.UNKNOWN to 'ignore' or 'detect'."
)


def report_unreadable(name: str, records: Iterable[dict], policy: WordPolicy) -> None:
    """Log once what of a data set cannot be read, by reason, with counts and an example.

    Raises:
        ValueError: there are such words, and the policy is "error".
    """
    total = 0
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    obstacle = lru_cache(maxsize=2**16)(policy.obstacle)  # large sets repeat their words
    for record in records:
        for annotation in record.get("annotations", ()):
            if annotation["ignore"]:
                continue
            total += 1
            reason = obstacle(annotation["text"])
            if reason is not None:
                counts[reason] += 1
                examples.setdefault(reason, f"'{annotation['text']}' in {record['file_name']}")
    if not counts:
        return
    found = "; ".join(f"{count} {reason}, such as {examples[reason]}" for reason, count in counts.most_common())
    message = f"{name}: of {total} words, {found}."
    if policy.unknown == "error":
        raise ValueError(f"{message} {_WHAT_TO_DO}")
    treated = "don't care" if policy.unknown == "ignore" else "found but not read"
    logger.warning("%s They are %s (INPUT.TEXT.UNKNOWN '%s').", message, treated, policy.unknown)


class TextDatasetMapper:
    """A record of a data set -> the model's input.

    Gives a dict of "image" (3, H, W) uint8, "height" and "width" of the original, "file_name", "image_id" and what
    else the record holds; with annotations also "instances" in pixels of "image": ``gt_boxes``, ``gt_classes``,
    ``gt_masks`` (WordPolygons), ``gt_text`` (N, T) token ids, a row of padding where a word is not read,
    ``gt_ignore`` (N,) bool, true for don't-care regions, and, if a word of the record has boxes of its characters,
    ``gt_characters`` (CharacterBoxes).

    Args:
        is_train: whether a random choice is made among too many words.
        augmentations: applied in their order.
        image_format: "BGR" or "RGB".
        policy: which words are read.
        max_words: words read per image in training at most; 0 for no limit.
        min_size: words whose shorter side is below this many pixels become don't care; 0 for none.
        keep_annotations: whether "instances" is given.
    """

    @configurable
    def __init__(
        self,
        is_train: bool,
        *,
        augmentations: list[T.Augmentation],
        image_format: str,
        policy: WordPolicy,
        max_words: int = 0,
        min_size: float = 0.0,
        keep_annotations: bool = True,
    ):
        self.is_train = is_train
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format
        self.policy = policy
        self.max_words = max_words
        self.min_size = min_size
        self.keep_annotations = keep_annotations
        logger.info("Augmentations in %s: %s", "training" if is_train else "inference", augmentations)

    @classmethod
    def from_config(cls, cfg: CN, is_train: bool = True, keep_annotations: bool | None = None) -> dict:
        """``keep_annotations``: by default in training only."""
        policy = WordPolicy.from_config(cfg)
        if not is_train and policy.unknown == "error":
            policy = replace(policy, unknown="ignore")  # an evaluation does not end at a word that cannot be read
        return {
            "is_train": is_train,
            "augmentations": build_augmentations(cfg, is_train),
            "image_format": cfg.INPUT.FORMAT,
            "policy": policy,
            "max_words": cfg.INPUT.TEXT.MAX_WORDS,
            "min_size": cfg.INPUT.TEXT.MIN_SIZE,
            "keep_annotations": is_train if keep_annotations is None else keep_annotations,
        }

    def __call__(self, record: dict) -> dict:
        """Map one record, which stays as it is.

        Raises:
            ImageError: the image cannot be read.
            ValueError: the image has another size than the record says, or a word breaks the policy.
        """
        image = read_image(record["file_name"], format=self.image_format)
        _check_size(record, image)
        annotations = record.get("annotations", ()) if self.keep_annotations else ()
        try:
            roles = np.array([self.policy.role(annotation) for annotation in annotations], dtype=object)
        except ValueError as error:
            raise ValueError(f"{record['file_name']}: {error}") from error
        polygons = [np.reshape(annotation["segmentation"][0], (-1, 2)) for annotation in annotations]
        characters = [self._characters(annotation) for annotation in annotations]
        inputs = TextAugInput(image, polygons, roles != Role.IGNORE, characters)
        self.augmentations(inputs)

        output = copy.deepcopy({key: value for key, value in record.items() if key != "annotations"})
        output["height"], output["width"] = image.shape[:2]
        output["image"] = torch.from_numpy(np.ascontiguousarray(inputs.image.transpose(2, 0, 1)))
        if self.keep_annotations:
            texts = [annotations[i]["text"] for i in inputs.index]
            output["instances"] = self._targets(inputs, texts, roles[inputs.index])
        return output

    def _characters(self, annotation: dict) -> np.ndarray | None:
        """(n, 4, 2) boxes of the characters of a word; None if it has none, or not one for each character."""
        boxes = annotation.get("characters")
        if not boxes or len(boxes) != len(self.policy.charset.normalize(annotation["text"])):
            return None
        return np.array(boxes, dtype=np.float64).reshape(-1, 4, 2)

    def _targets(self, inputs: TextAugInput, texts: list[str], roles: np.ndarray) -> Instances:
        """The words that are left, as the model's targets; ``texts`` and ``roles`` stand beside the outlines."""
        thickness = np.array([min(cv2.minAreaRect(p.astype(np.float32))[1]) for p in inputs.polygons])
        roles = np.where(thickness < self.min_size, np.array(Role.IGNORE, dtype=object), roles)
        kept = np.flatnonzero(thickness >= _THINNEST)
        read = np.array([i for i in kept if roles[i] is Role.READ], dtype=int)
        if self.is_train and 0 < self.max_words < len(read):
            read = np.random.choice(read, self.max_words, replace=False)  # noqa: NPY002 (seeded by the loader)
        chosen = set(read.tolist())

        instances = Instances(inputs.image.shape[:2])
        instances.gt_masks = WordPolygons.from_list([inputs.polygons[i] for i in kept])
        instances.gt_boxes = instances.gt_masks.get_bounding_boxes()
        instances.gt_classes = torch.zeros(len(kept), dtype=torch.long)
        instances.gt_text = self.policy.charset.encode_rows([texts[i] if i in chosen else None for i in kept])
        instances.gt_ignore = torch.tensor([roles[i] is Role.IGNORE for i in kept], dtype=torch.bool)
        if any(boxes is not None for boxes in inputs.characters):
            instances.gt_characters = CharacterBoxes.from_list([inputs.characters[i] for i in kept])
        return instances


def _check_size(record: dict, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    expected = (record.get("height", height), record.get("width", width))
    if expected != (height, width):
        turned = " The photo may be turned by its EXIF orientation." if expected == (width, height) else ""
        raise ValueError(
            f"{record['file_name']}: the image is {width} x {height} pixels, but its annotations say "
            f"{expected[1]} x {expected[0]}.{turned} Annotate the image as it is shown, or correct the size in the "
            "annotations (tools/prepare_dataset.py --check finds all such images)."
        )
