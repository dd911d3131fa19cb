"""A short stage of training of its own: the fusion of pyramids (see ``PyramidFusion``) around a frozen spotter."""

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from dld_spotter.modeling.dld.losses.pyramid_fusion import PyramidFusion
from dld_spotter.modeling.dld.rescaling import rescale_images, rescale_words
from dld_spotter.modeling.spotter import Spotter, readable_words, target_tokens
from dld_spotter.modeling.spotter_parts import PyramidSpotter, require


@META_ARCH_REGISTRY.register()
class PyramidFusionTrainer(nn.Module):
    """Trains the fusion alone: the heads of a frozen spotter detect and recognise words in the fused maps.

    Level j of the fused pyramid stands in the place of level j - 1 of the images at half resolution, as it does when a
    student at this resolution learns from it. A checkpoint of this model is what a DLDSpotter with
    ``MODEL.DLD.PYRAMID_FUSION`` "learned" starts from (``MODEL.WEIGHTS``).

    Args:
        spotter: the teacher-to-be.
        fusion: what is trained.
    """

    @configurable
    def __init__(self, *, spotter: Spotter, fusion: PyramidFusion):
        super().__init__()
        self.spotter = spotter.requires_grad_(False)
        self.fusion = fusion

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        spotter = META_ARCH_REGISTRY.get(cfg.MODEL.DLD.SPOTTER)(cfg)
        return {"spotter": spotter, "fusion": PyramidFusion(cfg.MODEL.FPN.OUT_CHANNELS)}

    @property
    def device(self) -> torch.device:
        return next(self.fusion.parameters()).device

    def train(self, mode: bool = True) -> "PyramidFusionTrainer":
        """As usual, but normalisation keeps its statistics; the rest of the spotter has to train to have losses."""
        super().train(mode)
        for module in self.spotter.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """Detectron2's contract: the spotter's losses on the fused maps, or its predictions without them."""
        if not self.training:
            return self.spotter(batched_inputs)
        targets = [record["instances"].to(self.device) for record in batched_inputs]
        images = self.spotter.preprocess_image(batched_inputs)
        half = rescale_images(images, 0.5)
        targets = rescale_words(targets, images, half, 0.5)
        source = require(self.spotter, PyramidSpotter, "there is nothing to fuse")  # type: ignore[type-abstract]
        with torch.no_grad():
            high, low = (source.pyramid(view).levels for view in (images, half))
        fused = self.fusion(high, low, images.image_sizes)
        shifted = {level - 1: maps for level, maps in fused.items()}
        # The level above the last one is made of it as Detectron2's LastLevelMaxPool does.
        shifted[max(shifted) + 1] = F.max_pool2d(shifted[max(shifted)], 1, stride=2)
        losses, roi = self.spotter.detection_losses(half, targets, source.features_of(shifted))
        output = self.spotter.recognize(roi, target_tokens(readable_words(targets)))
        return losses | self.spotter.recognition_losses(output)

    def adapt_weights(self, weights: dict) -> dict:
        """Weights of a checkpoint as this model takes them; those of a plain spotter are the spotter's."""
        if any(name.startswith("spotter.") for name in weights):
            return weights
        return {f"spotter.{name}": value for name, value in self.spotter.adapt_weights(weights).items()}
