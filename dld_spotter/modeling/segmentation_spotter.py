"""What spotters that look at one feature map share: Detectron2's contract around the ``Spotter`` seam."""

from collections.abc import Mapping

import torch
from detectron2.config import CfgNode
from detectron2.modeling import FPN, build_backbone
from detectron2.modeling.backbone import Backbone
from detectron2.structures import ImageList
from torch import Tensor

from dld_spotter.modeling.acceleration.shape_bucketing import pad_images
from dld_spotter.modeling.acceleration.specialized_convolutions import specialize_convolutions
from dld_spotter.modeling.backbones.fpn_features import (
    FeatureMap,
    merged_features,
    remove_other_outputs,
    single_feature_map,
)
from dld_spotter.modeling.recognition.feature_source import FeatureSource
from dld_spotter.modeling.score_threshold import WordScoring
from dld_spotter.modeling.spotter import Spotter, readable_words, target_tokens
from dld_spotter.modeling.spotter_parts import Pyramid


class SegmentationSpotter(Spotter):
    """A spotter whose heads stand on one feature map of the backbone.

    A subclass gives the methods of ``Spotter``; its predictions hold ``pred_boxes`` (PolygonBoxes), ``scores``,
    ``pred_classes``, ``pred_text`` (N, T), ``pred_text_scores`` and ``pred_word_scores`` (N,).

    Args:
        backbone: of an FPN, the output convolutions of the levels that nothing looks at are taken out.
        in_feature: name of the feature map.
        pixel_mean, pixel_std: of each channel.
        input_format: order of the channels, "BGR" or "RGB".
        pad_multiple: in training, batches are padded to sides that are multiples of so many pixels; 0: of what the
            backbone needs.
        scoring: which words are returned; None for all.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        *,
        backbone: Backbone,
        in_feature: str,
        pixel_mean: tuple[float, ...],
        pixel_std: tuple[float, ...],
        input_format: str | None = None,
        pad_multiple: int = 0,
        scoring: WordScoring | None = None,
    ):
        super().__init__()
        self.backbone = backbone
        self.in_feature = in_feature
        self.input_format = input_format
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), persistent=False)
        self.pad_multiple = pad_multiple
        self.scoring = scoring or WordScoring()
        specialize_convolutions(backbone)
        remove_other_outputs(backbone, in_feature)

    @classmethod
    def map_options(cls, cfg: CfgNode, in_feature: str) -> dict:
        """The arguments of this class that a config holds; for ``from_config``."""
        return {
            "backbone": build_backbone(cfg),
            "in_feature": in_feature,
            "pixel_mean": tuple(cfg.MODEL.PIXEL_MEAN),
            "pixel_std": tuple(cfg.MODEL.PIXEL_STD),
            "input_format": cfg.INPUT.FORMAT,
            "pad_multiple": cfg.MODEL.PAD_MULTIPLE,
            "scoring": WordScoring.from_config(cfg),
        }

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def preprocess_image(self, batched_inputs: list[dict]) -> ImageList:
        """See ``Spotter.preprocess_image``."""
        images = [(x["image"].to(self.device) - self.pixel_mean) / self.pixel_std for x in batched_inputs]
        images = ImageList.from_tensors(
            images, self.backbone.size_divisibility, padding_constraints=self.backbone.padding_constraints
        )
        images = pad_images(images, self.pad_multiple if self.training else 0)
        return ImageList(images.tensor.contiguous(memory_format=torch.channels_last), images.image_sizes)

    def feature_map(self, images: ImageList) -> Tensor:
        """(B, C, H, W): the feature map, without what only other maps need."""
        return single_feature_map(self.backbone, images.tensor, self.in_feature).finished()

    def feature_source(self, images: ImageList, features: Mapping[str, Tensor] | None = None) -> FeatureSource:
        """What text heads pool from.

        ``features`` hold the feature map, if it is there already.
        """
        if features is None:
            return FeatureSource(images, lambda: single_feature_map(self.backbone, images.tensor, self.in_feature))
        return FeatureSource(images, lambda: FeatureMap(features[self.in_feature]))

    def pyramid(self, images: ImageList) -> Pyramid:
        """See ``PyramidSpotter``. Only one level has an output convolution: the maps are compared before it."""
        if not isinstance(self.backbone, FPN):
            raise ValueError(
                f"{type(self).__name__}'s backbone is no FPN and has no pyramid: set MODEL.DLD.ETA_PYRAMID to 0."
            )
        levels = merged_features(self.backbone, images.tensor)
        return Pyramid(self.features_of(levels), levels)

    def features_of(self, levels: Mapping[int, Tensor]) -> Mapping[str, Tensor]:
        """See ``PyramidSpotter``."""
        output = getattr(self.backbone, f"fpn_output{self.in_feature.removeprefix('p')}")
        return {self.in_feature: output(levels[int(self.in_feature.removeprefix("p"))])}

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """Detectron2's contract: losses in training, processed predictions otherwise."""
        if not self.training:
            return self.inference(batched_inputs)
        images = self.preprocess_image(batched_inputs)
        targets = [x["instances"].to(self.device) for x in batched_inputs]
        losses, roi = self.detection_losses(images, targets)
        return losses | self.recognition_losses(self.recognize(roi, target_tokens(readable_words(targets))))

    @torch.no_grad()
    def inference(self, batched_inputs: list[dict]) -> list[dict]:
        """Predictions in the pixels of the original images."""
        images = self.preprocess_image(batched_inputs)
        predictions = zip(self.spot(images), batched_inputs, images.image_sizes, strict=True)
        return [{"instances": self.scoring.finish(*prediction)} for prediction in predictions]
