"""Reading with PyTorch and Detectron2: any config, any checkpoint, CPU or GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dld_spotter import _requirements  # noqa: F401 (first: says in one sentence what is missing)

# isort: split
import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeTransform
from detectron2.modeling import build_model

from dld_spotter.calibration import Calibration, Thresholds
from dld_spotter.config import ConfigFiles
from dld_spotter.data.charset import Charset
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.modeling.acceleration.shape_bucketing import round_batch_sizes
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.network_size import NetworkSize, mask_size
from dld_spotter.predicted_words import to_words
from dld_spotter.predictor_config import complete_cfg
from dld_spotter.results import TextResult
from dld_spotter.scale_costs import ScaleBound, ScaleCosts, check_scale

__all__ = ["TorchReader", "limit_threads"]


def limit_threads(threads: int) -> None:
    """Let PyTorch compute with that many threads, in the whole process; 0 leaves them as they are."""
    if threads:
        torch.set_num_threads(threads)


class TorchReader:
    """A ``Reader`` with a Detectron2 model; the arguments are TextPredictor's."""

    def __init__(
        self,
        config: ConfigFiles | CfgNode,
        weights: str | os.PathLike | None,
        device: str,
        opts: Sequence,
        thresholds: Thresholds,
    ):
        self.cfg = complete_cfg(config, weights, device, opts, thresholds.detection)
        self.calibration = Calibration.read(Path(self.cfg.MODEL.WEIGHTS).parent, self.cfg.TEST.TEXT.SCORE_POWERS)
        least = thresholds.least_score(self.calibration)
        if least is not None:
            self.cfg.defrost()
            self.cfg.TEST.TEXT.SCORE_THRESHOLD = least
            self.cfg.freeze()
        self.charset = Charset.load(self.cfg.MODEL.TEXT.CHARSET)
        self.model = build_model(self.cfg).eval()
        if torch.device(self.cfg.MODEL.DEVICE).type == "cuda":
            round_batch_sizes(self.model)
        TextCheckpointer(self.model, on_charset_change="error").load(self.cfg.MODEL.WEIGHTS)
        self.protocol = Protocol.from_cfg(self.cfg)
        self.costs: ScaleCosts | None = None
        if isinstance(self.model, DLDSpotter):
            self.costs = ScaleCosts(self.model.scales, tuple(self.model.costs.tolist()))
        step = max(1, getattr(getattr(self.model, "backbone", None), "size_divisibility", 1))
        self.chooses_scale = isinstance(self.model, DLDSpotter)
        self.size = NetworkSize(self.cfg.INPUT.MIN_SIZE_TEST, self.cfg.INPUT.MAX_SIZE_TEST, step)

    @torch.no_grad()
    def read(self, images: Sequence[np.ndarray], scale: float | ScaleBound | None = None) -> list[TextResult]:
        """See ``Reader``."""
        check_scale(scale, self.costs)
        if not images:
            return []
        with self._at_scale(scale):
            outputs = self.model([self._to_input(image) for image in images])
        results = []
        for image, output in zip(images, outputs, strict=True):
            height, width = image.shape[:2]
            instances = output["instances"]
            rows, columns = instances.image_size
            words = to_words(instances, self.charset, width / columns, height / rows)
            words = [word for word in words if word.score >= self.cfg.TEST.TEXT.SCORE_THRESHOLD]
            chosen = float(output["scale"]) if "scale" in output else None
            results.append(TextResult("", height, width, chosen, words))
        return results

    @contextmanager
    def _at_scale(self, scale: float | ScaleBound | None) -> Iterator[None]:
        """Let a DLDSpotter read at a scale, or choose within a bound, and choose as before afterwards."""
        if scale is None:
            yield
            return
        before = self.model.fixed_scale
        if isinstance(scale, ScaleBound):
            self.model.scale_bound = scale
        else:
            self.model.fixed_scale = scale
        try:
            yield
        finally:
            self.model.fixed_scale, self.model.scale_bound = before, None

    def _to_input(self, image: np.ndarray) -> dict:
        """As DefaultPredictor; the output is asked for at the original size as far as its masks fit into memory."""
        if self.cfg.INPUT.FORMAT == "RGB":
            image = image[:, :, ::-1]
        size = image.shape[:2]
        resized = ResizeTransform(*size, *self.size.resized(*size)).apply_image(image)
        tensor = torch.as_tensor(resized.astype("float32").transpose(2, 0, 1))
        rows, columns = mask_size(*size)
        return {"image": tensor, "height": rows, "width": columns}
