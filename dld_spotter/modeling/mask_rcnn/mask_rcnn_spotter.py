"""The base spotter of the DLD paper: Mask R-CNN with a recognition branch on the stride-4 map."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, GeneralizedRCNN
from detectron2.modeling.backbone import Backbone
from detectron2.structures import ImageList, Instances
from torch import Tensor

from dld_spotter.modeling.acceleration.shape_bucketing import pad_images
from dld_spotter.modeling.acceleration.specialized_convolutions import specialize_convolutions
from dld_spotter.modeling.backbones.fpn_features import single_feature_map
from dld_spotter.modeling.mask_rcnn.dont_care_regions import TextRPN
from dld_spotter.modeling.mask_rcnn.region_distillation import RegionOutputs, region_distances, region_outputs
from dld_spotter.modeling.mask_rcnn.roi_heads import TextROIHeads
from dld_spotter.modeling.recognition.feature_source import FeatureSource
from dld_spotter.modeling.recognition.roi_feature_recogniser import AttentionTextHead
from dld_spotter.modeling.recognition.text_head_spotter import TextHeadSpotter
from dld_spotter.modeling.recognition.word_jitter import pool_jittered
from dld_spotter.modeling.score_threshold import WordScoring
from dld_spotter.modeling.spotter import readable_words, target_tokens
from dld_spotter.modeling.spotter_parts import Pyramid, Workload


@META_ARCH_REGISTRY.register()
class MaskRCNNSpotter(GeneralizedRCNN, TextHeadSpotter):
    """Detectron2's GeneralizedRCNN whose heads recognise words (``TextROIHeads``), behind the ``Spotter`` seam.

    Predictions hold ``pred_text`` (N, T) token ids, ``pred_text_scores`` (N,) and ``pred_word_scores`` (N,) beside
    Detectron2's fields.

    Args:
        reading_only: the training pass trains recognition in given places, and not detection.
        pad_multiple: in training, batches are padded to sides that are multiples of so many pixels; 0: of what the
            backbone needs.
        scoring: which words are returned; None for all.
    """

    cost_parts: ClassVar = {
        "backbone": ("backbone",),
        "FPN": ("backbone.fpn_", "backbone.top_block"),
        "RPN": ("proposal_generator",),
        "box": ("roi_heads.box_",),
        "mask": ("roi_heads.mask_",),
        "recognition": ("roi_heads.text_head",),
    }

    # Attributes of GeneralizedRCNN.
    backbone: Backbone
    proposal_generator: TextRPN
    roi_heads: TextROIHeads

    @configurable
    def __init__(
        self,
        *,
        reading_only: bool = False,
        pad_multiple: int = 0,
        scoring: WordScoring | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.reading_only = reading_only
        self.pad_multiple = pad_multiple
        self.scoring = scoring or WordScoring()
        specialize_convolutions(self.backbone)
        # Faster on CPUs, and on GPUs with mixed precision; the results are the same.
        self.to(memory_format=torch.channels_last)
        if reading_only:
            self._freeze_detection()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        return super().from_config(cfg) | {
            "reading_only": cfg.MODEL.TEXT.READING_ONLY,
            "pad_multiple": cfg.MODEL.PAD_MULTIPLE,
            "scoring": WordScoring.from_config(cfg),
        }

    def recogniser(self) -> AttentionTextHead:
        """See ``TextHeadSpotter``."""
        return self.roi_heads.text_head

    def _freeze_detection(self) -> None:
        """No gradient for what recognition has no use for: detection's heads, the FPN's last layers of other levels."""
        text_head, level = self.roi_heads.text_head, self.roi_heads.text_in_feature.removeprefix("p")
        trained = ("roi_heads.text_head.",) if text_head.pools_from_image else ("roi_heads.text_head.", "backbone.")
        for name, parameter in self.named_parameters():
            other_level = name.startswith("backbone.fpn_output") and not name.startswith(f"backbone.fpn_output{level}.")
            if other_level or not name.startswith(trained):
                parameter.requires_grad_(False)

    def preprocess_image(self, batched_inputs: list[dict]) -> ImageList:
        """As Detectron2's: normalise, pad and batch."""
        images = GeneralizedRCNN.preprocess_image(self, batched_inputs)
        images = pad_images(images, self.pad_multiple if self.training else 0)
        return ImageList(images.tensor.contiguous(memory_format=torch.channels_last), images.image_sizes)

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """Detectron2's contract: losses in training, processed predictions otherwise."""
        if not self.training:
            return self.inference(batched_inputs)
        images = self.preprocess_image(batched_inputs)
        # How many words are recognised is known on the CPU: the device is not asked for it.
        tokens = target_tokens(readable_words([x["instances"] for x in batched_inputs])).to(images.tensor.device)
        targets = [x["instances"].to(self.device) for x in batched_inputs]
        losses, roi = self.detection_losses(images, targets)
        return losses | self.recognition_losses(self.recognize(roi, tokens))

    @torch.no_grad()
    def inference(
        self,
        batched_inputs: list[dict],
        detected_instances: list[Instances] | None = None,
        do_postprocess: bool = True,
    ) -> list[dict] | list[Instances]:
        """As the parent; given instances get masks and texts."""
        images = self.preprocess_image(batched_inputs)
        if detected_instances is None:
            found = self.spot(images)
        else:
            features = self.backbone(images.tensor)
            given = [instances.to(self.device) for instances in detected_instances]
            for instances in given:
                if not instances.has("scores"):
                    instances.scores = instances.pred_boxes.tensor.new_ones(len(instances))
            found = self.roi_heads.forward_with_given_boxes(features, given)
            self.roi_heads.text_head.inference(self.roi_heads.source(images, features), found)
        if not do_postprocess:
            return found
        predictions = zip(found, batched_inputs, images.image_sizes, strict=True)
        return [{"instances": self.scoring.finish(*prediction)} for prediction in predictions]

    def detection_losses(
        self, images: ImageList, targets: list[Instances], features: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """See ``Spotter.detection_losses``; none with ``reading_only``."""
        if self.reading_only:
            return {}, pool_jittered(self, images, targets, self.roi_heads.jitter, features)
        features = self.backbone(images.tensor) if features is None else features
        proposals, proposal_losses = self.proposal_generator(images, features, targets)
        losses, roi = self.roi_heads.detection_losses(images, features, proposals, targets)
        return losses | proposal_losses, roi

    def pyramid(self, images: ImageList) -> Pyramid:
        """See ``PyramidSpotter``."""
        features = self.backbone(images.tensor)
        return Pyramid(features, {int(name.removeprefix("p")): level for name, level in features.items()})

    def features_of(self, levels: Mapping[int, Tensor]) -> Mapping[str, Tensor]:
        """See ``PyramidSpotter``."""
        return {f"p{level}": maps for level, maps in levels.items()}

    def detector_features(
        self, images: ImageList, features: Mapping[str, Tensor] | None = None
    ) -> Mapping[str, Tensor]:
        """See ``DetectionOutputSpotter``."""
        return self.backbone(images.tensor) if features is None else features

    def detector_outputs(self, images: ImageList, features: Mapping[str, Tensor]) -> list[RegionOutputs]:
        """See ``DetectionOutputSpotter``."""
        proposals, _ = self.proposal_generator(images, features, None)
        return region_outputs(self.roi_heads, features, proposals)

    def detection_distances(
        self, images: ImageList, features: Mapping[str, Tensor], taught: Sequence[RegionOutputs]
    ) -> dict[str, Tensor]:
        """See ``DetectionOutputSpotter``."""
        return region_distances(self.roi_heads, images, features, taught)

    def pool(self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None = None) -> Tensor:
        """See ``Spotter.pool``."""
        name = self.roi_heads.text_in_feature
        if features is None:
            source = FeatureSource(images, lambda: single_feature_map(self.backbone, images.tensor, name))
        else:
            source = self.roi_heads.source(images, features)
        return self.roi_heads.text_head.pool_words(source, words)

    def spot(self, images: ImageList) -> list[Instances]:
        """See ``Spotter.spot``; ``pred_masks`` are (N, 1, M, M) probabilities over the boxes."""
        features = self.backbone(images.tensor)
        proposals, _ = self.proposal_generator(images, features, None)
        return self.roi_heads(images, features, proposals, None)[0]

    def dry_run(self, images: ImageList, work: Workload) -> None:
        """See ``CountableSpotter``. RoI pooling has no weights: its output is made up."""
        heads, features = self.roi_heads, self.backbone(images.tensor)
        self.proposal_generator.rpn_head([features[name] for name in self.proposal_generator.in_features])
        batch_size = len(images.image_sizes)
        channels = features[heads.box_in_features[0]].shape[1]
        boxes = images.tensor.new_zeros(batch_size * work.proposals, channels, *heads.box_pooler.output_size)
        heads.box_predictor(heads.box_head(boxes))
        words = batch_size * work.words
        if words == 0:
            return
        heads.mask_head.layers(images.tensor.new_zeros(words, channels, *heads.mask_pooler.output_size))
        roi = heads.text_head.dry_run(heads.source(images, features), words)
        heads.text_head.recognize(roi, roi.new_zeros(words, work.steps, dtype=torch.long))
