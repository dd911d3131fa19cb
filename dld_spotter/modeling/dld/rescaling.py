"""A batch of images and the words in it at another scale, together."""

from collections.abc import Sequence

import torch
from detectron2.structures import ImageList, Instances
from torch.nn import functional as F


class RescaledImages(ImageList):
    """A batch at another scale that remembers what it was made of.

    Args:
        tensor, image_sizes: as ``ImageList`` takes them.
        original: the batch that was rescaled.
        factors: on height and width.
    """

    def __init__(
        self,
        tensor: torch.Tensor,
        image_sizes: list[tuple[int, int]],
        original: ImageList,
        factors: tuple[float, float],
    ):
        super().__init__(tensor, image_sizes)
        self.original = original
        self.factors = factors


def rescale_images(images: ImageList, scale: float, divisor: int = 32) -> ImageList:
    """The whole batch resized at once, anti-aliased and bilinear, and padded again.

    Args:
        images: normalised and padded.
        scale: factor on height and width.
        divisor: the sides of the result are multiples of it.

    Returns:
        ``RescaledImages``; the same batch for a scale of 1.
    """
    if scale == 1.0:
        return images
    height, width = images.tensor.shape[-2:]
    size = rescaled_size((height, width), scale)
    tensor = F.interpolate(images.tensor, size, mode="bilinear", align_corners=False, antialias=True)
    tensor = F.pad(tensor, (0, -size[1] % divisor, 0, -size[0] % divisor))
    tensor = tensor.contiguous(memory_format=_memory_format(images.tensor))
    # Each image keeps its share of the batch's frame, so that all of them shrink by the same two factors.
    factors = size[0] / height, size[1] / width
    sizes = [(max(1, round(h * factors[0])), max(1, round(w * factors[1]))) for h, w in images.image_sizes]
    return RescaledImages(tensor, sizes, images, factors)


def scale_factors(images: ImageList) -> tuple[float, float]:
    """On height and width, from the batch that images were made of; 1 for images that were not rescaled."""
    return images.factors if isinstance(images, RescaledImages) else (1.0, 1.0)


def rescale_words(words: Sequence[Instances], images: ImageList, rescaled: ImageList, scale: float) -> list[Instances]:
    """The targets of ``images`` in the pixels of ``rescaled``; other fields are shared.

    ``rescaled`` was made with the factor ``scale``.
    """
    height, width = images.tensor.shape[-2:]
    new_height, new_width = rescaled_size((height, width), scale)
    factor_y, factor_x = new_height / height, new_width / width
    result = []
    for target, size in zip(words, rescaled.image_sizes, strict=True):
        fields = dict(target.get_fields())
        fields["gt_boxes"] = target.gt_boxes.clone()
        fields["gt_boxes"].scale(factor_x, factor_y)
        fields["gt_masks"] = target.gt_masks.scale(factor_x, factor_y)
        if target.has("gt_characters"):
            fields["gt_characters"] = target.gt_characters.scale(factor_x, factor_y)
        result.append(Instances(size, **fields))
    return result


def select_images(images: ImageList, indices: Sequence[int], multiple: int = 32) -> ImageList:
    """Some images of a batch, without the padding that only the others needed (up to a multiple of so many pixels)."""
    sizes = [images.image_sizes[i] for i in indices]
    height, width = (-(-max(side) // multiple) * multiple for side in zip(*sizes, strict=True))
    tensor = images.tensor[list(indices), :, :height, :width]
    return ImageList(tensor.contiguous(memory_format=_memory_format(images.tensor)), sizes)


def rescaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Height and width times the scale, rounded, at least 1."""
    height, width = size
    return max(1, round(height * scale)), max(1, round(width * scale))


def _memory_format(tensor: torch.Tensor) -> torch.memory_format:
    last = tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
