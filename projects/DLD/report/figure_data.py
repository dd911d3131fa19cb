"""What the figures are made of: rows of a plan on one data set, read once and kept, also at every scale."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from comparison import find_lexicons, read_row, row_config
from comparison_figures import Measured, measured
from comparison_plan import DataSet, Plan, Row
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.evaluation import inference_context

from dld_spotter.analysis.flops import CostModel
from dld_spotter.analysis.readings import ReadingCache, annotated_records, load_model
from dld_spotter.data.text_json import register_custom, require_dataset
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.evaluation.text_evaluator import registered_truth
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.modeling.dld.selector.regression import shift_gamma
from dld_spotter.modeling.spotter_parts import Workload

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScaleSweep:
    """One row at each of its candidate scales, and what its selector says of each image.

    Shapes: k scales, I images.

    Attributes:
        scales: ascending.
        at_scale: the row at each of them; costs are without the selector's.
        logits: (I, k) of the selector; None without one.
        selector_cost: (I,) multiply-adds of the selector; zeros without one.
        costs: (k,) T_i of the config.
        gamma: that the selector was fitted for.
        shift: MODEL.DLD.GAMMA_SHIFT, by which the row itself departs from it.
        limit: MODEL.DLD.SCALE_LIMIT; 0 for none.
    """

    scales: tuple[float, ...]
    at_scale: list[Measured]
    logits: np.ndarray | None
    selector_cost: np.ndarray
    costs: np.ndarray
    gamma: float
    shift: float
    limit: float

    def choose(self, gamma: float | None = None) -> np.ndarray:
        """(I,) index of the scale that the selector takes for each image at a gamma; None: as the row is."""
        if self.logits is None:
            raise ValueError("a row without a selector chooses no scale; name one with a selector.")
        shift = self.shift if gamma is None else gamma - self.gamma
        logits = shift_gamma(torch.from_numpy(self.logits), shift, torch.from_numpy(self.costs)).numpy()
        allowed = np.array([not 0 < self.limit < scale for scale in self.scales])
        return np.where(allowed, logits, -np.inf).argmax(axis=1)

    def parts(self, figure: str, choice: np.ndarray) -> np.ndarray:
        """(I, 2) parts of a figure where each image is read at the scale of its index; costs with the selector's."""
        every = np.stack([at_scale.parts[figure] for at_scale in self.at_scale])
        chosen = every[choice, np.arange(len(choice))]
        if figure == "gflops":
            chosen = chosen + np.stack([self.selector_cost, np.zeros_like(self.selector_cost)], axis=1)
        return chosen


