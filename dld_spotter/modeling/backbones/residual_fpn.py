"""A narrow residual FPN for CPUs."""

from detectron2.config import CfgNode
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling import BACKBONE_REGISTRY, FPN, ResNet
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem
from fvcore.nn import weight_init


class StridedBasicBlock(BasicBlock):
    """Detectron2's basic block, which has a shortcut convolution for new widths, with one for new strides too."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, norm: str = "BN"):
        super().__init__(in_channels, out_channels, stride=stride, norm=norm)
        if stride != 1 and in_channels == out_channels:
            norm_layer = get_norm(norm, out_channels)
            self.shortcut = Conv2d(in_channels, out_channels, 1, stride=stride, bias=False, norm=norm_layer)
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
