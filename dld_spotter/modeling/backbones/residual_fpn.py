"""A narrow residual FPN for CPUs, and the part of an FPN that reading needs."""

from detectron2.config import CfgNode
from detectron2.layers import Conv2d, FrozenBatchNorm2d, ShapeSpec, get_norm
from detectron2.modeling import BACKBONE_REGISTRY, FPN, ResNet
from detectron2.modeling.backbone import Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem
from fvcore.nn import weight_init
from torch import Tensor, nn
from torch.nn import functional as F


class StridedBasicBlock(BasicBlock):
    """Detectron2's basic block, which has a shortcut convolution for new widths, with one for new strides too."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, norm: str = "BN"):
        super().__init__(in_channels, out_channels, stride=stride, norm=norm)
        if stride != 1 and self.shortcut is None:
            self.shortcut = Conv2d(
                in_channels, out_channels, 1, stride=stride, bias=False, norm=get_norm(norm, out_channels)
            )
            weight_init.c2_msra_fill(self.shortcut)


@BACKBONE_REGISTRY.register()
def build_light_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Basic residual blocks of ``MODEL.LIGHT_RESNET``'s widths, one a stage, under Detectron2's FPN; features p2 to p6.

    The stem is as wide as the first stage.
    """
    light = cfg.MODEL.LIGHT_RESNET
    widths = light.STAGE_CHANNELS
    stem = BasicStem(in_channels=input_shape.channels, out_channels=widths[0], norm=light.NORM)
    stages = [
        ResNet.make_stage(
            StridedBasicBlock,
            1,
            stride_per_block=[1 if index == 0 else 2],
            in_channels=widths[max(index - 1, 0)],
            out_channels=width,
            norm=light.NORM,
        )
        for index, width in enumerate(widths)
    ]
    names = [f"res{i + 2}" for i in range(len(stages))]
    return FPN(
        bottom_up=ResNet(stem, stages, out_features=names, freeze_at=0),
        in_features=names,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


class SubsampledConv2d(Conv2d):
    """A strided 1 x 1 convolution that first picks the positions it looks at; the same numbers.

    On CPUs, torch 2.14's gradient of a strided 1 x 1 convolution writes outside its memory for some shapes with the
    channels last (3 images, 8 channels, two threads); without a stride it does not.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H', W')."""
        x = F.conv2d(_subsample(x, self.stride), self.weight, self.bias)
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)


class FoldedConv2d(Conv2d):
    """Detectron2's convolution with its frozen batch normalisation folded into the weight at each call.

    conv(x, w) * s + b = conv(x, w * s) + b for s and b a channel: a pass over the feature map less, forward and
    backward. Names, values and gradients of the parameters are those of the convolution it replaces.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H', W')."""
        norm, stride = self.norm, self.stride
        factor = norm.weight * (norm.running_var + norm.eps).rsqrt()
        bias = norm.bias - norm.running_mean * factor
        weight = self.weight * factor[:, None, None, None]
        if _is_strided_pointwise(self):  # as in SubsampledConv2d
            x, stride = _subsample(x, stride), 1
        x = F.conv2d(x, weight, bias, stride, self.padding, self.dilation, self.groups)
        return x if self.activation is None else self.activation(x)


def specialize_convolutions(module: nn.Module) -> None:
    """Let the convolutions of a network that are one of the kinds above compute as they do, in place."""
    for child in module.modules():
        if type(child) is not Conv2d:
            continue
        if isinstance(child.norm, FrozenBatchNorm2d) and child.bias is None:
            child.__class__ = FoldedConv2d
        elif _is_strided_pointwise(child):
            child.__class__ = SubsampledConv2d


def _is_strided_pointwise(conv: Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and conv.padding == (0, 0) and conv.groups == 1 and max(conv.stride) > 1


def _subsample(x: Tensor, stride: tuple[int, int]) -> Tensor:
    return x[:, :, :: stride[0], :: stride[1]]


def unfinished_feature(backbone: Backbone, image: Tensor, name: str) -> tuple[Tensor, Conv2d | None]:
    """One feature map of a backbone, without what only the others need, and the convolution that is left to do.

    Of an FPN, the lateral convolutions and the top-down sums are computed down to this level; its output convolution is
    left to the caller, who may need it in few places: output_conv(map) is ``backbone(image)[name]``.

    Args:
        image: (B, 3, H, W) normalised and padded.

    Returns:
        the map, and the convolution; None where the map is finished.
    """
    levels = [f"p{feature[len('res') :]}" for feature in backbone.in_features] if isinstance(backbone, FPN) else []
    if name not in levels:
        return backbone(image)[name], None
    merged = merged_features(backbone, image, int(name.removeprefix("p")))
    return merged[min(merged)], backbone.output_convs[len(levels) - 1 - levels.index(name)]


def merged_features(backbone: FPN, image: Tensor, finest: int = 0) -> dict[int, Tensor]:
    """The maps of an FPN before its output convolutions, by level, from the coarsest on.

    Args:
        image: (B, 3, H, W) normalised and padded.
        finest: levels below it are left out.
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
