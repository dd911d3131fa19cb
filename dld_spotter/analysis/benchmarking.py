"""The inputs that the benchmarks share, and their report."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances, PolygonMasks
from detectron2.utils.events import EventStorage

from dld_spotter.data.charset import Charset
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.structures import WordPolygons


def report(title: str, seconds: dict[str, np.ndarray], base: str, limits: dict[str, float]) -> str:
    """Each job's median and quartiles, and the median of its ratio to the base, round by round, as lines of text.

    ``limits`` has the largest ratio that was promised, by job.
    """
    lines = [title]
    for name, values in seconds.items():
        low, median, high = np.percentile(values, [25, 50, 75])
        lower, ratio, upper = np.percentile(values / seconds[base], [25, 50, 75])
        line = f"  {name:<34} {median:8.3f} s [{low:.3f}, {high:.3f}]   x{ratio:.2f} [{lower:.2f}, {upper:.2f}]"
        if name in limits:
            line += f"   limit x{limits[name]}: {'met' if ratio <= limits[name] else 'MISSED'}"
        lines.append(line)
    return "\n".join(["", *lines])


def drawn_words(count: int, size: tuple[int, int], charset: Charset, seed: int = 0) -> Instances:
    """Targets of ``count`` words of 4 to 10 characters, 60 to 160 pixels long, on an image of this size."""
    rng = np.random.default_rng(seed)
    width, height = rng.uniform(60, 160, count), rng.uniform(16, 44, count)
    x, y = rng.uniform(0, size[1] - width), rng.uniform(0, size[0] - height)
    outlines = np.stack([x, y, x + width, y, x + width, y + height, x, y + height], axis=1)
    words = Instances(size)
    words.gt_masks = WordPolygons.from_list(list(outlines))
    words.gt_boxes = words.gt_masks.get_bounding_boxes()
    words.gt_classes = torch.zeros(count, dtype=torch.long)
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789")
    words.gt_text = charset.encode_rows(["".join(rng.choice(letters, rng.integers(4, 11))) for _ in range(count)])
    words.gt_ignore = torch.zeros(count, dtype=torch.bool)
    return words


def training_step(model: torch.nn.Module, batch: list[dict]) -> Callable[[], None]:
    """Forward, backward and optimiser step of a model on one batch."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    model.train()

    def step() -> None:
        with EventStorage():
            loss = sum(model(batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def plain_mask_rcnn(cfg: CfgNode) -> CfgNode:
    """The same backbone and heads as Detectron2 ships them, without the reading branch."""
    plain = cfg.clone()
    plain.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
    plain.MODEL.PROPOSAL_GENERATOR.NAME = "RPN"
    plain.MODEL.ROI_HEADS.NAME = "StandardROIHeads"
    return plain


def forced(model: DLDSpotter, index: int) -> DLDSpotter:
    """The model with every image's choice forced to one candidate, so that runs compare."""
    if model.selector is not None:
        classify: Any = model.selector.classify
        classify.weight.data.zero_()
        classify.bias.data = torch.full_like(classify.bias, -1e4)
        classify.bias.data[index] = 1e4
    return model


def training_record(cfg: CfgNode, size: tuple[int, int]) -> dict:
    """A mapped record of noise with ten words."""
    words = drawn_words(10, size, Charset.load(cfg.MODEL.TEXT.CHARSET))
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    return {"image": image, "height": size[0], "width": size[1], "instances": words}


def plain_record(record: dict) -> dict:
    """The same for Detectron2's own model: polygons that it rasterises itself."""
    words = record["instances"]
    plain = Instances(words.image_size, gt_boxes=words.gt_boxes, gt_classes=words.gt_classes)
    plain.gt_masks = PolygonMasks([[p.flatten().numpy()] for p in words.gt_masks.tensor])
    return record | {"instances": plain}
