"""Text Perceptron (Qiao et al., AAAI 2020): words by segmentation, read along their fiducial points.

Shapes: B images, N words, F fiducial points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import ImageList, Instances
from torch import Tensor

from dld_spotter.data.charset import PAD
from dld_spotter.modeling.backbones.fpn_features import FeatureMap, map_size
from dld_spotter.modeling.dld.rescaling import scale_factors
from dld_spotter.modeling.recognition.roi_feature_recogniser import build_text_head, text_head_input
from dld_spotter.modeling.recognition.text_head_spotter import TextHeadSpotter
from dld_spotter.modeling.recognition.word_jitter import WordJitter, pool_jittered
from dld_spotter.modeling.segmentation_spotter import SegmentationSpotter
from dld_spotter.modeling.spotter import readable_words
from dld_spotter.modeling.spotter_parts import Workload
from dld_spotter.modeling.text_perceptron.fiducial_recogniser import FiducialTextHead, to_fiducials
from dld_spotter.modeling.text_perceptron.fiducials import AreaCells, mean_by_word, predicted_fiducials
from dld_spotter.modeling.text_perceptron.map_distillation import AreaOutputs, area_distances, area_outputs
from dld_spotter.modeling.text_perceptron.order_aware_head import OrderAwareHead, SegmentationMaps, label_areas
from dld_spotter.modeling.text_perceptron.text_perceptron_config import check_text_perceptron_config
from dld_spotter.modeling.text_perceptron.text_perceptron_losses import PerceptronLosses
from dld_spotter.modeling.text_perceptron.text_perceptron_post_processing import WordFinder, join_images
from dld_spotter.modeling.text_perceptron.text_perceptron_targets import CENTER, HEAD, TAIL, TargetMaker, TargetMaps
from dld_spotter.structures import PolygonBoxes, WordPolygons


@dataclass(frozen=True)
class DetectionLimits:
    """What counts as a word.

    Attributes:
        thresholds: scores above which a cell is centre, end (head or tail), boundary.
        min_score: words scored lower are left out.
        max_words: of an image, the best ones.
    """

    thresholds: tuple[float, float, float]
    min_score: float
    max_words: int


@META_ARCH_REGISTRY.register()
class TextPerceptron(SegmentationSpotter, TextHeadSpotter):
    """Backbone, order-aware segmentation head and recognition branch, behind the ``Spotter`` seam.

    Predictions are Instances whose ``pred_boxes`` are PolygonBoxes: outlines of F points, clockwise from the start of
    the reading; with ``scores`` (mean score of the word's centre), ``pred_classes``, ``pred_text`` (N, T) token ids and
    ``pred_text_scores`` (N,).

    Args:
        head: segmentation and regression.
        text_head: the recogniser.
        target_maker: draws the head's targets.
        limits: what counts as a word.
        predicted_fiducials: whether training recognises at predicted points, with a gradient, instead of true ones.
        jitter: moves words that are recognised at their ground-truth outlines in training; None leaves them there.
        reading_only: the training pass trains recognition in given places, and not detection.
        kwargs: as SegmentationSpotter.
    """

    cost_parts: ClassVar = {
        "backbone": ("backbone",),
        "FPN": ("backbone.fpn_", "backbone.top_block"),
        "segmentation": ("head",),
        "recognition": ("text_head",),
    }

    @configurable
    def __init__(
        self,
        *,
        head: OrderAwareHead,
        text_head: FiducialTextHead,
        target_maker: TargetMaker,
        limits: DetectionLimits,
        predicted_fiducials: bool = False,
        jitter: WordJitter | None = None,
        reading_only: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.stride = self.backbone.output_shape()[self.in_feature].stride
        self.head = head
        self.text_head = text_head
        self.target_maker = target_maker
        self.losses = PerceptronLosses()
        self.word_finder = WordFinder()
        self.limits = limits
        self.predicted_fiducials = predicted_fiducials
        self.jitter = jitter or WordJitter()
        self.reading_only = reading_only
        if reading_only:
            head.requires_grad_(False)
        self.to(memory_format=torch.channels_last)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        check_text_perceptron_config(cfg)
        perceptron = cfg.MODEL.TEXT_PERCEPTRON
        options = cls.map_options(cfg, cfg.MODEL.ROI_TEXT_HEAD.IN_FEATURE)
        shape = options["backbone"].output_shape()[options["in_feature"]]
        return options | {
            "head": OrderAwareHead(shape.channels, perceptron.CONV_DIM),
            "text_head": build_text_head(cfg, text_head_input(cfg, {options["in_feature"]: shape})),
            "target_maker": TargetMaker.from_config(cfg),
            "limits": DetectionLimits(
                thresholds=(perceptron.CENTER_THRESH, perceptron.END_THRESH, perceptron.BOUNDARY_THRESH),
                min_score=max(cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST, options["scoring"].least_det_score),
                max_words=cfg.TEST.DETECTIONS_PER_IMAGE,
            ),
            "predicted_fiducials": perceptron.PREDICTED_FIDUCIALS,
            "jitter": WordJitter.from_config(cfg),
            "reading_only": cfg.MODEL.TEXT.READING_ONLY,
        }

    def adapt_weights(self, weights: dict) -> dict:
        """See ``Spotter.adapt_weights``: the recognition branch of a Mask R-CNN spotter serves this one, too."""
        return {name.replace("roi_heads.text_head.", "text_head."): value for name, value in weights.items()}

    def detection_losses(
        self, images: ImageList, targets: list[Instances], features: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """See ``Spotter.detection_losses``; none with ``reading_only``."""
        if self.reading_only:
            return {}, pool_jittered(self, images, targets, self.jitter, features)
        feature = self.feature_map(images) if features is None else features[self.in_feature]
        predicted = self._maps(feature, features)
        maps = self.target_maker(targets, map_size(feature), self.stride)
        if self.predicted_fiducials:
            fiducials = self._predict_places(predicted, maps, targets)
        else:
            fiducials = self.text_head.true_fiducials(self.jitter(readable_words(targets)))
        return self.losses(predicted, maps), self.text_head.pooler(FeatureMap(feature), fiducials)

    def _maps(self, feature: Tensor, features: Mapping[str, Tensor] | None) -> SegmentationMaps:
        """What the head says, unless ``detector_features`` asked it before."""
        if features is None or "scores" not in features:
            return self.head(feature)
        return SegmentationMaps(features["scores"], features["geometry"])

    def detector_features(
        self, images: ImageList, features: Mapping[str, Tensor] | None = None
    ) -> Mapping[str, Tensor]:
        """See ``DetectionOutputSpotter``; the head's maps among them."""
        feature = self.feature_map(images) if features is None else features[self.in_feature]
        return {self.in_feature: feature, **self.head(feature)._asdict()}

    def detector_outputs(self, images: ImageList, features: Mapping[str, Tensor]) -> list[AreaOutputs]:
        """See ``DetectionOutputSpotter``."""
        return area_outputs(self._maps(features[self.in_feature], features), images.image_sizes, self.stride)

    def detection_distances(
        self, images: ImageList, features: Mapping[str, Tensor], taught: Sequence[AreaOutputs]
    ) -> dict[str, Tensor]:
        """See ``DetectionOutputSpotter``."""
        maps = self._maps(features[self.in_feature], features)
        return area_distances(maps, images.image_sizes, self.stride, scale_factors(images), taught)

    def pool(self, images: ImageList, words: list[Instances], features: Mapping[str, Tensor] | None = None) -> Tensor:
        """See ``Spotter.pool``."""
        return self.text_head.pool_words(self.feature_source(images, features), words)

    def recogniser(self) -> FiducialTextHead:
        """See ``TextHeadSpotter``."""
        return self.text_head

    @torch.no_grad()
    def spot(self, images: ImageList) -> list[Instances]:
        """See ``Spotter.spot``. The map of areas goes to the CPU, where connected components are found."""
        feature = self.feature_map(images)
        predicted = self.head(feature)
        scores = predicted.scores.float().sigmoid()
        areas = label_areas(scores, *self.limits.thresholds).cpu().numpy()
        found = self._locate(areas, scores[:, 0], predicted.geometry.float(), images.image_sizes)
        self.text_head.inference(self.feature_source(images, {self.in_feature: feature}), found)
        return found

    def dry_run(self, images: ImageList, work: Workload) -> None:
        """See ``CountableSpotter``. There are no proposals; sampling the word features has no weights."""
        feature = self.feature_map(images)
        self.head(feature)
        words = len(images.image_sizes) * work.words
        if words == 0:
            return
        roi = self.text_head.dry_run(self.feature_source(images, {self.in_feature: feature}), words)
        self.text_head.recognize(roi, roi.new_zeros(words, work.steps, dtype=torch.long))

    def _locate(
        self, areas: np.ndarray, scores: Tensor, geometry: Tensor, sizes: list[tuple[int, int]]
    ) -> list[Instances]:
        """The words of each image, not recognised yet.

        Args:
            areas: (B, H, W).
            scores: (B, H, W) of the centres.
            geometry: (B, 12, H, W).
            sizes: of the images.
        """
        found = [self.word_finder(of_image) for of_image in areas]
        counts = [words.number for words in found]
        joined = join_images(found)
        kinds = [torch.as_tensor(cells, device=scores.device) for cells in (joined.head, joined.tail, joined.center)]
        head, tail, center = (
            AreaCells(word, (torch.stack([column, row], dim=1) + 0.5) * self.stride, way[image, :, row, column])
            for (image, word, row, column), way in zip(
                (cells.unbind(dim=1) for cells in kinds), geometry.split(4, dim=1), strict=True
            )
        )
        fiducials = predicted_fiducials(center, head, tail, joined.number, self.text_head.num_fiducials)
        image, word, row, column = kinds[2].unbind(dim=1)
        mean = mean_by_word(scores[image, row, column][:, None], word, joined.number)[:, 0]
        return [self._best(*words) for words in zip(fiducials.split(counts), mean.split(counts), sizes, strict=True)]

    def _best(self, fiducials: Tensor, scores: Tensor, size: tuple[int, int]) -> Instances:
        """The words of one image that are scored high enough, the best ones first; fiducials are (N, F, 2)."""
        best = scores.topk(min(self.limits.max_words, len(scores))).indices
        best = best[scores[best] >= self.limits.min_score]
        instances = Instances(size, pred_boxes=PolygonBoxes(WordPolygons(to_fiducials(fiducials[best]))))
        instances.scores = scores[best]
        instances.pred_classes = torch.zeros_like(best)
        return instances

    def _predict_places(self, predicted: SegmentationMaps, maps: TargetMaps, targets: list[Instances]) -> list[Tensor]:
        """(R_b, F, 2) for each image: where the readable words are by the regression maps at the true areas' cells.

        A word with an area without cells is recognised in its true place.
        """
        head, tail, center = (
            maps.cells(area, way.float(), self.stride)
            for area, way in zip((HEAD, TAIL, CENTER), predicted.regression(), strict=True)
        )
        true = torch.cat(self.text_head.true_fiducials(targets))
        places = predicted_fiducials(center, head, tail, len(true), true.shape[1])
        for cells in (head, tail, center):
            seen = torch.zeros(len(true), dtype=torch.bool, device=true.device)
            seen[cells.word] = True
            places = torch.where(seen[:, None, None], places, true)
        places = places.split([len(words) for words in targets])
        return [p[words.gt_text[:, 0] != PAD] for p, words in zip(places, targets, strict=True)]
