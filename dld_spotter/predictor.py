"""Reading the words of photos with a trained spotter, from Python: photos of any kind in, records out."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeShortestEdge, ResizeTransform
from detectron2.modeling import build_model
from tqdm import tqdm

from dld_spotter.batching import each_or_error, in_batches
from dld_spotter.config import ConfigFiles
from dld_spotter.data.charset import Charset
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.evaluation.lexicon import ImageLexicons, Lexicon, PhotoLexicons, correct_words, load_lexicon
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.image_io import ImageError
from dld_spotter.modeling.acceleration.shape_bucketing import round_batch_sizes
from dld_spotter.photo_sources import Photo, Source, to_photos
from dld_spotter.predictor_config import complete_cfg
from dld_spotter.pretrained import DEFAULT_MODEL
from dld_spotter.results import TextResult, in_reading_order, to_words
from dld_spotter.tiling import SHRUNK_FROM, Tiling, merge_tiles, plan_tiles, shrinkage

logger = logging.getLogger(__name__)

Inputs = Source | Photo | Iterable[Source | Photo]
LexiconLike = str | os.PathLike | Iterable[str] | Lexicon | ImageLexicons | None

# Masks of up to 100 words are made at the size of the original; of larger photos at this many pixels, to bound memory.
MAX_MASK_PIXELS = 4_000_000
PROGRESS_FROM = 10  # images


class TextPredictor:
    """Finds and reads the words of photos.

    As Detectron2's DefaultPredictor it takes BGR images and resizes them by INPUT.MIN_SIZE_TEST and MAX_SIZE_TEST.
    Beyond it, it reads files and folders, takes batches, goes on after an unreadable image, reads panoramas in tiles,
    and gives words and outlines.

    Args:
        config: path of a YAML file, or the name of a model that comes with the project; or several of these, later ones
            laid over earlier ones; or a config. By default the model ``DEFAULT_MODEL``.
        weights: a checkpoint; by default the config's MODEL.WEIGHTS.
        device: "auto" (a GPU where there is one, unless ``opts`` set MODEL.DEVICE), or what torch calls it.
        opts: KEY VALUE pairs that override the config.
        confidence_threshold: detections whose ``det_score`` is lower are left out; by default
            MODEL.ROI_HEADS.SCORE_THRESH_TEST. Words whose ``score`` is below TEST.TEXT.SCORE_THRESHOLD are, too.
        tiles: read panoramas in overlapping tiles, where INPUT.MAX_SIZE_TEST would make their words too small.

    Raises:
        KeyError: an unknown config key.
        ValueError: no or unsuitable weights, or an unknown device.
        FileNotFoundError: the config or the weights are not there.

    Example::

        predictor = TextPredictor("configs/MaskRCNNSpotter_R50.yaml", "model_final.pth")
        for result in predictor.stream("photos/", batch_size=4):
            print(result.file_name, result.text)
    """

    def __init__(
        self,
        config: ConfigFiles | CfgNode = DEFAULT_MODEL,
        weights: str | os.PathLike | None = None,
        device: str = "auto",
        opts: Sequence = (),
        confidence_threshold: float | None = None,
        tiles: bool = True,
    ):
        self.cfg = complete_cfg(config, weights, device, opts, confidence_threshold)
        self.tiles = tiles
        self.charset = Charset.load(self.cfg.MODEL.TEXT.CHARSET)
        self.model = build_model(self.cfg).eval()
        if torch.device(self.cfg.MODEL.DEVICE).type == "cuda":
            round_batch_sizes(self.model)
        TextCheckpointer(self.model, on_charset_change="error").load(self.cfg.MODEL.WEIGHTS)

    def __call__(
        self,
        inputs: Inputs,
        batch_size: int = 1,
        *,
        on_error: str = "report",
        lexicon: LexiconLike = None,
        recursive: bool = False,
    ) -> list[TextResult]:
        """Read images; all of them are read before any result is given (see ``stream``).

        Args:
            inputs: a path, a folder (its images, by name), the bytes of an image file, a PIL image, an array (H, W, 3)
                uint8 in BGR order (or another that ``array_to_bgr`` takes), or any number of these. PIL images are
                turned upright by their EXIF orientation, as files are.
            batch_size: images a forward pass at most. Only images that need the same padding go together, so
                that the words do not depend on it.
            on_error: what an image that cannot be read does: "report" (its result has ``error``; the others go on)
                or "raise".
            lexicon: words that may occur: a list or a file with one a line; or a folder or zip with one list an
                image. Read words are replaced as TEST.TEXT.LEXICON_RULE says; scores stay.
            recursive: read the subfolders of folders, too.

        Returns:
            One result an image (of a TIFF one a page), in the order of ``inputs``.

        Raises:
            ImageError: an unreadable image, with "raise"; whatever a model raises is given as it is.
            FileNotFoundError, ValueError: the lexicon is not there, is empty, or has no list for an image.
            TypeError: an input of another kind.
        """
        photos = list(to_photos(inputs, recursive))
        results = self.stream(photos, batch_size, on_error=on_error, lexicon=lexicon)
        disable = None if len(photos) >= PROGRESS_FROM else True
        return list(tqdm(results, total=len(photos), unit="image", disable=disable))

    def stream(
        self,
        inputs: Inputs,
        batch_size: int = 1,
        *,
        on_error: str = "report",
        lexicon: LexiconLike = None,
        recursive: bool = False,
    ) -> Iterator[TextResult]:
        """Read images, and give each result as soon as it and those before it are read.

        An iterator's images are taken as they are needed: three batches at most are held.

        Args:
            inputs, batch_size, on_error, lexicon, recursive: see ``__call__``.

        Returns:
            As the list of ``__call__``, one by one.

        Raises:
            As ``__call__``; what an iterator gives is looked at when its turn comes.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be 1 or more.")
        if on_error not in ("report", "raise"):
            raise ValueError(f"on_error is '{on_error}'; use 'report' or 'raise'.")
        lexicons = None if lexicon is None else PhotoLexicons(_as_lexicon(lexicon))
        jobs = (
            _Job(photo, None if lexicons is None else lexicons.of(photo.file_name))
            for photo in to_photos(inputs, recursive)
        )
        if isinstance(inputs, (Sized, os.PathLike)):  # what is wrong with them shows before anything is read
            jobs = list(jobs)
        return self._stream(jobs, batch_size, on_error)

    def _stream(self, jobs: Iterable[_Job], batch_size: int, on_error: str) -> Iterator[TextResult]:
        for job, outcome in in_batches(jobs, self._read_batch, self._padded_size, batch_size):
            if isinstance(outcome, Exception) and on_error == "raise":
                raise outcome
            yield self._result(job, outcome)

    def _padded_size(self, job: _Job) -> tuple[int, int]:
        """(height, width) of the network's input; (0, 0) for an image whose size cannot be told."""
        try:
            size = self.network_size(*job.photo.size())
        except ImageError:
            return 0, 0
        step = max(1, getattr(getattr(self.model, "backbone", None), "size_divisibility", 1))
        return tuple(-(-length // step) * step for length in size)

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """The size to which DefaultPredictor's ResizeShortestEdge brings an image that is not read in tiles."""
        shortest, longest = self.cfg.INPUT.MIN_SIZE_TEST, self.cfg.INPUT.MAX_SIZE_TEST
        if shortest == 0:
            return height, width
        height, width = ResizeShortestEdge.get_output_shape(height, width, shortest, longest)
        return max(1, height), max(1, width)

    def _read_batch(self, jobs: Sequence[_Job]) -> list[TextResult | Exception]:
        """What came of each job, in order; unreadable images take no part in the forward pass."""
        outcomes: list[TextResult | Exception | None] = []
        images: list[np.ndarray] = []
        for job in jobs:
            try:
                image = job.photo.read()
            except (ImageError, MemoryError) as error:
                outcomes.append(error)
                continue
            tiling = self._plan(job.photo.file_name, image)
            outcomes.append(None if tiling is None else self._spot_tiles(image, tiling, len(jobs)))
            images += [image] if tiling is None else []
        read = iter(each_or_error(self._spot, images))
        return [next(read) if outcome is None else outcome for outcome in outcomes]

    def _plan(self, file_name: str, image: np.ndarray) -> Tiling | None:
        sizes = *image.shape[:2], self.cfg.INPUT.MIN_SIZE_TEST, self.cfg.INPUT.MAX_SIZE_TEST
        tiling = plan_tiles(*sizes) if self.tiles else None
        if tiling is None and shrinkage(*sizes) >= SHRUNK_FROM:
            logger.warning(
                "%s: its words may be too small: INPUT.MAX_SIZE_TEST %d shrinks its %d x %d pixels %.1f times more "
                "than INPUT.MIN_SIZE_TEST %d does. Raise the former, or let the image be read in tiles.",
                *(file_name, sizes[3], sizes[1], sizes[0], shrinkage(*sizes), sizes[2]),
            )
        return tiling

    def _spot_tiles(self, image: np.ndarray, tiling: Tiling, batch_size: int) -> TextResult | Exception:
        """The result of an image that is read in tiles, and once more as a whole for words that no tile holds."""
        parts: list[TextResult | Exception] = each_or_error(self._spot, [image])
        for start in range(0, len(tiling.starts), batch_size):
            tiles = range(len(tiling.starts))[start : start + batch_size]
            parts += each_or_error(self._spot, [tiling.crop(image, tile) for tile in tiles])
        for part in parts:
            if isinstance(part, Exception):
                return part
        whole, *tiles = parts
        words = in_reading_order(merge_tiles(tiling, [tile.words for tile in tiles], whole.words))
        scale = None if whole.scale is None else round(float(np.mean([tile.scale for tile in tiles])), 4)
        return replace(whole, words=words, scale=scale, tiles=len(tiles))

    @torch.no_grad()
    def _spot(self, images: Sequence[np.ndarray]) -> list[TextResult]:
        """Results, still without a name, of arrays (H, W, 3) in BGR order."""
        if not images:
            return []
        outputs = self.model([self._to_input(image) for image in images])
        results = []
        for image, output in zip(images, outputs, strict=True):
            height, width = image.shape[:2]
            instances = output["instances"]
            rows, columns = instances.image_size
            words = to_words(instances, self.charset, width / columns, height / rows)
            words = [word for word in words if word.score >= self.cfg.TEST.TEXT.SCORE_THRESHOLD]
            scale = float(output["scale"]) if "scale" in output else None
            results.append(TextResult("", height, width, scale, words))
        return results

    def _to_input(self, image: np.ndarray) -> dict:
        """As DefaultPredictor; the output is asked for at the original size as far as its masks fit into memory."""
        if self.cfg.INPUT.FORMAT == "RGB":
            image = image[:, :, ::-1]
        height, width = image.shape[:2]
        shrink = min(1.0, (MAX_MASK_PIXELS / (height * width)) ** 0.5)
        resized = ResizeTransform(height, width, *self.network_size(height, width)).apply_image(image)
        tensor = torch.as_tensor(resized.astype("float32").transpose(2, 0, 1))
        return {"image": tensor, "height": max(1, round(height * shrink)), "width": max(1, round(width * shrink))}

    def _result(self, job: _Job, outcome: TextResult | Exception) -> TextResult:
        """What came of a job as its result: named, and its words corrected."""
        photo = job.photo
        if isinstance(outcome, Exception):
            error = outcome if isinstance(outcome, ImageError) else _describe(photo, outcome)
            outcome = TextResult("", error=str(error))
        elif job.lexicon is not None:
            texts = correct_words([word.text for word in outcome.words], job.lexicon, Protocol.from_cfg(self.cfg))
            words = [replace(word, text=text) for word, text in zip(outcome.words, texts, strict=True)]
            outcome = replace(outcome, words=words)
        return replace(outcome, file_name=photo.file_name, name=photo.name, source=photo.source, page=photo.page)


@dataclass(frozen=True)
class _Job:
    """A photo to read, and the words that may occur in it."""

    photo: Photo
    lexicon: Lexicon | None


def _describe(photo: Photo, error: Exception) -> str:
    first_line = next(iter(str(error).splitlines()), "")
    return f"{photo.file_name}: reading it failed ({type(error).__name__}: {first_line})."


def _as_lexicon(lexicon) -> Lexicon | ImageLexicons:
    if isinstance(lexicon, (Lexicon, ImageLexicons)):
        return lexicon
    return load_lexicon(lexicon) if isinstance(lexicon, (str, os.PathLike)) else Lexicon(lexicon)
