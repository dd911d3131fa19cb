"""What the trainer does beside its steps: the best checkpoint, drawn samples."""

import logging
import math
import os
from collections.abc import Callable, Sequence

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.engine import HookBase
from detectron2.evaluation import inference_context
from detectron2.evaluation.testing import flatten_results_dict
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dld_spotter.data.charset import Charset
from dld_spotter.data.dataset_mapper import TextDatasetMapper
from dld_spotter.data.text_json import register_custom, require_dataset
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.engine.weights_file import read_checkpoint
from dld_spotter.image_io import read_image
from dld_spotter.visualizer import TextVisualizer

logger = logging.getLogger(__name__)

# Longest side of a sample in TensorBoard, pixels.
_SAMPLE_SIZE = 1024


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside its DistributedDataParallel wrapper, or the model itself."""
    return model.module if isinstance(model, DistributedDataParallel) else model


class BestCheckpoint(HookBase):
    """Save "model_best.pth" whenever an evaluation gives a higher figure than all before.

    Unlike Detectron2's hook, it remembers the best figure when a run is resumed (the figure lies in the file), and
    ``--resume`` does not go on from the best checkpoint but from the latest.

    Args:
        checkpointer: what saves.
        metric: "task/metric"; where the results are of several data sets, the mean of "data set/task/metric".
    """

    FILE = "model_best"

    def __init__(self, checkpointer: TextCheckpointer, metric: str):
        self.checkpointer = checkpointer
        self.metric = metric
        self.best = -math.inf
        self._seen = -1  # iteration of the last evaluation
        self._warned = False

    def before_train(self) -> None:
        self._seen = self._latest()[1]  # of a resumed run's log
        path = os.path.join(self.checkpointer.save_dir, f"{self.FILE}.pth")
        if self.trainer.start_iter == 0 or not os.path.isfile(path):
            return
        saved = read_checkpoint(path).get("best", {})
        if saved.get("metric") == self.metric:
            self.best = saved["value"]
            logger.info("Best %s up to now: %.4f.", self.metric, self.best)

    def after_step(self) -> None:
        self._keep_if_best()

    def after_train(self) -> None:
        self._keep_if_best()

    def _keep_if_best(self) -> None:
        values, iteration = self._latest()
        if not values:
            self._warn_of_unknown_metric()
        if iteration <= self._seen:
            return
        self._seen = iteration
        value = float(np.mean(values))
        if not value > self.best:  # a value that is no number is not better
            logger.info("%s is %.4f; the best stays %.4f.", self.metric, value, self.best)
            return
        self.best = value
        state = {"metric": self.metric, "value": value, "iteration": iteration}
        self.checkpointer.save(self.FILE, tag=False, best=state)
        logger.info("%s is %.4f, the best up to now: kept as %s.pth.", self.metric, value, self.FILE)

    def _latest(self) -> tuple[list[float], int]:
        """The figure of each data set, and the iteration of the evaluation; iteration -1 if there was none."""
        scalars = self.trainer.storage.latest()
        found = [entry for name, entry in scalars.items() if f"/{name}".endswith(f"/{self.metric}")]
        return [value for value, _ in found], max((iteration for _, iteration in found), default=-1)

    def _warn_of_unknown_metric(self) -> None:
        figures = flatten_results_dict(getattr(self.trainer, "_last_eval_results", None) or {})
        if figures and not self._warned:
            self._warned = True
            logger.warning(
                "TEST.BEST_METRIC is '%s', which no evaluation gives, so no best checkpoint is kept; use one of: %s.",
                *(self.metric, ", ".join(sorted(figures))),
            )


class DrawSamples(HookBase):
    """At each evaluation, draw some test images as they are read; TensorBoard shows them under "samples".

    Args:
        period: iterations between two drawings; 0: only after the last iteration.
        records: Detectron2's records of the images.
        mapper: record -> the model's input.
        charset: of the model.
    """

    def __init__(self, period: int, records: Sequence[dict], mapper: Callable[[dict], dict], charset: Charset):
        self.period = period
        self.records = records
        self.mapper = mapper
        self.charset = charset

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "DrawSamples | None":
        """The first TEST.SAMPLES images of the first test set, every VIS_PERIOD or else EVAL_PERIOD iterations."""
        if not cfg.DATASETS.TEST or cfg.TEST.SAMPLES <= 0:
            return None
        register_custom(cfg)
        require_dataset(cfg.DATASETS.TEST[0])
        records = DatasetCatalog.get(cfg.DATASETS.TEST[0])[: cfg.TEST.SAMPLES]
        mapper = TextDatasetMapper(cfg, is_train=False)
        return cls(cfg.VIS_PERIOD or cfg.TEST.EVAL_PERIOD, records, mapper, Charset.load(cfg.MODEL.TEXT.CHARSET))

    def after_step(self) -> None:
        following = self.trainer.iter + 1
        if self.period > 0 and following % self.period == 0 and following != self.trainer.max_iter:
            self._draw()

    def after_train(self) -> None:
        if self.trainer.iter >= self.trainer.max_iter:  # not after a failure
            self._draw()

    def _draw(self) -> None:
        # The other processes do not take part: the wrapper for several processes must not wait for them.
        model = unwrapped(self.trainer.model)
        with inference_context(model), torch.no_grad():
            for record in self.records:
                instances = model([self.mapper(record)])[0]["instances"].to("cpu")
                image = read_image(record["file_name"], format="RGB")
                drawn = TextVisualizer(image, self.charset).draw_instance_predictions(instances).get_image()
                name = f"samples/{os.path.basename(record['file_name'])}"
                self.trainer.storage.put_image(name, _shrink(torch.tensor(drawn).permute(2, 0, 1)))


def _shrink(image: Tensor) -> Tensor:
    """A (3, H, W) uint8 image with its longest side at most _SAMPLE_SIZE."""
    scale = _SAMPLE_SIZE / max(image.shape[1:])
    if scale >= 1:
        return image
    small = nn.functional.interpolate(image[None].float(), scale_factor=scale, mode="area")[0]
    return small.round().to(torch.uint8)
