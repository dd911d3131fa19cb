"""The part of an FPN that a recogniser needs, without the work for its other levels.

Shapes: B images, C channels, H and W of a feature map.
"""

from dataclasses import dataclass

from detectron2.layers import Conv2d
from detectron2.modeling import FPN
from detectron2.modeling.backbone import Backbone
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class FeatureMap:
    """A feature map with the convolutions that it has still to pass, which may be needed around words only.

    Attributes:
        values: (B, C, H, W).
        pending_convs: 3 x 3 convolutions, in their order.
    """

    values: Tensor
    pending_convs: tuple[Conv2d, ...] = ()

    def finished(self) -> Tensor:
        """(B, C', H, W): the map after these convolutions."""
        values = self.values
        for conv in self.pending_convs:
            values = conv(values)
        return values


def map_size(features: Tensor) -> tuple[int, int]:
    """H and W of feature maps (..., H, W)."""
    height, width = features.shape[-2:]
    return height, width


def single_feature_map(backbone: Backbone, image: Tensor, name: str) -> FeatureMap:
    """One feature map of a backbone, without what only the others need.

    Of an FPN, the lateral convolutions and the top-down sums are computed down to this level. Its output convolution is
    left pending, since it may be needed in few places only. The image is (B, 3, H, W), normalised and padded.
    """
    levels = [f"p{feature[len('res') :]}" for feature in backbone.in_features] if isinstance(backbone, FPN) else []
    if name not in levels:
        return FeatureMap(backbone(image)[name])
    merged = merged_features(backbone, image, int(name.removeprefix("p")))
    return FeatureMap(merged[min(merged)], (backbone.output_convs[len(levels) - 1 - levels.index(name)],))


def merged_features(backbone: FPN, image: Tensor, finest: int = 0) -> dict[int, Tensor]:
    """The maps of an FPN before its output convolutions, by level, from the coarsest on.

    The image is (B, 3, H, W), normalised and padded. Levels below ``finest`` are left out.
    """
    bottom_up, merged = backbone.bottom_up(image), {}
    previous = None
    # The convolutions run from the coarsest level to the finest.
    for lateral_conv, feature in zip(backbone.lateral_convs, reversed(backbone.in_features), strict=True):
        level = int(feature.removeprefix("res"))
        if level < finest:
            break
        lateral = lateral_conv(bottom_up[feature])
        if previous is not None:
            lateral = lateral + F.interpolate(previous, scale_factor=2.0, mode="nearest")
            if backbone._fuse_type == "avg":
                lateral = lateral / 2
        previous = merged[level] = lateral
    return merged


def remove_other_outputs(backbone: Backbone, name: str) -> None:
    """Take the output convolutions of an FPN's other levels out, in place.

    Nothing would train them, and distributed training would wait for their gradients. ``backbone(image)`` still works;
    its other maps are then without a convolution.
    """
    if not isinstance(backbone, FPN):
        return
    stages = [feature[len("res") :] for feature in backbone.in_features]
    if name not in [f"p{stage}" for stage in stages]:
        return
    for place, stage in enumerate(reversed(stages)):
        if f"p{stage}" != name:
            backbone.output_convs[place] = nn.Identity()
            setattr(backbone, f"fpn_output{stage}", backbone.output_convs[place])
