"""Convolutions of a backbone that compute the same numbers in another way: the class of a layer is exchanged in place.

Names, values and gradients of the parameters stay those of the layer that was built.
"""

from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import Tensor, nn
from torch.nn import functional as F


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
    backward.
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
