#!/usr/bin/env python
"""A text spotter of your own, trained under DLD: each cell of a feature map says whether it lies in a word, and where.

    python examples/add_a_spotter.py DATASETS.CUSTOM "[('mine', 'photos', 'mine.json')]" DATASETS.TRAIN "('mine',)"

Shapes: B images, H rows and W columns of the feature map, N words of an image, R words over the whole batch.
"""

import sys

import torch
from detectron2.config import configurable
from detectron2.engine import default_setup
from detectron2.layers import nms
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import Boxes, Instances
from torch import nn
from torch.nn import functional as F

from dld_spotter import load_cfg
from dld_spotter.data.text_json import register_custom
from dld_spotter.engine import Trainer
from dld_spotter.modeling.recognition.roi_feature_recogniser import build_text_head
from dld_spotter.modeling.recognition.text_head_spotter import TextHeadSpotter
from dld_spotter.modeling.segmentation_spotter import SegmentationSpotter
from dld_spotter.modeling.spotter import readable_words


@META_ARCH_REGISTRY.register()
class DenseBoxSpotter(SegmentationSpotter, TextHeadSpotter):
    """A score and four distances to the word's sides at each cell; the project's recogniser for the text."""

    @configurable
    def __init__(self, *, channels, stride, text_head, min_score, max_words, **kwargs):
        super().__init__(**kwargs)
        self.stride, self.text_head, self.min_score, self.max_words = stride, text_head, min_score, max_words
        self.head = nn.Conv2d(channels, 5, 3, padding=1)

    @classmethod
    def from_config(cls, cfg):
        options = cls.map_options(cfg, cfg.MODEL.ROI_TEXT_HEAD.IN_FEATURE)
        shape = options["backbone"].output_shape()[options["in_feature"]]
        limits = {"min_score": cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST, "max_words": cfg.TEST.DETECTIONS_PER_IMAGE}
        return options | limits | {
            "channels": shape.channels, "stride": shape.stride, "text_head": build_text_head(cfg, shape)
        }  # fmt: skip

    def predict(self, feature):
        """Logits (B, H, W), distances in pixels (B, H, W, 4), and the pixels of the cells' middles (H, W, 2)."""
        logits, sides = self.head(feature).permute(0, 2, 3, 1).split([1, 4], dim=-1)
        rows, columns = (torch.arange(n, device=feature.device) for n in feature.shape[-2:])
        middles = (torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1) + 0.5) * self.stride
        return logits[..., 0], F.softplus(sides) * 2 * self.stride, middles

    def detection_losses(self, images, targets, features=None):
        feature = self.feature_map(images) if features is None else features[self.in_feature]
        logits, sides, middles = self.predict(feature)
        losses = {"loss_score": logits.sum() * 0, "loss_sides": sides.sum() * 0}
        for logit, side, words in zip(logits, sides, targets, strict=True):
            low, high = words.gt_boxes.tensor.split(2, dim=1)
            true = torch.cat([middles[:, :, None] - low, high - middles[:, :, None]], dim=-1)  # (H, W, N, 4)
            inside = true.amin(dim=-1) > 0  # (H, W, N)
            cared = ~inside[..., words.gt_ignore.bool()].any(dim=-1)  # cells of don't-care words do not count
            score_loss = F.binary_cross_entropy_with_logits(logit, inside.any(dim=-1).float(), reduction="none")
            losses["loss_score"] += score_loss[cared].sum() / cared.sum().clamp(min=1) / len(targets)
            error = (side[:, :, None] - true).abs().mean(dim=-1)[inside]  # in pixels
            losses["loss_sides"] += error.sum() / (self.stride * max(1, len(error)) * len(targets))
        return losses, self.pool(images, readable_words(targets), {self.in_feature: feature})

    @torch.no_grad()
    def spot(self, images):
        feature, found = self.feature_map(images), []
        logits, sides, middles = self.predict(feature)
        for logit, side, size in zip(logits, sides, images.image_sizes, strict=True):
            boxes = Boxes(torch.cat([middles - side[..., :2], middles + side[..., 2:]], dim=-1).flatten(0, 1))
            boxes.clip(size)
            scores = logit.sigmoid().flatten()
            likely = (scores >= self.min_score).nonzero()[:, 0]
            kept = likely[nms(boxes.tensor[likely], scores[likely], 0.3)[: self.max_words]]
            words = Instances(size, pred_boxes=boxes[kept], scores=scores[kept], pred_classes=torch.zeros_like(kept))
            words.pred_masks = feature.new_ones(len(kept), 1, 28, 28)  # the whole box
            found.append(words)
        self.text_head.inference(self.feature_source(images, {self.in_feature: feature}), found)
        return found

    def pool(self, images, words, features=None):
        return self.text_head.pool_words(self.feature_source(images, features), words)

    def recogniser(self):
        return self.text_head


def main(opts):
    """Train it as teacher and student of DLD, with the options of the command line."""
    cfg = load_cfg(("DLD/DLD_R50.yaml", "DLD/Light.yaml"), ["MODEL.DLD.SPOTTER", "DenseBoxSpotter", *opts])
    register_custom(cfg)
    default_setup(cfg, None)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    return trainer.train()


if __name__ == "__main__":
    main(sys.argv[1:])
