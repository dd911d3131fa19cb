"""Text Perceptron at a tiny size."""

import torch
import toy
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

from dld_spotter.data.charset import Charset
from dld_spotter.modeling import TextPerceptron
from dld_spotter.modeling.text_perceptron.order_aware_head import SegmentationMaps

CHARSET = Charset.load("alphanumeric36")
DETECTION = {
    *(f"loss_seg_{name}" for name in ("center", "head", "tail", "boundary")),
    *(f"loss_reg_{name}" for name in ("head", "tail", "offset")),
}


def tiny(*opts, config=("TextPerceptron_R50.yaml", "Light.yaml")):
    return toy.tiny_cfg("MODEL.TEXT_PERCEPTRON.CONV_DIM", 16, *opts, config=config)


def build(*opts) -> TextPerceptron:
    return build_model(tiny(*opts))


def losses_of(model, batch):
    with EventStorage():
        return model.train()(batch)


def frozen_statistics(model):
    """The model in training mode, but that it normalises as at inference."""
    for module in model.train().modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval().train = lambda mode=True: None
    return model


def knowing(model, batch) -> TextPerceptron:
    """The model with a head that says what the targets of the batch are, in evaluation mode."""
    model.eval()

    def say(feature):
        stride, targets = model.stride, [record["instances"] for record in batch]
        maps = model.target_maker(targets, feature.shape[-2:], stride)
        scores = torch.stack([(maps.areas == area).float() * 20 - 10 for area in range(1, 5)], dim=1)
        return SegmentationMaps(scores, maps.geometry.repeat(1, 3, 1, 1))

    model.head.forward = say
    return model
