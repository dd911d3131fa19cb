"""What a model reads in a data set, what that costs and how long it takes: measured once, then kept in a file."""

import hashlib
import json
import logging
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.evaluation import inference_context
from detectron2.modeling import build_model
from torch import nn
from tqdm import tqdm

from dld_spotter.analysis.flops import CostModel
from dld_spotter.analysis.runtime import timed
from dld_spotter.config import load_cfg
from dld_spotter.data.charset import Charset
from dld_spotter.data.loader import build_text_test_loader
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.evaluation.ground_truth import PredictedImage, to_points
from dld_spotter.evaluation.protocol import ReadWord
from dld_spotter.evaluation.recognition import word_pairs
from dld_spotter.modeling.spotter_parts import Workload
from dld_spotter.predicted_words import to_words

logger = logging.getLogger(__name__)

# Raise it when what a file holds, or how it is measured, changes.
_VERSION = 1


@dataclass(frozen=True)
class ImageReading:
    """What was read in one image.

    Attributes:
        image_id: as the ground truth has it.
        size: height and width of the network's input, in pixels.
        scale: the share of that resolution which the model chose; 1.0 where it chooses none.
        seconds: from the record in memory to words and pasted masks.
        multiply_adds: of student and selector at that scale.
        words: as ``results.Word``, in pixels of the original image.
        true_places: (annotated, read) texts of the readable words in their ground-truth places.
    """

    image_id: int | str
    size: tuple[int, int]
    scale: float
    seconds: float
    multiply_adds: int
    words: list[dict]
    true_places: list[tuple[str, str]]

    def prediction(self) -> PredictedImage:
        """For pairing with the ground truth."""
        words = [ReadWord(to_points(word["polygon"]), word["text"], word["score"]) for word in self.words]
        return PredictedImage(words, image_id=self.image_id)


@dataclass(frozen=True)
class Readings:
    """One model on one data set; ``machine`` says where the seconds were measured."""

    machine: str
    images: list[ImageReading]


class ReadingCache:
    """A folder of JSON files, each with the readings of one model on one data set.

    A file is found again as long as nothing has changed that the readings depend on: the config's MODEL and INPUT as
    far as they differ from the defaults, so that a new option makes no old file useless, which words are given out, the
    content of the weights, the data set's annotations, the number of images. The code and its defaults are not among
    it: after a change of them, choose another folder.

    Args:
        folder: is made when the first file is written.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def path(self, cfg: CfgNode, data_set: str, limit: int | None, title: str) -> Path:
        """Where the readings of a model belong. ``title`` only makes the file's name readable.

        Raises:
            FileNotFoundError: there are no weights at MODEL.WEIGHTS.
        """
        given_out = cfg.TEST.DETECTIONS_PER_IMAGE, cfg.TEST.TEXT.SCORE_THRESHOLD, tuple(cfg.TEST.TEXT.SCORE_POWERS)
        digest = hashlib.sha256(f"{_VERSION} {data_set} {limit} {given_out}".encode())
        defaults, given = _options(load_cfg()), _options(cfg)
        given["MODEL.WEIGHTS"] = defaults["MODEL.WEIGHTS"]  # their content counts, not their name
        digest.update(repr(sorted(given.items() - defaults.items())).encode())
        json_file = MetadataCatalog.get(data_set).get("json_file")
        for file in (cfg.MODEL.WEIGHTS, *([json_file] if json_file else [])):
            with open(file, "rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        name = re.sub(r"[^\w.-]+", "_", f"{title} {data_set}")
        return self.folder / f"{name}_{digest.hexdigest()[:16]}.json"

    def load(self, path: Path) -> Readings | None:
        """The readings in a file of the cache; None if it is not there.

        Raises:
            ValueError: the file is damaged.
        """
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            images = [ImageReading(**image) for image in content["images"]]
            return Readings(content["machine"], images)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}); delete it, and it is measured again.") from error

    def save(self, path: Path, readings: Readings) -> None:
        """Write readings under another name first, so that a kill leaves no half file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(readings), ensure_ascii=False), encoding="utf-8")
        os.replace(unfinished, path)


def _options(cfg: CfgNode) -> dict[str, str]:
    """The values of MODEL and INPUT, by key. A list counts as a tuple of the same."""

    def values(node: CfgNode, prefix: str) -> Iterator[tuple[str, str]]:
        for key, value in node.items():
            if isinstance(value, CfgNode):
                yield from values(value, f"{prefix}.{key}")
            else:
                yield f"{prefix}.{key}", repr(_as_lists(value))

    return dict(values(cfg.MODEL, "MODEL")) | dict(values(cfg.INPUT, "INPUT"))


def _as_lists(value: Any) -> Any:
    return [_as_lists(entry) for entry in value] if isinstance(value, list | tuple) else value


def load_model(cfg: CfgNode) -> nn.Module:
    """The config's model with its weights, in evaluation mode."""
    model = build_model(cfg).eval()
    TextCheckpointer(model).load(cfg.MODEL.WEIGHTS)
    return model


def measure_readings(cfg: CfgNode, data_set: str, limit: int | None = None) -> Readings:
    """Read a data set once, image by image, with a progress bar.

    Costs are counted for images that hold ten words of eleven steps and as many proposals as the detector passes on, at
    most 1000, so that they depend on an image's size and scale alone (see ``CostModel``).

    Args:
        cfg: MODEL.WEIGHTS holds the weights.
        data_set: registered, or in DATASETS.CUSTOM.
        limit: only so many of its first images; None for all.
    """
    model: Any = load_model(cfg)
    costs = CostModel(model, Workload(min(Workload.proposals, cfg.MODEL.RPN.POST_NMS_TOPK_TEST)))
    charset = Charset.load(cfg.MODEL.TEXT.CHARSET)
    images = []
    with inference_context(model), torch.no_grad():
        for record in annotated_records(cfg, data_set, limit):
            (output,), seconds = timed(partial(model, [record]), model.device)
            scale, size = float(output.get("scale", 1.0)), tuple(record["image"].shape[-2:])
            images.append(
                ImageReading(
                    record["image_id"],
                    size,
                    scale,
                    seconds,
                    sum(costs.inference(size, scale).values()),
                    [asdict(word) for word in to_words(output["instances"], charset)],
                    word_pairs(record["instances"].gt_text, model.read_words([record])[0], charset, record),
                )
            )
    if not images:
        raise ValueError(f"data set '{data_set}' has no images.")
    return Readings(describe_machine(model.device), images)


def annotated_records(cfg: CfgNode, data_set: str, limit: int | None) -> Iterator[dict]:
    """The mapped records of a data set with "instances", one by one, with a progress bar."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.DATALOADER.NUM_WORKERS = 0  # workers would compete with the network for the cores, and so for the seconds
    loader = build_text_test_loader(cfg, data_set, keep_annotations=True)
    total = len(loader) if limit is None else min(limit, len(loader))
    for batch in tqdm(islice(loader, total), total=total, desc=data_set, unit="image"):
        yield from batch


def describe_machine(device: torch.device) -> str:
    """The processor, the threads that torch uses and its version, to stand beside times."""
    processor = platform.processor() or platform.machine()
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    elif Path("/proc/cpuinfo").is_file():
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        processor = named.group(1).strip() if named else processor
    threads = torch.get_num_threads()
    return f"{processor}, {threads} thread{'s' * (threads > 1)} of torch {torch.__version__}"
