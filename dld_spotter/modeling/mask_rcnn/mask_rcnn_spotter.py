"""The base spotter of the DLD paper: Mask R-CNN with a reading branch on the stride-4 map."""

from collections.abc import Mapping

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, GeneralizedRCNN
from detectron2.structures import ImageList, Instances
from torch import Tensor

from dld_spotter.modeling.acceleration.shape_bucketing import pad_images
from dld_spotter.modeling.backbones.residual_fpn import specialize_convolutions, unfinished_feature
from dld_spotter.modeling.recognition.crop_recogniser import IMAGE
from dld_spotter.modeling.recognition.word_jitter import pool_to_read
from dld_spotter.modeling.spotter import (
    Glimpses,
    Pyramid,
    Reading,
    Spotter,
    Workload,
    readable_words,
    target_tokens,
)


@META_ARCH_REGISTRY.register()
class MaskRCNNSpotter(GeneralizedRCNN, Spotter):
    """Detectron2's GeneralizedRCNN whose heads read (``TextROIHeads``), behind the ``Spotter`` seam.

    Predictions hold ``pred_text`` (N, T) token ids and ``pred_text_scores`` (N,) beside Detectron2's fields.

    Args:
        reading_only: the training pass learns to read given words, and not to detect.
        pad_multiple: in training, batches are padded to sides that are multiples of so many pixels; 0: of what the
            backbone needs.
    """

    cost_parts = {
        "backbone": ("backbone",),
        "FPN": ("backbone.fpn_", "backbone.top_block"),
        "RPN": ("proposal_generator",),
        "box": ("roi_heads.box_",),
        "mask": ("roi_heads.mask_",),
        "recognition": ("roi_heads.text_head",),
    }

    @configurable
    def __init__(self, *, reading_only: bool = False, pad_multiple: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.reading_only = reading_only
        self.pad_multiple = pad_multiple
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
        }

    @property
    def reads_full_resolution(self) -> bool:
        """See ``Spotter``."""
        return getattr(self.roi_heads.text_head, "full_resolution", False)

    def _freeze_detection(self) -> None:
        """No gradient for what does not read: the heads of detection, and the FPN's last layers of the other levels."""
        read_from = f"backbone.fpn_output{self.roi_heads.text_in_feature.removeprefix('p')}."
        readers = ("roi_heads.text_head.",) + (() if self.roi_heads.text_in_feature == IMAGE else ("backbone.",))
        for name, parameter in self.named_parameters():
            reads = name.startswith(readers)
            if not reads or (name.startswith("backbone.fpn_output") and not name.startswith(read_from)):
                parameter.requires_grad_(False)

    def preprocess_image(self, batched_inputs: list[dict]) -> ImageList:
        """As Detectron2's: normalise, pad and batch."""
        images = pad_images(super().preprocess_image(batched_inputs), self.pad_multiple if self.training else 0)
        return ImageList(images.tensor.contiguous(memory_format=torch.channels_last), images.image_sizes)

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """Detectron2's contract: losses in training, processed predictions otherwise."""
        if not self.training:
            return self.inference(batched_inputs)
        images = self.preprocess_image(batched_inputs)
        # How many words are read is known on the CPU: the device is not asked for it.
        tokens = target_tokens(readable_words([x["instances"] for x in batched_inputs])).to(self.device)
        targets = [x["instances"].to(self.device) for x in batched_inputs]
        losses, roi = self.detection_losses(images, targets)
        reading = self.recognize(roi, tokens)
        return losses | self.reading_losses(reading)

    def detection_losses(
        self, images: ImageList, targets: list[Instances], features: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """See ``Spotter.detection_losses``; none with ``reading_only``."""
        if self.reading_only:
            return {}, pool_to_read(self, images, targets, self.roi_heads.jitter, features)
        features = self.backbone(images.tensor) if features is None else features
        proposals, proposal_losses = self.proposal_generator(images, features, targets)
        losses, roi = self.roi_heads.detection_losses(images, features, proposals, targets)
        return losses | proposal_losses, roi

    def pyramid(self, images: ImageList) -> Pyramid:
        """See ``Spotter.pyramid``."""
        features = self.backbone(images.tensor)
        return Pyramid(features, {int(name.removeprefix("p")): level for name, level in features.items()})

    def features_of(self, levels: Mapping[int, Tensor]) -> Mapping[str, Tensor]:
        """See ``Spotter.features_of``."""
        return {f"p{level}": maps for level, maps in levels.items()}

    def pool(self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None = None) -> Tensor:
        """See ``Spotter.pool``."""
        name, before = self.roi_heads.text_in_feature, None
        if name == IMAGE:
            feature = images
        elif features is None:
            feature, before = unfinished_feature(self.backbone, images.tensor, name)
        else:
            feature = features[name]
        return self.roi_heads.text_head.pool_words(feature, words, before)

    def recognize(self, roi: Tensor, target: Tensor) -> Reading:
        """See ``Spotter.recognize``."""
        return self.roi_heads.text_head.recognize(roi, target)

    def glimpses(self, reading: Reading) -> Glimpses:
        """See ``Spotter.glimpses``."""
        return self.roi_heads.text_head.glimpses(reading)

    def greedy(self, roi: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Spotter.greedy``."""
        return self.roi_heads.text_head.greedy(roi)

    def reading_losses(self, reading: Reading) -> dict[str, Tensor]:
        """See ``Spotter.reading_losses``."""
        return self.roi_heads.text_head.losses(reading)

    def decode(self, context: Tensor, tokens: Tensor) -> Tensor:
        """See ``Spotter.decode``."""
        return self.roi_heads.text_head.decoder(context, tokens)

    def log_likelihood(self, log_probs: Tensor, target: Tensor) -> Tensor:
        """See ``Spotter.log_likelihood``."""
        return self.roi_heads.text_head.decoder.log_likelihood(log_probs, target)

    def best_tokens(self, logits: Tensor, valid: Tensor) -> Tensor:
        """See ``Spotter.best_tokens``."""
        return self.roi_heads.text_head.decoder.best_tokens(logits, valid)

    def spot(self, images: ImageList) -> list[Instances]:
        """See ``Spotter.spot``; ``pred_masks`` are (N, 1, M, M) probabilities over the boxes."""
        features = self.backbone(images.tensor)
        proposals, _ = self.proposal_generator(images, features, None)
        return self.roi_heads(images, features, proposals, None)[0]

    def beam_search(self, reading: Reading, width: int) -> tuple[Tensor, Tensor]:
        """See ``Spotter.beam_search``."""
        return self.roi_heads.text_head.beam_search(reading, width)

    def rehearse(self, images: ImageList, work: Workload) -> None:
        """See ``Spotter.rehearse``. RoI pooling has no weights: its output is made up."""
        features = self.roi_heads.with_image(images, self.backbone(images.tensor))
        self.proposal_generator.rpn_head([features[name] for name in self.proposal_generator.in_features])
        heads, batch_size = self.roi_heads, len(images.image_sizes)
        channels = features[heads.box_in_features[0]].shape[1]
        boxes = images.tensor.new_zeros(batch_size * work.proposals, channels, *heads.box_pooler.output_size)
        heads.box_predictor(heads.box_head(boxes))
        words = batch_size * work.words
        if words == 0:
            return
        heads.mask_head.layers(images.tensor.new_zeros(words, channels, *heads.mask_pooler.output_size))
        roi = heads.text_head.rehearse(features[heads.text_in_feature], words)
        heads.text_head.recognize(roi, roi.new_zeros(words, work.steps, dtype=torch.long))
