"""PP-LCNetV4, the light backbone of PaddleOCR's PP-OCRv6 text detectors, with its batch normalisation folded.

The architecture is that of the networks that PaddleOCR distributes (Apache-2.0), as the graph of its small detector
shows it: ``tools/convert_pp_ocr.py`` turns such a graph's weights into ours. Folded means that each convolution has a
bias and no normalisation follows, in training neither; the parallel branches that a depthwise convolution is trained
with there are summed into one kernel.
"""

from collections.abc import Callable, Sequence

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN
from detectron2.modeling.backbone import Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import SqueezeExcitation


def _convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int = 0,
    groups: int = 1,
    activation: Callable[[Tensor], Tensor] | None = None,
) -> Conv2d:
    """A convolution with a bias that keeps the magnitude of its input, as nothing else normalises it."""
    conv = Conv2d(in_channels, out_channels, kernel_size, stride, padding=padding, groups=groups, activation=activation)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu" if activation else "linear")
    nn.init.zeros_(conv.bias)
    return conv


def _largest_of_four(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, C, H - 1, W - 1): the maximum of each 2 x 2 positions."""
    if (torch.is_grad_enabled() and x.requires_grad) or torch.onnx.is_in_onnx_export():
        return F.max_pool2d(x, 2, stride=1)
    # On a CPU PyTorch's pooling that need not remember the places takes up to five times as long as this.
    x = torch.maximum(x[:, :, :-1], x[:, :, 1:])
    return torch.maximum(x[..., :-1], x[..., 1:])


class TwoBranchStem(nn.Module):
    """Image to features of stride 4; at half the size, beside each other, a maximum and two 2 x 2 convolutions.

    These three keep the size: they are padded as ONNX's SAME_UPPER says, by one row below and one column on the right.

    Args:
        channels: of the features at half the size, an even number.
    """

    def __init__(self, in_channels: int, channels: int, out_channels: int):
        super().__init__()
        self.conv1 = _convolution(in_channels, channels, 3, stride=2, padding=1, activation=F.relu)
        self.conv2a = _convolution(channels, channels // 2, 2, activation=F.relu)
        self.conv2b = _convolution(channels // 2, channels, 2, activation=F.relu)
        self.conv3 = _convolution(2 * channels, channels, 3, stride=2, padding=1, activation=F.relu)
        self.conv4 = _convolution(channels, out_channels, 1, activation=F.relu)

    def forward(self, image: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H / 4, W / 4), each half rounded up."""
        below_right = (0, 1, 0, 1)
        # Nothing is negative after a ReLU, so zeros are a right padding for the maximum, too.
        x = F.pad(self.conv1(image), below_right)
        convolved = self.conv2b(F.pad(self.conv2a(x), below_right))
        return self.conv4(self.conv3(torch.cat([_largest_of_four(x), convolved], dim=1)))


class LCNetBlock(nn.Module):
    """A depthwise 3 x 3 convolution that mixes positions, then two 1 x 1 that mix channels.

    With stride 1 and the same number of channels, the channels' mixture is added to what it is made from.

    Args:
        weigh_channels: whether squeeze-and-excitation follows the depthwise convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int | tuple[int, int] = 1, weigh_channels: bool = False
    ):
        super().__init__()
        self.depthwise = _convolution(in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels)
        self.weigh = (
            SqueezeExcitation(in_channels, in_channels // 4, scale_activation=nn.Hardsigmoid)
            if weigh_channels
            else nn.Identity()
        )
        self.expand = _convolution(in_channels, 2 * in_channels, 1, activation=F.gelu)
        self.compress = _convolution(2 * in_channels, out_channels, 1)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H / stride, W / stride), rounded up."""
        x = self.weigh(self.depthwise(x))
        mixed = self.compress(self.expand(x))
        return x + mixed if self.is_residual else mixed


def build_stage(
    in_channels: int, channels: int, blocks: int, stride: int | tuple[int, int] | None = None
) -> nn.Sequential:
    """Blocks of one stage; with ``stride`` the first has it, and neither weighs channels nor counts among the others.

    Of the others, every other one weighs its channels, beginning with the first.
    """
    first = [] if stride is None else [LCNetBlock(in_channels, channels, stride=stride)]
    others = [LCNetBlock(channels, channels, weigh_channels=i % 2 == 0) for i in range(blocks - len(first))]
    return nn.Sequential(*first, *others)


@BACKBONE_REGISTRY.register()
class PPLCNetV4(Backbone):
    """Features "res2", "res3", ... of the strides 4, 8, ..., one from each stage of blocks.

    The first block of every stage but the first halves the size. Sizes that a stride does not divide are rounded up.

    Args:
        in_channels: of the image.
        stage_channels: of each stage; the stem at stride 2 has half as many as the first.
        blocks: in each stage.
        freeze_at: as in Detectron2's ResNet: 1 keeps the stem as it is, 2 the first stage as well, and so on.
    """

    @configurable
    def __init__(
        self,
        *,
        in_channels: int,
        stage_channels: Sequence[int],
        blocks: Sequence[int],
        freeze_at: int = 0,
    ):
        super().__init__()
        self.stem = TwoBranchStem(in_channels, stage_channels[0] // 2, stage_channels[0])
        self.stages = nn.ModuleDict()
        channels = stage_channels[0]
        for index, (width, number) in enumerate(zip(stage_channels, blocks, strict=True)):
            self.stages[f"res{index + 2}"] = build_stage(channels, width, number, None if index == 0 else 2)
            channels = width
        for part in [self.stem, *self.stages.values()][:freeze_at]:
            part.requires_grad_(False)
        self._out_features = list(self.stages)
        self._out_feature_channels = dict(zip(self.stages, stage_channels, strict=True))
        self._out_feature_strides = {name: 4 * 2**index for index, name in enumerate(self.stages)}

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict:
        options = cfg.MODEL.PP_LCNET
        return {
            "in_channels": input_shape.channels,
            "stage_channels": options.STAGE_CHANNELS,
            "blocks": options.BLOCKS,
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
        }

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, in_channels, H, W), normalised, to the features by their names."""
        x = self.stem(image)
        features = {}
        for name, stage in self.stages.items():
            x = features[name] = stage(x)
        return features


@BACKBONE_REGISTRY.register()
def build_pp_lcnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """``PPLCNetV4`` under Detectron2's FPN; features p2 to p6."""
    return FPN(
        bottom_up=PPLCNetV4(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
