"""Mask R-CNN's heads with a reading branch, and don't-care regions that count neither for nor against a candidate."""

from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_HEADS_REGISTRY, StandardROIHeads
from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY, RPN
from detectron2.structures import Boxes, ImageList, Instances, pairwise_ioa
from torch import Tensor, nn

from dld_spotter.modeling.recognition.crop_recogniser import IMAGE
from dld_spotter.modeling.recognition.roi_feature_recogniser import build_text_head
from dld_spotter.modeling.recognition.word_jitter import WordJitter
from dld_spotter.modeling.spotter import readable_words, target_tokens

# Candidates covered by a don't-care region by more than this share of their own area are no negatives.
IGNORE_THRESHOLD = 0.5


def split_ignored(targets: list[Instances]) -> tuple[list[Instances], list[Boxes]]:
    """The words that count, and the boxes of the don't-care regions, of each image."""
    if not targets or not targets[0].has("gt_ignore"):
        return targets, [t.gt_boxes[:0] for t in targets]
    # As indices, which a device is asked for once; a mask would be turned into them for each field.
    words = [t[(~t.gt_ignore).nonzero().flatten()] for t in targets]
    return words, [t.gt_boxes[t.gt_ignore] for t in targets]


def inside_ignored(boxes: Boxes, ignored: Boxes, threshold: float) -> Tensor:
    """(N,) bool: which boxes have more than this share of their area in one don't-care box."""
    if len(ignored) == 0:
        return boxes.tensor.new_zeros(len(boxes), dtype=bool)
    return pairwise_ioa(ignored, boxes).amax(dim=0) > threshold


@PROPOSAL_GENERATOR_REGISTRY.register()
class TextRPN(RPN):
    """Detectron2's RPN; anchors over don't-care regions are no negatives."""

    def label_and_sample_anchors(self, anchors: list[Boxes], gt_instances: list[Instances]):
        """As the parent, for the words that count; afterwards negatives over don't-care regions are left out."""
        words, ignored = split_ignored(gt_instances)
        labels, matched = super().label_and_sample_anchors(anchors, words)
        all_anchors = Boxes.cat(anchors)
        for label, regions in zip(labels, ignored, strict=True):
            if len(regions):
                label[(label == 0) & inside_ignored(all_anchors, regions, IGNORE_THRESHOLD)] = -1
        return labels, matched


@ROI_HEADS_REGISTRY.register()
class TextROIHeads(StandardROIHeads):
    """StandardROIHeads that also read: words at their true places in training, at the detected ones in inference.

    Args:
        text_in_feature: name of the feature map that is read from.
        text_head: what reads.
        jitter: moves the places in which words are read in training; None for the true ones.
    """

    @configurable
    def __init__(
        self,
        *,
        text_in_feature: str,
        text_head: nn.Module,
        jitter: WordJitter | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.jitter = jitter or WordJitter()
        self.text_in_feature = text_in_feature
        self.text_head = text_head

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        name = cfg.MODEL.ROI_TEXT_HEAD.IN_FEATURE
        image = {IMAGE: ShapeSpec(channels=len(cfg.MODEL.PIXEL_MEAN), stride=1)}
        return super().from_config(cfg, input_shape) | {
            "text_in_feature": name,
            "text_head": build_text_head(cfg, (input_shape | image)[name]),
            "jitter": WordJitter.from_config(cfg),
        }

    def forward(self, images: ImageList, features: dict, proposals: list[Instances], targets=None):
        """As the parent; the losses hold ``loss_text``, the predictions ``pred_text`` and ``pred_text_scores``."""
        features = self.with_image(images, features)
        if self.training:
            words = readable_words(targets)
            roi = self.pool_words(features, self.jitter(words))
            reading = self.text_head.recognize(roi, target_tokens(words))
            proposals, losses = super().forward(images, features, proposals, targets)
            return proposals, losses | self.text_head.losses(reading)
        return super().forward(images, features, proposals)

    def with_image(self, images: ImageList, features: dict) -> dict:
        """The feature maps, and the normalised images among them for a text head that sees pixels."""
        return {**features, IMAGE: images} if self.text_in_feature == IMAGE else features

    def detection_losses(
        self, images: ImageList, features: dict, proposals: list[Instances], targets: list[Instances]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of all branches but the reading one, and the features of the readable words."""
        features = self.with_image(images, features)
        _, losses = super().forward(images, features, proposals, targets)
        return losses, self.pool_words(features, self.jitter(readable_words(targets)))

    def pool_words(self, features: dict, words: list[Instances]) -> Tensor:
        """(R, C, rows, columns) features of words in their true places."""
        return self.text_head.pool_words(features[self.text_in_feature], words)

    def label_and_sample_proposals(self, proposals: list[Instances], targets: list[Instances]) -> list[Instances]:
        """As the parent, for the words that count; then background proposals over don't-care regions are left out."""
        words, ignored = split_ignored(targets)
        sampled = super().label_and_sample_proposals(proposals, words)
        return [self._leave_out_ignored(proposed, regions) for proposed, regions in zip(sampled, ignored, strict=True)]

    def _leave_out_ignored(self, proposals: Instances, regions: Boxes) -> Instances:
        if len(regions) == 0:
            return proposals
        over = inside_ignored(proposals.proposal_boxes, regions, IGNORE_THRESHOLD)
        return proposals[~(over & (proposals.gt_classes == self.num_classes))]

    def forward_with_given_boxes(self, features: dict, instances: list[Instances]) -> list[Instances]:
        """As the parent, which predicts the masks; then the words are read."""
        instances = super().forward_with_given_boxes(features, instances)
        self.text_head.inference(features[self.text_in_feature], instances)
        return instances
