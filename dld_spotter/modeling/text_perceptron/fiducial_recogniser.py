"""The shared recognition branch, on word features that follow fiducial points."""

from collections.abc import Collection, Sequence

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.structures import Instances
from torch import Tensor, nn

from dld_spotter.modeling.recognition.feature_source import FeatureSource
from dld_spotter.modeling.recognition.roi_feature_recogniser import ROI_TEXT_HEAD_REGISTRY, AttentionTextHead
from dld_spotter.modeling.text_perceptron.fiducials import ground_truth_fiducials
from dld_spotter.modeling.text_perceptron.reading_order import order_outlines
from dld_spotter.modeling.text_perceptron.thin_plate_spline import ThinPlateSplinePooler
from dld_spotter.structures import WordPolygons


@ROI_TEXT_HEAD_REGISTRY.register()
class FiducialTextHead(AttentionTextHead):
    """AttentionTextHead with a thin-plate spline in the place of the masked RoI pooling.

    Args:
        num_fiducials: points on a word's outline.
        ordered_points, vertical_ratio: how true outlines are read, see ``order_outlines``.
        kwargs: as AttentionTextHead.
    """

    @configurable
    def __init__(self, *, num_fiducials: int, ordered_points: Collection[int], vertical_ratio: float, **kwargs):
        super().__init__(**kwargs)
        self.num_fiducials = num_fiducials
        self.ordered_points = tuple(ordered_points)
        self.vertical_ratio = vertical_ratio

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict:
        return super().from_config(cfg, input_shape) | {
            "num_fiducials": cfg.MODEL.TEXT_PERCEPTRON.NUM_FIDUCIALS,
            "ordered_points": cfg.INPUT.TEXT.ORDERED_POINTS,
            "vertical_ratio": cfg.MODEL.ROI_TEXT_HEAD.VERTICAL_RATIO,
        }

    @classmethod
    def build_pooler(cls, cfg: CfgNode, input_shape: ShapeSpec) -> nn.Module:
        """As the parent."""
        head = cfg.MODEL.ROI_TEXT_HEAD
        return ThinPlateSplinePooler(
            in_channels=input_shape.channels,
            out_channels=head.CONV_DIM,
            output_size=head.POOLER_RESOLUTION,
            stride=input_shape.stride,
            num_fiducials=cfg.MODEL.TEXT_PERCEPTRON.NUM_FIDUCIALS,
            norm=head.NORM,
            upsample=head.UPSAMPLE,
        )

    def true_fiducials(self, words: Sequence[Instances]) -> list[Tensor]:
        """(R_b, F, 2) for each image, from ``gt_masks``."""
        polygons = WordPolygons.cat([w.gt_masks for w in words]).tensor
        outlines = order_outlines(polygons, self.ordered_points, self.vertical_ratio)
        return list(ground_truth_fiducials(outlines, self.num_fiducials).split([len(w) for w in words]))

    def pool_words(self, source: FeatureSource, words: Sequence[Instances]) -> Tensor:
        """As the parent; of the words ``gt_masks`` alone are needed."""
        return self.pooler(source.feature_map, self.true_fiducials(words))

    def pool_detections(self, source: FeatureSource, instances: Sequence[Instances]) -> Tensor:
        """Features of detections whose ``pred_boxes`` are PolygonBoxes around fiducial points."""
        return self.pooler(source.feature_map, [to_fiducials(i.pred_boxes.polygons.tensor) for i in instances])


def to_fiducials(outlines: Tensor) -> Tensor:
    """(N, F, 2) points along top and bottom, both from the start on, of outlines that run around the word; and back."""
    top, bottom = outlines.chunk(2, dim=1)
    return torch.cat([top, bottom.flip(1)], dim=1)
