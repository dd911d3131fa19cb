"""A resolution selector that sees the image as the detector's backbone does, much reduced.

A selector from nothing learns from a thousand photos which of them look like those; the backbone of a detector already
tells text from background, and its deeper features how large it is.

Shapes: B images, k candidate scales.
"""

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import build_backbone
from detectron2.modeling.backbone import Backbone
from detectron2.structures import ImageList
from torch import Tensor, nn
from torch.nn import functional as F

from dld_spotter.modeling.dld.rescaling import rescale_images
from dld_spotter.modeling.dld.selector.selector_network import (
    RESOLUTION_SELECTOR_REGISTRY,
    ScaleClassifier,
    masked_mean,
)

HIDDEN_SIZE = 64
DROPOUT = 0.3


@RESOLUTION_SELECTOR_REGISTRY.register()
class BackboneSelector(ScaleClassifier):
    """Reduce the image, run a backbone that stays as it is, and classify the mean of each of its channels.

    Args:
        num_scales: k.
        backbone: a copy of the detector's, without the FPN; ``start_from`` fills it.
        scale: factor on height and width of the image.
    """

    @configurable
    def __init__(self, *, num_scales: int, backbone: Backbone, scale: float):
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.scale = scale
        channels = sum(shape.channels for shape in backbone.output_shape().values())
        self.norm = nn.BatchNorm1d(channels, affine=False)
        self.hidden = nn.Linear(channels, HIDDEN_SIZE)
        self.classify = nn.Linear(HIDDEN_SIZE, num_scales)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        return {
            "num_scales": len(cfg.MODEL.DLD.SCALES),
            "backbone": build_backbone(cfg).bottom_up,
            "scale": cfg.MODEL.RESOLUTION_SELECTOR.SCALE,
        }

    def start_from(self, student: nn.Module) -> None:
        """Take the weights of the student's backbone."""
        self.backbone.load_state_dict(student.get_submodule("backbone.bottom_up").state_dict())

    def forward(self, images: ImageList) -> Tensor:
        """(B, k) logits."""
        return self.classify_means(self.channel_means(images))

    @torch.no_grad()
    def channel_means(self, images: ImageList) -> Tensor:
        """(B, C): the mean of each channel of the backbone's maps; nothing here learns."""
        small = rescale_images(images, self.scale)
        features = self.backbone(small.tensor)
        padded = small.tensor.shape[-2:]
        return torch.cat([masked_mean(feature, small.image_sizes, padded) for feature in features.values()], dim=1)

    def classify_means(self, means: Tensor) -> Tensor:
        """(B, C) to (B, k) logits."""
        pooled = F.dropout(self.norm(means.float()), DROPOUT, self.training)
        return self.classify(F.relu(self.hidden(pooled)))

    def train(self, mode: bool = True) -> "BackboneSelector":
        """As usual, but the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self
