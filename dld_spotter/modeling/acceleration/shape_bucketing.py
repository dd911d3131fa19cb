"""Few shapes for cuDNN, which plans each convolution anew, for a millisecond or more, whenever a shape is new.

How many words a batch holds, and how many of its images share a scale, differs from step to step, so that hardly any
step of a text spotter has the shapes of one before: on an H200 planning took three quarters of a step's time.
"""

import torch
from detectron2.structures import ImageList
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

# Up to here batches are filled up to a power of two, above to a multiple of this.
_STEP = 64


def rounded_batch_size(size: int) -> int:
    """The next power of two, or above 64 the next multiple of 64."""
    if size > _STEP:
        return -(-size // _STEP) * _STEP
    return 1 << (size - 1).bit_length() if size else 0


class _RoundedBatch:
    """Fills up what a convolution takes on a GPU with zeros to a rounded batch size, and cuts what it gives."""

    def __init__(self, everywhere: bool):
        self.everywhere = everywhere
        self.size = 0

    def fill(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """A forward pre-hook."""
        self.size = len(args[0])
        missing = rounded_batch_size(self.size) - self.size
        if missing == 0 or not (self.everywhere or args[0].is_cuda):
            return None
        return F.pad(args[0], (0, 0) * (args[0].dim() - 1) + (0, missing)), *args[1:]

    def cut(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """A forward hook."""
        return output if len(output) == self.size else output[: self.size]


def round_batch_sizes(model: nn.Module, everywhere: bool = False) -> None:
    """Let the convolutions of a model see few batch sizes on a GPU; outputs and gradients stay the same.

    Convolutions that hold a batch normalisation, which would count what is filled in, are left alone. ``everywhere``:
    on a CPU, too.
    """
    for module in model.modules():
        if isinstance(module, _ConvNd) and not any(isinstance(part, _BatchNorm) for part in module.modules()):
            rounded = _RoundedBatch(everywhere)
            module.register_forward_pre_hook(rounded.fill)
            module.register_forward_hook(rounded.cut)


def pad_images(images: ImageList, multiple: int) -> ImageList:
    """The batch padded further with zeros, at the right and below, to sides that are multiples of so many pixels."""
    height, width = images.tensor.shape[-2:]
    if multiple <= 1 or (height % multiple == 0 and width % multiple == 0):
        return images
    last = images.tensor.is_contiguous(memory_format=torch.channels_last)
    tensor = F.pad(images.tensor, (0, -width % multiple, 0, -height % multiple))
    tensor = tensor.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    return ImageList(tensor, images.image_sizes)
