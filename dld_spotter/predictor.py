"""Reading the words of photos with a trained spotter, from Python: paths, arrays or a folder in, records out."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby, islice
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeShortestEdge, ResizeTransform
from detectron2.modeling import build_model
from tqdm import tqdm

from dld_spotter.config import ConfigFiles, check_cfg, load_cfg
from dld_spotter.data.charset import Charset
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.evaluation.icdar import image_key
from dld_spotter.evaluation.lexicon import ImageLexicons, Lexicon, correct_words, load_lexicon
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.image_io import ImageError, image_size, list_images, read_image
from dld_spotter.modeling.acceleration.shape_bucketing import round_batch_sizes
from dld_spotter.results import TextResult, to_words

logger = logging.getLogger(__name__)

Source = str | os.PathLike | np.ndarray

# Masks of up to 100 words are made at the size of the original; of larger photos at this many pixels, to bound memory.
MAX_MASK_PIXELS = 4_000_000
PROGRESS_FROM = 10  # images


class TextPredictor:
    """Finds and reads the words of photos.

    As Detectron2's DefaultPredictor it takes BGR images and resizes them by INPUT.MIN_SIZE_TEST and MAX_SIZE_TEST.
    Beyond it, it reads files and folders, takes batches, goes on after an unreadable image, and gives words and
    outlines.

    Args:
        config: path of a YAML file, or the name of a model that comes with the project; or several of these, later ones
            laid over earlier ones; or a config.
        weights: a checkpoint; by default the config's MODEL.WEIGHTS.
        device: "auto" (a GPU where there is one, unless ``opts`` set MODEL.DEVICE), or what torch calls it.
        opts: KEY VALUE pairs that override the config.
        confidence_threshold: detections whose ``det_score`` is lower are left out; by default
            MODEL.ROI_HEADS.SCORE_THRESH_TEST. Words whose ``score`` is below TEST.TEXT.SCORE_THRESHOLD are, too.

    Raises:
        KeyError: an unknown config key.
        ValueError: no or unsuitable weights, or an unknown device.
        FileNotFoundError: the config or the weights are not there.

    Example::

        predictor = TextPredictor("configs/MaskRCNNSpotter_R50.yaml", "model_final.pth")
        for result in predictor("photos/", batch_size=4):
            print(result.file_name, [word.text for word in result.words])
    """

    def __init__(
        self,
        config: ConfigFiles | CfgNode,
        weights: str | os.PathLike | None = None,
        device: str = "auto",
        opts: Sequence = (),
        confidence_threshold: float | None = None,
    ):
        self.cfg = _complete_cfg(config, weights, device, opts, confidence_threshold)
        self.charset = Charset.load(self.cfg.MODEL.TEXT.CHARSET)
        self.model = build_model(self.cfg).eval()
        if torch.device(self.cfg.MODEL.DEVICE).type == "cuda":
            round_batch_sizes(self.model)
        TextCheckpointer(self.model, on_charset_change="error").load(self.cfg.MODEL.WEIGHTS)

    def __call__(
        self,
        inputs: Source | Iterable[Source],
        batch_size: int = 1,
        *,
        on_error: str = "report",
        lexicon: str | os.PathLike | Iterable[str] | Lexicon | ImageLexicons | None = None,
    ) -> list[TextResult]:
        """Read images.

        Args:
            inputs: a path, a folder (its images, by name), an array (H, W, 3) uint8 in BGR order, or a list of these.
            batch_size: images a forward pass at most. Only images that need the same padding go together, so
                that the words do not depend on it.
            on_error: what an unreadable image does: "report" (its result has ``error``; the others go on) or "raise".
            lexicon: words that may occur: a list or a file with one a line; or a folder or zip with one list an
                image. Read words are replaced as TEST.TEXT.LEXICON_RULE says; scores stay.

        Returns:
            One result an image, in the order of ``inputs``.

        Raises:
            ImageError: an unreadable image, with "raise".
            FileNotFoundError, ValueError: the lexicon is not there, is empty, or has no list for an image.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be 1 or more.")
        if on_error not in ("report", "raise"):
            raise ValueError(f"on_error is '{on_error}'; use 'report' or 'raise'.")
        lexicon = _as_lexicon(lexicon)
        jobs = [_Job(position, *job) for position, job in enumerate(_name_sources(_expand(inputs)))]
        known = [lexicon and lexicon.for_image(image_key(job.file_name)) for job in jobs]
        results: list[TextResult | None] = [None] * len(jobs)
        with tqdm(total=len(jobs), unit="image", disable=None if len(jobs) >= PROGRESS_FROM else True) as progress:
            for batch in self._batches(jobs, batch_size):
                for job, result in zip(batch, self._read_batch(batch), strict=True):
                    if result.error is not None and on_error == "raise":
                        raise ImageError(result.error)
                    results[job.position] = self._correct(result, known[job.position])
                progress.update(len(batch))
        return results

    def _batches(self, jobs: Sequence[_Job], batch_size: int) -> Iterator[list[_Job]]:
        """Jobs in groups whose images the model pads to one size."""
        if batch_size == 1:  # no need to look at the headers of the files
            yield from ([job] for job in jobs)
            return
        sized = sorted(((self._padded_size(job), job) for job in jobs), key=itemgetter(0))
        for _, group in groupby(sized, key=itemgetter(0)):
            while batch := [job for _, job in islice(group, batch_size)]:
                yield batch

    def _padded_size(self, job: _Job) -> tuple[int, int]:
        """(height, width) of the network's input; (0, 0) for an image whose size cannot be told."""
        try:
            size = self.network_size(*job.size())
        except ImageError:
            return 0, 0
        step = max(1, getattr(getattr(self.model, "backbone", None), "size_divisibility", 1))
        return tuple(-(-length // step) * step for length in size)

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """The size to which DefaultPredictor's ResizeShortestEdge brings an image."""
        shortest, longest = self.cfg.INPUT.MIN_SIZE_TEST, self.cfg.INPUT.MAX_SIZE_TEST
        if shortest == 0:
            return height, width
        return ResizeShortestEdge.get_output_shape(height, width, shortest, longest)

    def _read_batch(self, jobs: Sequence[_Job]) -> list[TextResult]:
        """One result a job, in order; unreadable images take no part in the forward pass."""
        images, errors = [], {}
        for job in jobs:
            try:
                images.append(job.read())
            except ImageError as error:
                errors[job.position] = str(error)
        found = iter(self._spot(images))
        return [
            TextResult(job.file_name, error=errors[job.position], name=job.name, source=job.source)
            if job.position in errors
            else replace(next(found), file_name=job.file_name, name=job.name, source=job.source)
            for job in jobs
        ]

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
            results.append(TextResult("", height, width, float(output.get("scale", 1.0)), words))
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

    def _correct(self, result: TextResult, lexicon: Lexicon | None) -> TextResult:
        if lexicon is None:
            return result
        protocol = Protocol.from_cfg(self.cfg)
        texts = correct_words([word.text for word in result.words], lexicon, protocol)
        words = [replace(word, text=text) for word, text in zip(result.words, texts, strict=True)]
        return replace(result, words=words)


@dataclass(frozen=True)
class _Job:
    """One image to read; ``file_name`` and ``name`` as in TextResult."""

    position: int
    source: Path | np.ndarray
    file_name: str
    name: str

    def size(self) -> tuple[int, int]:
        if isinstance(self.source, Path):
            return image_size(self.source)
        _check_array(self.source, self.file_name)
        return self.source.shape[:2]

    def read(self) -> np.ndarray:
        """(H, W, 3) uint8 in BGR order."""
        if isinstance(self.source, Path):
            if self.source.is_dir():
                list_images(self.source)  # says that there is no image in it
            return read_image(self.source)
        _check_array(self.source, self.file_name)
        return self.source


def _complete_cfg(config, weights, device: str, opts: Sequence, confidence_threshold: float | None) -> CfgNode:
    opts = list(opts)
    if device != "auto":
        opts += ["MODEL.DEVICE", device]
    elif "MODEL.DEVICE" not in opts:
        opts += ["MODEL.DEVICE", "cuda" if torch.cuda.is_available() else "cpu"]
    if weights is not None:
        opts += ["MODEL.WEIGHTS", os.fspath(weights)]
    if confidence_threshold is not None:
        if not 0 <= confidence_threshold <= 1:
            raise ValueError(f"the confidence threshold is {confidence_threshold}; it must lie in [0, 1].")
        opts += ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", float(confidence_threshold)]
    if isinstance(config, CfgNode):
        cfg = config.clone()
        cfg.defrost()
        cfg.merge_from_list(opts)
        check_cfg(cfg)
    else:
        cfg = load_cfg(config, opts)
    cfg.MODEL.DLD.TEACHER = False  # only training has a use for one
    # A word's score is never above its detection's: what is too uncertain already need not be read. Detectors leave out
    # scores that are no larger than their threshold, and words of just the least score are given.
    least = float(np.nextafter(np.float32(cfg.TEST.TEXT.SCORE_THRESHOLD), np.float32(0)))
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = max(float(cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST), least)
    if not cfg.MODEL.WEIGHTS:
        raise ValueError(
            "there are no weights to read with: give weights='model_final.pth' or set MODEL.WEIGHTS to a checkpoint."
        )
    cfg.freeze()
    return cfg


def _as_lexicon(lexicon) -> Lexicon | ImageLexicons | None:
    if lexicon is None or isinstance(lexicon, (Lexicon, ImageLexicons)):
        return lexicon
    return load_lexicon(lexicon) if isinstance(lexicon, (str, os.PathLike)) else Lexicon(lexicon)


def _expand(inputs: Source | Iterable[Source]) -> Iterator[Path | np.ndarray]:
    """Single sources, folders replaced by their images; an empty folder stays, to be reported as unreadable."""
    if isinstance(inputs, (str, os.PathLike, np.ndarray)):
        inputs = [inputs]
    for source in inputs:
        if isinstance(source, np.ndarray):
            yield source
        elif not isinstance(source, (str, os.PathLike)):
            raise TypeError(f"an input is a path or a NumPy array, not a {type(source).__name__}.")
        elif Path(source).is_dir():
            try:
                yield from list_images(source)
            except ImageError:
                yield Path(source)
        else:
            yield Path(source)


def _name_sources(sources: Iterable[Path | np.ndarray]) -> list[tuple[Path | np.ndarray, str, str]]:
    """(source, file_name, name) of each: the file's name, or its path as given where several files share the name."""
    sources = list(sources)
    shared = Counter(source.name for source in sources if isinstance(source, Path))
    named, taken = [], set()
    for position, source in enumerate(sources):
        if isinstance(source, Path):
            file_name = source.name if shared[source.name] == 1 else source.as_posix()
            stem = source.stem
        else:
            file_name = stem = f"array_{position}"
        name = next(name for n in count(1) if (name := stem if n == 1 else f"{stem}_{n}") not in taken)
        taken.add(name)
        named.append((source, file_name, name))
    return named


def _check_array(image: np.ndarray, name: str) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape[:2]) < 2:
        raise ImageError(
            f"{name}: an image array is (height, width, 3) uint8 in BGR order, 2 pixels or more a side; "
            f"this one is {image.shape} {image.dtype}."
        )
