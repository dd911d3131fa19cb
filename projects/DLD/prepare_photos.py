#!/usr/bin/env python
"""The training data of the photos models: JSON files in our format, and photos at the size that their annotations have.

    python projects/DLD/prepare_photos.py --icdar2015 icdar2015_train --icdar2003 icdar2003_train \\
        --unlabelled photos_without_text_labels --detector PP-OCRv6_det_small.onnx --output datasets/photos

Each folder has ``images`` and ``gt`` (``boxes`` for --unlabelled: quadrilaterals without texts). OUTPUT gets:

    icdar2015_train, icdar2015_val    photos 1 to 900 and 901 to 1000, resized to 1280 x 720
    icdar2003_train, icdar2003_dev    photos 1 to 144 and 145 to 216
    *_detection                       the training photos, whose words are detected and not recognised
    unlabelled_detection              their boxes as words to be detected; those that --detector does not support, tiny
                                      ones, and text that it finds elsewhere are don't care

    selection                         300 of the street scenes and all snapshots to be trained on, to fit a selector to
    few                               100 of the street scenes

No test photo is among them. Needs the package onnxruntime for --detector.
"""

import argparse
import json
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from dld_spotter.command_line import says_mistakes
from dld_spotter.data.text_writer import TextJsonWriter
from dld_spotter.image_io import read_image

SELECTED = {"icdar2015": 300, "icdar2003": None}  # photos; None: all
FEW = {"icdar2015": 100}
ICDAR2015_SIZE = (1280, 720)  # width and height that its annotations are in
LAST_TRAINED = {"icdar2015": 900, "icdar2003": 144}
# A character of no charset: INPUT.TEXT.UNKNOWN "detect" has such words detected and not recognised.
NOT_RECOGNISED = "\N{WHITE SQUARE}"
SMALLEST = 8.0  # pixels; thinner boxes of photos without transcriptions are don't care
JPEG_QUALITY = 92

TEXT_PROBABILITY = 0.3  # of a pixel of the detector's map
LEAST_SCORE = 0.5  # mean probability of a region that counts as text
LEAST_SUPPORT = 0.1  # share of a box that the detector takes for text, or else the box is doubtful
COVERED = 0.4  # share of a region inside the boxes from which on it is none of its own
GROWTH = 1.6  # the detector's regions are shrunk; its authors grow them by this ratio
DETECTOR_SIDE = 576  # pixels of the shorter side
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Word:
    """One annotation: (4, 2) corners, and the text; None is don't care."""

    corners: np.ndarray
    text: str | None


@says_mistakes
def main(argv: list[str] | None = None) -> int:
    """Write everything; returns 0, or 1 after a one-line error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("icdar2015", "icdar2003", "unlabelled", "detector", "output"):
        parser.add_argument(f"--{name}", type=Path, required=name not in ("unlabelled", "detector"), metavar="PATH")
    args = parser.parse_args(argv)
    write_labelled("icdar2015", args.icdar2015, args.output, "val", ICDAR2015_SIZE)
    write_labelled("icdar2003", args.icdar2003, args.output, "dev", None)
    write_sample(args.output, "selection", SELECTED)
    write_sample(args.output, "few", FEW)
    if args.unlabelled:
        write_unlabelled(args.unlabelled, args.detector, args.output)
    return 0


def write_labelled(name: str, folder: Path, output: Path, held_out: str, size: tuple[int, int] | None) -> None:
    """Split a set by the numbers of its photos, and write its three files."""
    photos = sorted((folder / "images").iterdir(), key=number_of)
    with (
        TextJsonWriter(output / f"{name}_train.json") as train,
        TextJsonWriter(output / f"{name}_train_detection.json") as detection,
        TextJsonWriter(output / f"{name}_{held_out}.json") as rest,
    ):
        for photo in tqdm(photos, desc=name, unit=" photos"):
            image = save(photo, output / "images" / f"{name}_{number_of(photo)}.jpg", size)
            words = list(read_words(folder / "gt" / f"gt_{photo.stem}.txt"))
            if number_of(photo) > LAST_TRAINED[name]:
                add(rest, image, words)
                continue
            add(train, image, words)
            add(detection, image, [w if w.text is None else Word(w.corners, NOT_RECOGNISED) for w in words])


def write_sample(output: Path, sample: str, numbers: dict[str, int | None]) -> None:
    """Join so many training photos of each set in a random order, so that any share of the file holds both."""
    photos = []
    for name, number in numbers.items():
        content = json.loads((output / f"{name}_train.json").read_text(encoding="utf-8"))
        words: dict[int, list[dict]] = {}
        for word in content["annotations"]:
            words.setdefault(word["image_id"], []).append(word)
        images = content["images"]
        chosen = images if number is None else random.Random(0).sample(images, min(number, len(images)))
        photos += [(image, words.get(image["id"], [])) for image in chosen]
    random.Random(0).shuffle(photos)
    with TextJsonWriter(output / f"{sample}.json") as writer:
        for image, of_image in photos:
            image_id = writer.add_image({key: image[key] for key in ("file_name", "height", "width")})
            for word in of_image:
                kept = {key: word[key] for key in ("segmentation", "text", "ignore")}
                writer.add_annotation({"image_id": image_id, **kept})


def write_unlabelled(folder: Path, detector: Path | None, output: Path) -> None:
    """Boxes without transcriptions as words to be detected, with the doubtful ones as don't care."""
    find_text = None if detector is None else TextMap(detector)
    with TextJsonWriter(output / "unlabelled_detection.json") as writer:
        for photo in tqdm(sorted((folder / "images").iterdir(), key=number_of), desc="unlabelled", unit=" photos"):
            image = save(photo, output / "images" / f"unlabelled_{number_of(photo)}.jpg", None)
            words = [Word(w.corners, NOT_RECOGNISED) for w in read_words(folder / "boxes" / f"gt_{photo.stem}.txt")]
            words = [Word(w.corners, None if thickness(w.corners) < SMALLEST else w.text) for w in words]
            if find_text is not None:
                words = without_doubtful(words, find_text(read_image(photo)), (image["width"], image["height"]))
            add(writer, image, words)


