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

from dld_spotter.modeling.dld.rescaling import rescale_images
from dld_spotter.modeling.dld.selector.selector_network import (
    RESOLUTION_SELECTOR_REGISTRY,
    ScaleClassifier,
    crop_to_image,
)

# Strength of the ridge regression on standardised features; with 444 photos, 100 to 3,000 cross-validate alike.
RIDGE = 1000.0


@RESOLUTION_SELECTOR_REGISTRY.register()
class BackboneSelector(ScaleClassifier):
    """Reduce the image, run a backbone that stays as it is, and take a linear function of its channels' statistics.

    Few photos are enough to fit it, by ridge regression (see ``fit``); it is not trained by gradient.

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
        self.norm = nn.BatchNorm1d(3 * channels, affine=False).eval()
        self.classify = nn.Linear(3 * channels, num_scales)

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
        return self.classify(self.norm(self.statistics(images).float()))

    @torch.no_grad()
    def statistics(self, images: ImageList) -> Tensor:
        """(B, 3 C): mean, standard deviation and maximum of each channel of the backbone's maps, over the image."""
        small = rescale_images(images, self.scale)
        maps, padded, rows = self.backbone(small.tensor).values(), small.tensor.shape[-2:], []
        for index, size in enumerate(small.image_sizes):
            parts = []
            for feature in maps:
                shown = crop_to_image(feature[index], size, padded).flatten(1)
                parts += [shown.mean(dim=1), shown.std(dim=1, correction=0), shown.amax(dim=1)]
            rows.append(torch.cat(parts))
        return torch.stack(rows)

    @torch.no_grad()
    def fit(self, statistics: Tensor, logits: Tensor) -> None:
        """Fit the linear function by ridge regression; its constant is not penalised.

        With standardised features A (M, D) and centred targets Y, the weights are A^T (A A^T + lambda I)^-1 Y.

        Args:
            statistics: (M, 3 C) of the photos.
            logits: (M, k) what the selector shall say of them.
        """
        statistics, logits = statistics.double(), logits.double()
        kept = dict(self.norm.named_buffers())
        kept["running_mean"].copy_(statistics.mean(dim=0))
        kept["running_var"].copy_(statistics.var(dim=0, correction=0))
        deviation = (kept["running_var"].double() + self.norm.eps).sqrt()
        features = (statistics - kept["running_mean"].double()) / deviation
        mean = logits.mean(dim=0)
        kernel = features @ features.T + RIDGE * torch.eye(len(features), dtype=features.dtype, device=features.device)
        self.classify.weight.copy_((features.T @ torch.linalg.solve(kernel, logits - mean)).T)
        self.classify.bias.copy_(mean)

    def train(self, mode: bool = True) -> "BackboneSelector":
        """As usual, but nothing here behaves otherwise in training."""
        super().train(mode)
        self.backbone.eval()
        self.norm.eval()
        return self
