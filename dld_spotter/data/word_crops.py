"""Pages of word crops: pictures of single words, as benchmarks of word recognition have them, set side by side.

A spotter learns to read real words from them in given places; whoever trains a detector needs whole photos.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from dld_spotter.data.annotation_checks import name_problem
from dld_spotter.data.converters.common import box_outline, make_word, numbered_lines
from dld_spotter.data.converters.text_folders import parse_numbers
from dld_spotter.data.problems import Problems, Unusable, shown
from dld_spotter.data.text_files import read_text
from dld_spotter.data.text_writer import TextJsonWriter
from dld_spotter.image_io import read_image

_LINE = re.compile(r'^(?P<name>[^,]+),\s*"(?P<text>.*)"\s*$')
_ESCAPED = re.compile(r"\\([\"\\])")
JPEG_QUALITY = 95


@dataclass(frozen=True)
class WordCrop:
    """A picture of one word.

    Attributes:
        path: of the picture.
        text: what it says.
        outline: (P, 2) corners of the word in the picture's pixels.
        size: (height, width) of the picture.
    """

    path: Path
    text: str
    outline: np.ndarray
    size: tuple[int, int]


def read_word_crops(
    images: str | os.PathLike,
    annotations: str | os.PathLike,
    problems: Problems,
    coordinates: str | os.PathLike | None = None,
) -> list[WordCrop]:
    """The crops of an ICDAR word-recognition set.

    Lines and pictures that cannot be used are left out and counted as problems.

    Args:
        images: folder of the pictures.
        annotations: text file with ``NAME, "TEXT"`` a line; quotes in the text are escaped with a backslash.
        problems: takes what is found.
        coordinates: text file with ``NAME,x1,y1,...,x4,y4`` a line; a word without a line fills its picture.

    Raises:
        ValueError: there is no word, or a file is no text.
        FileNotFoundError: a text file that is not there.
    """
    outlines = {} if coordinates is None else dict(_read_coordinates(coordinates, problems))
    crops = []
    for number, line in numbered_lines(read_text(annotations, partial(problems.warning, "not_utf8"))):
        with problems.guard("bad_word", annotation=f"line {number}"):
            crops.append(_read_crop(line.strip(), Path(images), outlines))
    if not crops:
        raise ValueError(f"{annotations}: the file names no word that can be used.")
    return crops


def _read_coordinates(path: str | os.PathLike, problems: Problems) -> Iterator[tuple[str, list[str]]]:
    for _, line in numbered_lines(read_text(path, partial(problems.warning, "not_utf8"))):
        name, *values = line.split(",")
        yield name.strip(), values


def _read_crop(line: str, images: Path, outlines: dict[str, list[str]]) -> WordCrop:
    found = _LINE.match(line)
    if not found:
        raise ValueError(f'expected NAME, "TEXT", found {shown(line)}')
    name = found["name"].strip()
    problem = name_problem(name)
    if problem is not None:
        raise Unusable(*problem)
    path = images / name
    if not path.is_file():
        raise Unusable("missing_image", f"there is no picture {path}")
    height, width = read_image(path).shape[:2]
    values = outlines.get(path.name)
    outline = box_outline(0, 0, width, height) if values is None else parse_numbers(values)
    word = make_word(outline, _ESCAPED.sub(r"\1", found["text"]))
    if word.ignore:
        raise Unusable("no_text", "the word has no text that could be learnt", "warning")
    return WordCrop(path, word.text, np.array(word.outline, dtype=np.float64).reshape(-1, 2), (height, width))


@dataclass(frozen=True)
class PlacedCrop:
    """Where a crop lies on its page: factor on its size, then its upper left corner in pixels."""

    crop: WordCrop
    factor: float
    left: int
    top: int
    height: int
    width: int


def pack_pages(
    crops: Iterable[WordCrop],
    size: tuple[int, int],
    heights: tuple[float, float],
    generator: np.random.Generator,
    gap: int = 4,
) -> list[list[PlacedCrop]]:
    """Lay crops out in rows, from the top down, as they come.

    A crop is scaled when it is lower or higher than ``heights`` allow (then to a random height among them), or wider
    than a page.

    Args:
        crops: in the order in which they are laid out.
        size: (height, width) of a page.
        heights: least and greatest height of a crop on the page, in pixels.
        generator: of the random choices.
        gap: pixels between two crops, at most; at random.

    Returns:
        the crops of each page.
    """
    pages: list[list[PlacedCrop]] = [[]]
    left = top = bottom = 0
    for crop in crops:
        height, width = crop.size
        factor = 1.0 if heights[0] <= height <= heights[1] else generator.uniform(*heights) / height
        factor = min(factor, size[1] / width, size[0] / height)
        rows, columns = max(1, round(height * factor)), max(1, round(width * factor))
        if left + columns > size[1]:
            left, top = 0, bottom
        if top + rows > size[0]:
            pages.append([])
            left = top = bottom = 0
        pages[-1].append(PlacedCrop(crop, factor, left, top, rows, columns))
        left += columns + int(generator.integers(0, gap + 1))
        bottom = max(bottom, top + rows + int(generator.integers(0, gap + 1)))
    return [page for page in pages if page]


def write_pages(
    crops: Sequence[WordCrop],
    output: str | os.PathLike,
    *,
    size: tuple[int, int] = (288, 448),
    heights: tuple[float, float] = (14.0, 72.0),
    rounds: int = 1,
    seed: int = 0,
) -> Path:
    """Pack crops onto pages and write OUTPUT/images/NNNNN.jpg and OUTPUT/pages.json, in the project's format.

    Args:
        crops: of words.
        output: the folder.
        size: as ``pack_pages`` takes it.
        heights: likewise.
        rounds: how often every crop is shown, each time among others.
        seed: the same seed gives the same pages.

    Returns:
        the JSON file.

    Raises:
        ValueError: the pages could replace crops.
    """
    output = Path(output)
    (output / "images").mkdir(parents=True, exist_ok=True)
    if any(folder.samefile(output / "images") for folder in {crop.path.parent for crop in crops}):
        raise ValueError(f"{output / 'images'} holds the pictures of the words; write the pages to another folder.")
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(len(crops)) for _ in range(rounds)])
    pages = pack_pages((crops[i] for i in order), size, heights, generator)
    path = output / "pages.json"
    with TextJsonWriter(path, {"description": "pages of word crops", "words": len(crops), "seed": seed}) as writer:
        for number, page in enumerate(tqdm(pages, unit=" pages", desc=str(path))):
            name = f"{number:05d}.jpg"
            image = draw_page(page, size, generator)
            if not cv2.imwrite(str(output / "images" / name), image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
                raise OSError(f"could not write {output / 'images' / name}; is the disk full?")
            image_id = writer.add_image({"file_name": name, "height": size[0], "width": size[1]})
            for placed in page:
                writer.add_annotation({"image_id": image_id, **annotation(placed)})
    return path


def draw_page(page: Sequence[PlacedCrop], size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """(height, width, 3) uint8, blue, green, red; the ground has the colour of one of the crops."""
    pictures = [_picture(placed) for placed in page]
    ground = pictures[generator.integers(len(pictures))].mean(axis=(0, 1))
    image = np.full((*size, 3), ground.round().astype(np.uint8))
    for placed, picture in zip(page, pictures, strict=True):
        image[placed.top : placed.top + placed.height, placed.left : placed.left + placed.width] = picture
    return image


def _picture(placed: PlacedCrop) -> np.ndarray:
    picture = read_image(placed.crop.path)
    if picture.shape[:2] == (placed.height, placed.width):
        return picture
    shrinks = placed.factor < 1
    return cv2.resize(
        picture, (placed.width, placed.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )


def annotation(placed: PlacedCrop) -> dict:
    """The word in the project's JSON format."""
    outline = np.clip(placed.crop.outline * placed.factor, 0, (placed.width, placed.height)) + (placed.left, placed.top)
    return {"segmentation": [outline.round(2).ravel().tolist()], "text": placed.crop.text, "ignore": 0}
