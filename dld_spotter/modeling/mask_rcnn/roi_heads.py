"""Mask R-CNN's heads with a recognition branch."""

from collections.abc import Mapping

from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_HEADS_REGISTRY, StandardROIHeads
from detectron2.structures import Boxes, ImageList, Instances
from torch import Tensor

from dld_spotter.modeling.backbones.fpn_features import FeatureMap
from dld_spotter.modeling.mask_rcnn.dont_care_regions import inside_ignored, split_ignored
from dld_spotter.modeling.recognition.feature_source import FeatureSource
from dld_spotter.modeling.recognition.roi_feature_recogniser import (
    AttentionTextHead,
    build_text_head,
    text_head_input,
)
from dld_spotter.modeling.recognition.word_jitter import WordJitter
from dld_spotter.modeling.score_threshold import WordScoring
from dld_spotter.modeling.spotter import readable_words


@ROI_HEADS_REGISTRY.register()
class TextROIHeads(StandardROIHeads):
    """StandardROIHeads that also recognise: words in their ground-truth boxes in training, detected ones in inference.

    Args:
        text_in_feature: name of the feature map that words are pooled from; of no meaning where the text head pools
            from the image.
        text_head: the recogniser.
        jitter: moves the places in which words are recognised in training; None for the true ones.
        scoring: detections that it cannot keep are not recognised; None recognises all.
    """

    @configurable
    def __init__(
        self,
        *,
        text_in_feature: str,
        text_head: AttentionTextHead,
        jitter: WordJitter | None = None,
        scoring: WordScoring | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.jitter = jitter or WordJitter()
        self.text_in_feature = text_in_feature
        self.text_head = text_head
        self.scoring = scoring or WordScoring()

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        return super().from_config(cfg, input_shape) | {
            "text_in_feature": cfg.MODEL.ROI_TEXT_HEAD.IN_FEATURE,
            "text_head": build_text_head(cfg, text_head_input(cfg, input_shape)),
            "jitter": WordJitter.from_config(cfg),
            "scoring": WordScoring.from_config(cfg),
        }

    def source(self, images: ImageList, features: Mapping[str, Tensor]) -> FeatureSource:
        """What the text head pools from, of a batch whose feature maps are there."""
        return FeatureSource(images, lambda: FeatureMap(features[self.text_in_feature]))

    def forward(
        self,
        images: ImageList,
        features: Mapping[str, Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """As the parent, whose losses are those of detection; predictions have ``pred_text`` and its scores, too."""
        found, losses = super().forward(images, features, proposals, targets)
        if not self.training:
            self.text_head.inference(self.source(images, features), found)
        return found, losses

    def detection_losses(
        self, images: ImageList, features: Mapping[str, Tensor], proposals: list[Instances], targets: list[Instances]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of all branches but recognition, and the features of the readable words."""
        _, losses = self(images, features, proposals, targets)
        words = self.jitter(readable_words(targets))
        return losses, self.text_head.pool_words(self.source(images, features), words)

    def box_outputs(self, features: Mapping[str, Tensor], boxes: list[Boxes]) -> tuple[Tensor, Tensor]:
        """(N, K + 1) logits of the classes, background last, and (N, 4 K) deltas, of the boxes of all images."""
        maps = [features[name] for name in self.box_in_features]
        return self.box_predictor(self.box_head(self.box_pooler(maps, boxes)))

    def mask_logits(self, features: Mapping[str, Tensor], boxes: list[Boxes]) -> Tensor:
        """(N, K, M, M) logits of the masks in the boxes of all images."""
        maps = [features[name] for name in self.mask_in_features]
        return self.mask_head.layers(self.mask_pooler(maps, boxes))

    def label_and_sample_proposals(self, proposals: list[Instances], targets: list[Instances]) -> list[Instances]:
        """As the parent, for the words that count; then background proposals over don't-care regions are left out."""
        words, ignored = split_ignored(targets)
        sampled = super().label_and_sample_proposals(proposals, words)
        return [self._leave_out_ignored(proposed, regions) for proposed, regions in zip(sampled, ignored, strict=True)]

    def _leave_out_ignored(self, proposals: Instances, regions: Boxes) -> Instances:
        if len(regions) == 0:
            return proposals
        over = inside_ignored(proposals.proposal_boxes, regions)
        return proposals[~(over & (proposals.gt_classes == self.num_classes))]

    def _forward_box(
        self, features: dict[str, Tensor], proposals: list[Instances]
    ) -> dict[str, Tensor] | list[Instances]:
        """As the parent; in inference without detections whose word cannot score high enough, whatever it says."""
        found = super()._forward_box(features, proposals)
        return found if self.training else [self.scoring.worth_recognising(instances) for instances in found]
