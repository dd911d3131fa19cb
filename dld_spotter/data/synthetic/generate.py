"""Many scenes into a folder of images and one text JSON, on several processes."""

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from dld_spotter.data.synthetic.fonts import FontFace
from dld_spotter.data.synthetic.scene import SceneDrawer, SceneWord
from dld_spotter.data.synthetic.style import SceneStyle
from dld_spotter.data.synthetic.textures import texture_bank
from dld_spotter.data.synthetic.vocabulary import Vocabulary
from dld_spotter.data.text_writer import TextJsonWriter

IMAGES_A_FOLDER = 1000
BANK_SIZE = 40
CHUNK = 8  # scenes that a process draws before it reports


@dataclass(frozen=True)
class SceneSource:
    """All that scenes are drawn from. Scene number i of it is always the same.

    Attributes:
        faces: fonts.
        words: the dictionary.
        split: "train" or "test", of the words; the faces must be of the same split.
        style: of the scenes.
        seed: of everything random.
        english: whether English sign words are drawn beside those of the dictionary (see ``Vocabulary``).
    """

    faces: Sequence[FontFace]
    words: Sequence[str]
    split: str
    style: SceneStyle
    seed: int
    english: bool = True

    def drawer(self) -> SceneDrawer:
        """What draws these scenes; takes a second or two, for the textures."""
        bank = texture_bank(np.random.default_rng([self.seed, 0]), BANK_SIZE)
        return SceneDrawer(self.faces, Vocabulary(self.words, self.split, self.english), bank, self.style)


def generate_scenes(
    source: SceneSource, output: str | os.PathLike, numbers: Iterable[int], workers: int = 0, info: dict | None = None
) -> Path:
    """Draw scenes and write OUTPUT/images/NNN/NNNNNN.jpg and OUTPUT/scenes.json, in the project's format.

    The JSON appears when all is drawn. Images that are there already are drawn again and are the same.

    Args:
        source: draws a scene of a number.
        output: the folder.
        numbers: of the scenes to draw.
        workers: processes beside this one; 0 draws in this one.
        info: for the JSON's "info".

    Returns:
        the JSON file.
    """
    output, numbers = Path(output), list(numbers)
    for folder in sorted({image_name(number).parent for number in numbers}):
        (output / "images" / folder).mkdir(parents=True, exist_ok=True)
    path = output / "scenes.json"
    with TextJsonWriter(path, info) as writer:
        drawn = _draw_all(source, output / "images", numbers, workers)
        for number, words in tqdm(drawn, total=len(numbers), unit=" scenes", desc=str(path)):
            height, width = source.style.size
            image = {"id": number, "file_name": image_name(number).as_posix(), "height": height, "width": width}
            writer.add_image(image)
            for word in words:
                writer.add_annotation({"image_id": number} | annotation(word))
    return path


def image_name(number: int) -> Path:
    """Where a scene's image lies in the folder of images."""
    return Path(f"{number // IMAGES_A_FOLDER:03d}") / f"{number:06d}.jpg"


def annotation(word: SceneWord) -> dict:
    """The word in the project's JSON format, to a hundredth of a pixel."""
    return {
        "segmentation": [np.round(word.polygon.astype(float), 2).ravel().tolist()],
        "text": word.text,
        "ignore": int(word.ignore),
        "characters": np.round(word.characters.astype(float), 2).reshape(-1, 8).tolist(),
    }


def draw_and_save(drawer: SceneDrawer, seed: int, number: int, images: Path) -> list[SceneWord]:
    """Draw one scene and write its image; its words."""
    scene = drawer.draw(np.random.default_rng([seed, 1, number]))
    path = images / image_name(number)
    if not cv2.imwrite(str(path), scene.image, [cv2.IMWRITE_JPEG_QUALITY, scene.quality]):
        raise OSError(f"could not write {path}; is the disk full?")
    return scene.words


def _draw_all(
    source: SceneSource, images: Path, numbers: Sequence[int], workers: int
) -> Iterator[tuple[int, list[SceneWord]]]:
    if workers == 0:
        drawer = source.drawer()
        for number in numbers:
            yield number, draw_and_save(drawer, source.seed, number, images)
        return
    source.drawer()  # its errors are raised here; a pool replaces processes that cannot start for ever
    # Not a fork: this process may hold threads of PyTorch and OpenCV, which do not survive one.
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _Worker.start, (source, images)) as pool:
        yield from pool.imap(_Worker.draw, numbers, chunksize=CHUNK)


class _Worker:
    """What a process keeps between two scenes."""

    drawer: SceneDrawer
    seed: int
    images: Path

    @classmethod
    def start(cls, source: SceneSource, images: Path) -> None:
        cv2.setNumThreads(1)
        cls.drawer, cls.seed, cls.images = source.drawer(), source.seed, images

    @classmethod
    def draw(cls, number: int) -> tuple[int, list[SceneWord]]:
        return number, draw_and_save(cls.drawer, cls.seed, number, cls.images)