def without_doubtful(words: list[Word], text: np.ndarray, size: tuple[int, int]) -> list[Word]:
    """The words, those without the detector's support as don't care, and don't-care regions of text that has no box.

    Args:
        words: of the photo.
        text: (H, W) probabilities of the detector.
        size: width and height of the photo.
    """
    factor = np.array([text.shape[1] / size[0], text.shape[0] / size[1]])
    is_text, covered, kept = text > TEXT_PROBABILITY, np.zeros(text.shape, np.uint8), []
    for word in words:
        corners = word.corners * factor
        cv2.fillPoly(covered, [corners.round().astype(np.int32)], 1)
        (left, top), (right, bottom) = corners.min(axis=0).clip(0).astype(int), corners.max(axis=0).astype(int) + 1
        support = is_text[top:bottom, left:right]
        doubtful = support.size == 0 or support.mean() < LEAST_SUPPORT
        kept.append(Word(word.corners, None if doubtful else word.text))
    return kept + [Word(corners / factor, None) for corners in uncovered_regions(text, is_text, covered)]


def uncovered_regions(text: np.ndarray, is_text: np.ndarray, covered: np.ndarray) -> Iterator[np.ndarray]:
    """(4, 2) rectangles around text outside the boxes, in pixels of the map."""
    number, labels, stats, _ = cv2.connectedComponentsWithStats(is_text.astype(np.uint8))
    for index in range(1, number):
        x, y, width, height, _ = stats[index]
        place = np.s_[y : y + height, x : x + width]
        region = labels[place] == index
        if min(width, height) < 4 or text[place][region].mean() < LEAST_SCORE:
            continue
        if covered[place][region].mean() >= COVERED:
            continue
        contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        (cx, cy), (a, b), angle = cv2.minAreaRect(max(contours, key=cv2.contourArea))
        grown = a * b * GROWTH / (2 * (a + b) + 1e-6)
        corners = cv2.boxPoints(((cx + x, cy + y), (a + 2 * grown, b + 2 * grown), angle))
        yield np.clip(corners, 0, (text.shape[1], text.shape[0]))


class TextMap:
    """PP-OCR's text detector up to its probability map."""

    def __init__(self, path: Path):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) BGR to (H', W') probabilities at about ``DETECTOR_SIDE``."""
        scale = min(1.0, DETECTOR_SIDE / min(image.shape[:2]))
        height, width = (max(32, round(side * scale / 32) * 32) for side in image.shape[:2])
        pixels = (cv2.resize(image, (width, height)) / 255.0 - MEAN) / DEVIATION
        name = self.session.get_inputs()[0].name
        return self.session.run(None, {name: pixels.transpose(2, 0, 1)[None].astype(np.float32)})[0][0, 0]


def number_of(path: Path) -> int:
    """The last number of a file's name."""
    found = re.findall(r"\d+", path.stem)
    if not found:
        raise ValueError(f"{path}: the name of a photo must hold its number.")
    return int(found[-1])


def save(photo: Path, target: Path, size: tuple[int, int] | None) -> dict:
    """Write a photo as JPEG, resized to (width, height) if given; returns its entry of our JSON."""
    image = read_image(photo)
    if size is not None and (image.shape[1], image.shape[0]) != size:
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
    return {"file_name": target.name, "height": image.shape[0], "width": image.shape[1]}


def read_words(path: Path) -> Iterator[Word]:
    """Words of a text file with eight coordinates a line and, where it has them, a text; ### is don't care."""
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        values = line.split(",", 8)
        if len(values) >= 8:
            text = values[8] if len(values) > 8 else ""
            yield Word(np.array(values[:8], dtype=float).reshape(4, 2), None if text in ("", "###") else text)


def thickness(corners: np.ndarray) -> float:
    """The shorter side of the smallest rectangle around a word."""
    return min(cv2.minAreaRect(corners.astype(np.float32))[1])


def add(writer: TextJsonWriter, image: dict, words: list[Word]) -> None:
    """Append a photo and its words."""
    image_id = writer.add_image(image)
    for word in words:
        annotation = {"segmentation": [word.corners.ravel().tolist()], "text": word.text or ""}
        writer.add_annotation({"image_id": image_id, "ignore": int(word.text is None), **annotation})


if __name__ == "__main__":
    sys.exit(main())
