"""Pages of word crops: pictures of single words, as benchmarks of word recognition have them, set side by side.

A spotter learns to read real words from them in given places; whoever trains a detector needs whole photos.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

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
        outline: (4, 2) corners of the word in the picture's pixels; None where the picture is the word.
    """

    path: Path
    text: str
    outline: np.ndarray | None


def read_word_crops(
    images: str | os.PathLike, annotations: str | os.PathLike, coordinates: str | os.PathLike | None = None
) -> list[WordCrop]:
    """The crops of an ICDAR word-recognition set.

    Args:
        images: folder of the pictures.
        annotations: text file with ``NAME, "TEXT"`` a line; quotes in the text are escaped with a backslash.
        coordinates: text file with ``NAME,x1,y1,...,x4,y4`` a line.

    Raises:
        ValueError: a line that cannot be read, or a file that names no word; the message names it.
        FileNotFoundError: a file or picture that is not there.
    """
    outlines = {} if coordinates is None else dict(_read_coordinates(Path(coordinates)))
    crops = []
    for number, line in _lines(Path(annotations)):
        found = _LINE.match(line)
        if not found:
            raise ValueError(f'{annotations}, line {number}: expected NAME, "TEXT", found {line!r}.')
        path = Path(images) / found["name"].strip()
        if not path.is_file():
            raise FileNotFoundError(f"{annotations}, line {number}: there is no picture {path}.")
        crops.append(WordCrop(path, _ESCAPED.sub(r"\1", found["text"]), outlines.get(path.name)))
    if not crops:
        raise ValueError(f"{annotations}: the file names no word.")
    return crops


def _read_coordinates(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    for number, line in _lines(path):
        name, *values = line.split(",")
        try:
            yield name.strip(), np.array(values, dtype=np.float64).reshape(4, 2)
        except ValueError:
            raise ValueError(f"{path}, line {number}: expected NAME and 8 numbers, found {line!r}.") from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


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
    sized_crops: Iterable[tuple[WordCrop, tuple[int, int]]],
    size: tuple[int, int],
    heights: tuple[float, float],
    generator: np.random.Generator,
    gap: int = 4,
) -> list[list[PlacedCrop]]:
    """Lay crops out in rows, from the top down, as they come.

    A crop is scaled when it is lower or higher than ``heights`` allow (then to a random height among them), or wider
    than a page.

    Args:
        sized_crops: crops with their (height, width).
        size: (height, width) of a page.
        heights: least and greatest height of a crop on the page, in pixels.
        gap: pixels between two crops, at most; at random.

    Returns:
        the crops of each page.
    """
    pages: list[list[PlacedCrop]] = [[]]
    left = top = bottom = 0
    for crop, (height, width) in sized_crops:
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
        rounds: how often every crop is shown, each time among others.
        seed: the same seed gives the same pages.

    Returns:
        the JSON file.
    """
    output = Path(output)
    (output / "images").mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    sized = [(crop, read_image(crop.path).shape[:2]) for crop in tqdm(crops, unit=" words", desc="sizes")]
    order = np.concatenate([generator.permutation(len(sized)) for _ in range(rounds)])
    pages = pack_pages((sized[i] for i in order), size, heights, generator)
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
    """The word in the project's JSON format; where its outline is not known, the whole picture is."""
    outline = placed.crop.outline
    if outline is None:
        box = [(0, 0), (placed.width, 0), (placed.width, placed.height), (0, placed.height)]
        outline = np.array(box, dtype=np.float64)
    else:
        outline = np.clip(outline * placed.factor, 0, (placed.width, placed.height))
    outline = outline + (placed.left, placed.top)
    return {"segmentation": [outline.round(2).ravel().tolist()], "text": placed.crop.text, "ignore": 0}
