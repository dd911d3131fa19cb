"""Reading the words of photos with a trained spotter, from Python: photos of any kind in, records out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
from tqdm import tqdm

from dld_spotter.batching import each_or_error, in_batches
from dld_spotter.calibration import Thresholds
from dld_spotter.evaluation.lexicon import Lexicon, PhotoLexicons
from dld_spotter.image_io import ImageError
from dld_spotter.photo_sources import Photo, Source, to_photos
from dld_spotter.pretrained import DEFAULT_MODEL
from dld_spotter.reader_choice import Reader, make_reader, pick_runtime
from dld_spotter.results import TextResult
from dld_spotter.scale_costs import ScaleBound, check_scale
from dld_spotter.tiling import SHRUNK_FROM, Tiling, check_tiles, plan_tiles, read_tiles, shrinkage
from dld_spotter.word_correction import LexiconLike, as_lexicon, corrected

if TYPE_CHECKING:
    from detectron2.config import CfgNode
    from torch import nn

    from dld_spotter.config import ConfigFiles
    from dld_spotter.data.charset import Charset
    from dld_spotter.torch_reader import TorchReader

logger = logging.getLogger(__name__)

Inputs = Source | Photo | Iterable[Source | Photo]
_ReadImages = Callable[[Sequence[np.ndarray]], list[TextResult]]

PROGRESS_FROM = 10  # images


class TextPredictor:
    """Finds and reads the words of photos.

    As Detectron2's DefaultPredictor it takes BGR images and resizes them by INPUT.MIN_SIZE_TEST and MAX_SIZE_TEST.
    Beyond it, it reads files and folders, takes batches, goes on after an unreadable image, reads panoramas and large
    scans in tiles, and gives words and outlines.

    Args:
        config: path of a YAML file, or the name of a model that comes with the project; or several of these, later ones
            laid over earlier ones; or a config. By default the model ``DEFAULT_MODEL``.
        weights: a checkpoint; by default the config's MODEL.WEIGHTS.
        device: "auto" (a GPU where there is one, unless ``opts`` set MODEL.DEVICE), or what torch calls it.
        opts: KEY VALUE pairs that override the config.
        confidence_threshold: detections whose ``det_score`` is lower are left out; by default
            MODEL.ROI_HEADS.SCORE_THRESH_TEST. Words whose ``score`` is below TEST.TEXT.SCORE_THRESHOLD are, too.
        min_confidence: leave out words whose ``confidence`` is lower, instead of those whose ``score`` is below
            TEST.TEXT.SCORE_THRESHOLD; of a model with a calibration.
        scale: at which calls read that are given none.
        tiles: read panoramas and large images in overlapping tiles, where their words would be too small at once (see
            ``tiling.plan_tiles``). A number instead: any image that the network would see more times smaller than that
            is read in tiles that are not.
        runtime: what computes. "torch" reads any config; "onnx" (ONNX Runtime) and "openvino" read the graphs that
            ``dld-spotter export --format onnx`` writes and that the models of the project come with, without PyTorch:
            ``config`` is the name or the folder of one model then. "auto": torch where it is installed, else OpenVINO,
            else ONNX Runtime.
        precision: of "openvino": "float32", or "auto" for what is fastest on the machine (bfloat16 where the processor
            has instructions for it).
        threads: that compute; 0 for as many as the machine has. Of "torch" they are the process's.

    Raises:
        KeyError: an unknown config key.
        ValueError: no or unsuitable weights, an unknown device, or an option that a runtime does not have; tiles of a
            number below 1.
        FileNotFoundError: the config or the weights are not there.
        ImportError: what the runtime needs is not installed.

    Example::

        predictor = TextPredictor("configs/MaskRCNNSpotter_R50.yaml", "model_final.pth")
        for result in predictor.stream("photos/", batch_size=4):
            print(result.file_name, result.text)
    """

    def __init__(  # noqa: PLR0913 (whoever reads photos sets one or two of them)
        self,
        config: ConfigFiles | CfgNode = DEFAULT_MODEL,
        weights: str | os.PathLike | None = None,
        device: str = "auto",
        opts: Sequence = (),
        confidence_threshold: float | None = None,
        tiles: bool | float = True,
        runtime: str = "auto",
        precision: str = "float32",
        threads: int = 0,
        min_confidence: float | None = None,
        scale: float | ScaleBound | None = None,
    ):
        self.tiles, self.scale = check_tiles(tiles), scale
        self.runtime = pick_runtime(runtime)
        thresholds = Thresholds(confidence_threshold, min_confidence)
        self.reader: Reader = make_reader(self.runtime, config, weights, device, opts, thresholds, precision, threads)

    @property
    def charset(self) -> Charset:
        """The characters that the model reads."""
        return self.reader.charset

    @property
    def chooses_scale(self) -> bool:
        """Whether the model chooses the share of the full resolution, or can be given one."""
        return self.reader.chooses_scale

    @property
    def cfg(self) -> CfgNode:
        """The whole config; of the runtime "torch" alone."""
        return self._torch.cfg

    @property
    def model(self) -> nn.Module:
        """The Detectron2 model; of the runtime "torch" alone."""
        return self._torch.model

    @property
    def _torch(self) -> TorchReader:
        if self.runtime != "torch":
            raise AttributeError(f"the runtime '{self.runtime}' has graphs, and no Detectron2 config or model.")
        return cast("TorchReader", self.reader)

    def __call__(
        self,
        inputs: Inputs,
        batch_size: int = 1,
        *,
        on_error: str = "report",
        lexicon: LexiconLike = None,
        recursive: bool = False,
        scale: float | ScaleBound | None = None,
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
            scale: read at this share of the full resolution, or let the model choose any scale within a ``ScaleBound``;
                None lets it choose among its candidates.

        Returns:
            One result an image (of a TIFF one a page), in the order of ``inputs``.

        Raises:
            ImageError: an unreadable image, with "raise"; whatever a model raises is given as it is.
            FileNotFoundError, ValueError: the lexicon is not there, is empty, or has no list for an image.
            ValueError: a scale for a model that chooses none, or no share above 0 and up to 1.
            TypeError: an input of another kind.
        """
        photos = list(to_photos(inputs, recursive))
        results = self.stream(photos, batch_size, on_error=on_error, lexicon=lexicon, scale=scale)
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
        scale: float | ScaleBound | None = None,
    ) -> Iterator[TextResult]:
        """Read images, and give each result as soon as it and those before it are read.

        An iterator's images are taken as they are needed: three batches at most are held.

        Args:
            inputs: see ``__call__``, as for the others.
            batch_size: images a forward pass at most.
            on_error: "report" or "raise".
            lexicon: words that may occur.
            recursive: read the subfolders of folders, too.
            scale: read at this share of the full resolution, or within a bound.

        Returns:
            As the list of ``__call__``, one by one.

        Raises:
            As ``__call__``; what an iterator gives is looked at when its turn comes.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be 1 or more.")
        if on_error not in ("report", "raise"):
            raise ValueError(f"on_error is '{on_error}'; use 'report' or 'raise'.")
        scale = self.scale if scale is None else scale
        check_scale(scale, self.reader.costs)
        words = as_lexicon(lexicon)
        lexicons = None if words is None else PhotoLexicons(words)
        jobs: Iterable[_Job] = (
            _Job(photo, None if lexicons is None else lexicons.of(photo.file_name))
            for photo in to_photos(inputs, recursive)
        )
        if isinstance(inputs, (Sized, os.PathLike)):  # what is wrong with them shows before anything is read
            jobs = list(jobs)
        return self._stream(jobs, batch_size, on_error, scale)

    def _stream(
        self, jobs: Iterable[_Job], batch_size: int, on_error: str, scale: float | ScaleBound | None
    ) -> Iterator[TextResult]:
        read_batch = partial(self._read_batch, partial(self.reader.read, scale=scale))
        for job, outcome in in_batches(jobs, read_batch, self._padded_size, batch_size):
            if isinstance(outcome, Exception) and on_error == "raise":
                raise outcome
            yield self._result(job, outcome)

    def _padded_size(self, job: _Job) -> tuple[int, int]:
        """(height, width) of the network's input; (0, 0) for an image whose size cannot be told."""
        try:
            return self.reader.size.padded(*job.photo.size())
        except ImageError:
            return 0, 0

    def _read_batch(self, read_images: _ReadImages, jobs: Sequence[_Job]) -> list[TextResult | Exception]:
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
            try:
                outcomes.append(None if tiling is None else read_tiles(read_images, image, tiling, len(jobs)))
            except MemoryError as error:
                outcomes.append(error)
            images += [image] if tiling is None else []
        read = iter(each_or_error(read_images, images))
        return [next(read) if outcome is None else outcome for outcome in outcomes]

    def _plan(self, file_name: str, image: np.ndarray) -> Tiling | None:
        height, width = image.shape[:2]
        sizes = height, width, self.reader.size.shortest, self.reader.size.longest
        most = None if isinstance(self.tiles, bool) else self.tiles
        tiling = None if self.tiles is False else plan_tiles(*sizes, most)
        if tiling is None and shrinkage(*sizes) >= SHRUNK_FROM:
            logger.warning(
                "%s: its words may be too small: INPUT.MAX_SIZE_TEST %d shrinks its %d x %d pixels %.1f times more "
                "than INPUT.MIN_SIZE_TEST %d does. Raise the former, or let the image be read in tiles.",
                *(file_name, sizes[3], sizes[1], sizes[0], shrinkage(*sizes), sizes[2]),
            )
        return tiling

    def _result(self, job: _Job, outcome: TextResult | Exception) -> TextResult:
        """What came of a job as its result: named, and its words corrected."""
        photo = job.photo
        if isinstance(outcome, Exception):
            error = outcome if isinstance(outcome, ImageError) else _describe(photo, outcome)
            outcome = TextResult("", error=str(error))
        elif job.lexicon is not None:
            outcome = replace(outcome, words=corrected(outcome.words, job.lexicon, self.reader.protocol))
        elif self.reader.calibration is not None:
            sure = self.reader.calibration.confidence
            words = [replace(word, confidence=round(sure(word.score), 4)) for word in outcome.words]
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
