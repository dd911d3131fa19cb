"""Weights of torchvision's ImageNet ResNets for the ResNets of Detectron2."""

import logging
import re
from typing import Any

from detectron2.modeling.backbone.resnet import BottleneckBlock
from torch import Tensor, nn

logger = logging.getLogger(__name__)


def torchvision_to_detectron2(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a torchvision ResNet under the names of Detectron2's ResNet; the classifier is left out."""
    renamed = {}
    for key, value in weights.items():
        if key.startswith("fc.") or key.endswith("num_batches_tracked"):
            continue
        name = re.sub(r"^layer(\d)", lambda match: f"res{int(match.group(1)) + 1}", key)
        if name == key:
            name = f"stem.{key}"
        name = re.sub(r"\bbn(\d)\b", r"conv\1.norm", name)
        name = name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
        renamed[name] = value
    return renamed


def is_torchvision_resnet(weights: dict[str, Any]) -> bool:
    """Whether the names are those of a torchvision ResNet."""
    return {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight"} <= weights.keys()


def remind_of_torchvision_input(model: nn.Module) -> None:
    """Say what of a config does not suit torchvision's weights."""
    if getattr(model, "input_format", None) == "BGR":
        logger.warning(
            "torchvision's weights expect RGB: set INPUT.FORMAT RGB, MODEL.PIXEL_MEAN [123.675,116.28,103.53] and "
            "MODEL.PIXEL_STD [58.395,57.12,57.375]."
        )
    if any(isinstance(m, BottleneckBlock) and m.conv1.stride[0] > 1 for m in model.modules()):
        logger.warning("torchvision's ResNets have their stride in the 3x3: set MODEL.RESNETS.STRIDE_IN_1X1 False.")