class FigureData:
    """The rows of a plan on one of its data sets.

    Args:
        plan: of the comparison.
        data_set: one of its data sets.
        cache: of readings, the same as that of ``compare_methods.py``.
        limit: only so many of the first images; None for all.
    """

    def __init__(self, plan: Plan, data_set: DataSet, cache: ReadingCache, limit: int | None = None):
        self.plan, self.data_set, self.cache, self.limit = plan, data_set, cache, limit
        for row in plan.rows:
            register_custom(row_config(row, data_set))
        require_dataset(data_set.name)
        self.truth = registered_truth(data_set.name)
        first = row_config(plan.rows[0], data_set)
        self.protocol = Protocol.from_cfg(first)
        self.lexicons = find_lexicons(data_set, self.truth, dict(first.TEST.TEXT.LEXICON_PATHS))

    def row(self, title: str) -> Row:
        """The first row of a title.

        Raises:
            ValueError: there is none.
        """
        found = next((row for row in self.plan.rows if row.title == title), None)
        if found is None:
            titles = ", ".join(f"'{row.title}'" for row in self.plan.rows)
            raise ValueError(f"{self.plan.source} has no row '{title}'; it has {titles}.")
        return found

    def cfg(self, row: Row) -> CfgNode:
        """A row's config on this data set.

        Raises:
            FileNotFoundError: its weights are not there yet.
            ValueError: it is scored by other rules than the plan's first row.
        """
        cfg = row_config(row, self.data_set)
        if not Path(cfg.MODEL.WEIGHTS).is_file():
            raise FileNotFoundError(f"{self.plan.source}: '{row.title}' has no weights yet ({cfg.MODEL.WEIGHTS}).")
        if Protocol.from_cfg(cfg) != self.protocol:
            raise ValueError(
                f"{self.plan.source}: '{row.title}' is scored with {Protocol.from_cfg(cfg)}, the first row with "
                f"{self.protocol}; give both the same TEST.TEXT with 'opts'."
            )
        return cfg

    def measured(self, row: Row) -> Measured:
        """What a row reads, and its figures; images in the order of the ground truth."""
        readings = read_row(self.cfg(row), row, self.data_set, self.cache, self.limit, infer=True)
        if readings is None:
            raise AssertionError("what may be measured is there")
        return measured(readings, self.truth, self.protocol, self.lexicons)

    def files(self, images: Sequence[int | str]) -> list[str]:
        """The image files of these ids."""
        names = {str(record["image_id"]): record["file_name"] for record in DatasetCatalog.get(self.data_set.name)}
        return [names[str(image)] for image in images]

    def sweep(self, row: Row, scales: Sequence[float] = ()) -> ScaleSweep:
        """A row at each scale: its own candidates, or the given ones for a row without a selector."""
        cfg = self.cfg(row)
        chooses = _has_selector(cfg)
        scales = tuple(sorted(cfg.MODEL.DLD.SCALES if chooses else scales or cfg.MODEL.DLD.SCALES))
        at_scale = [self.measured(_at_scale(row, cfg, scale)) for scale in scales]
        dld = cfg.MODEL.DLD
        costs = np.array(dld.COSTS if len(dld.COSTS) == len(scales) else np.square(scales), dtype=np.float32)
        nothing = np.zeros(len(at_scale[0].images), dtype=np.int64)
        if not chooses:
            return ScaleSweep(scales, at_scale, None, nothing, costs, 0.0, 0.0, 0.0)
        if list(dld.SCALES) != list(scales):
            raise ValueError(f"{self.plan.source}: '{row.title}': MODEL.DLD.SCALES must ascend.")
        said = self._selector(cfg, row)
        own = [said[str(reading.image_id)] for reading in at_scale[0].readings]
        logits = np.array([entry["logits"] for entry in own], dtype=np.float32)
        spent = np.array([entry["multiply_adds"] for entry in own], dtype=np.int64)
        return ScaleSweep(scales, at_scale, logits, spent, costs, dld.GAMMA, dld.GAMMA_SHIFT, dld.SCALE_LIMIT)

    def _selector(self, cfg: CfgNode, row: Row) -> dict[str, dict]:
        """By image what the selector says and costs; measured once."""
        path = self.cache.path(cfg, self.data_set.name, self.limit, f"selector of {row.title}")
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
        model = load_model(cfg)
        costs = CostModel(model, Workload())
        said = {}
        with inference_context(model), torch.no_grad():
            for record in annotated_records(cfg, self.data_set.name, self.limit):
                images = model.student.preprocess_image([record])
                size = tuple(record["image"].shape[-2:])
                logits = model.selector(images)[0].tolist()
                said[str(record["image_id"])] = {"logits": logits, "multiply_adds": costs.selector(size)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(said), encoding="utf-8")
        return said


def is_dld(cfg: CfgNode) -> bool:
    """Whether a config is of a student with its scales, and not of a plain spotter."""
    return str(cfg.MODEL.META_ARCHITECTURE) == DLDSpotter.__name__


def _has_selector(cfg: CfgNode) -> bool:
    dld = cfg.MODEL.DLD
    chooses = is_dld(cfg) and len(dld.SCALES) > 1
    return chooses and dld.SELECTION != "random"


def _at_scale(row: Row, cfg: CfgNode, scale: float) -> Row:
    """The row's student (or the plain spotter) at one scale for all, without a selector."""
    opts = ["MODEL.DLD.SCALES", [scale], "MODEL.DLD.COSTS", [scale**2], "MODEL.DLD.TEACHER", False]
    opts += ["MODEL.DLD.GAMMA_SHIFT", 0.0, "MODEL.DLD.SCALE_LIMIT", 0.0, "MODEL.DLD.FIXED_SCALE", 0.0]
    if not is_dld(cfg):
        opts += ["MODEL.DLD.SPOTTER", cfg.MODEL.META_ARCHITECTURE, "MODEL.META_ARCHITECTURE", DLDSpotter.__name__]
    return replace(row, title=f"{row.title} at {scale:g}", opts=[*row.opts, *opts])
