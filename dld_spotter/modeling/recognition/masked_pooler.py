"""Word features with the background suppressed ("RoI masking" of the DLD paper, section 2 of its method).

Shapes: B images, R words over the whole batch, C channels.
"""

from collections.abc import Sequence

import torch
from detectron2.layers import Conv2d, ConvTranspose2d, ROIAlign, get_norm
from detectron2.modeling.poolers import convert_boxes_to_pooler_format
from detectron2.structures import Boxes
from fvcore.nn import weight_init
from torch import Tensor, nn
from torch.nn import functional as F

from dld_spotter.modeling.acceleration.tiled_convolutions import convolve_around
from dld_spotter.modeling.backbones.fpn_features import FeatureMap
from dld_spotter.structures import WordPolygons, grid_points

# Sample points a bin and axis by which the share of a bin inside the word is estimated.
MASK_SAMPLES = 2
# RoIAlign's number of samples a bin and axis: as many as the word's size asks for.
ADAPT_SAMPLES = 0


class MaskedRoIPooler(nn.Module):
    """A 3x3 convolution of the feature map, RoIAlign of each word, times the word's own mask.

    Words whose box is taller than ``vertical_ratio`` times its width are turned by 90 degrees counter-clockwise, so
    that top to bottom becomes left to right.

    Args:
        in_channels: channels of the feature map.
        out_channels: channels of the word features.
        output_size: rows and columns of the grid over each word.
        stride: of the feature map, in pixels of the image.
        margin: cells of the feature map added on each side of a box.
        vertical_ratio: see above.
        norm: normalisation after the convolution.
        upsample: double rows and columns of what was pooled with a learnt layer (see ``WordUpsampler``).
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        output_size: tuple[int, int],
        stride: int,
        margin: float = 1.0,
        vertical_ratio: float = 1.5,
        norm: str = "BN",
        upsample: bool = False,
    ):
        super().__init__()
        self.output_size = tuple(output_size)
        self.stride = stride
        self.margin = margin * stride
        self.vertical_ratio = vertical_ratio
        self.out_channels = out_channels
        self.conv = Conv2d(
            in_channels, out_channels, 3, padding=1, bias=False, norm=get_norm(norm, out_channels), activation=F.relu
        )
        weight_init.c2_msra_fill(self.conv)
        rows, columns = self.output_size
        self.align = ROIAlign((rows, columns), 1.0 / stride, ADAPT_SAMPLES, aligned=True)
        self.align_vertical = ROIAlign((columns, rows), 1.0 / stride, ADAPT_SAMPLES, aligned=True)
        self.upsample = WordUpsampler(out_channels, norm) if upsample else nn.Identity()
        factor = WordUpsampler.FACTOR if upsample else 1
        self.word_size = (factor * rows, factor * columns)

    def forward(
        self,
        features: FeatureMap,
        boxes: Sequence[Boxes],
        image_sizes: Sequence[tuple[int, int]],
        polygons: Sequence[WordPolygons] | None = None,
        mask_probs: Tensor | None = None,
    ) -> Tensor:
        """
        Args:
            features: of the images.
            boxes: of the words of each image, in pixels.
            image_sizes: height and width of each image without its padding.
            polygons: outlines of the words of each image, in pixels; or
            mask_probs: (R, 1, M, M) predicted masks, each over its word's box.

        Returns:
            (R, out_channels, *word_size): ``output_size``, or twice as many rows and columns with ``upsample``.
        """
        regions = [_enlarge(b.tensor, self.margin, size) for b, size in zip(boxes, image_sizes, strict=True)]
        rois = convert_boxes_to_pooler_format([Boxes(region) for region in regions])
        if len(rois) == 0:
            return features.values.new_zeros(0, self.out_channels, *self.word_size)
        region = torch.cat(regions)
        box = torch.cat([b.tensor for b in boxes])

        def mask_of(size: tuple[int, int]) -> Tensor:
            if mask_probs is None:
                return WordPolygons.cat(polygons or ()).coverage(region, size, MASK_SAMPLES)
            return mask_coverage(mask_probs, box, region, size, MASK_SAMPLES)

        width, height = (region[:, 2:] - region[:, :2]).unbind(dim=1)
        vertical = (height > self.vertical_ratio * width)[:, None]
        # RoIAlign interpolates with the cells beside the region, which is the box and its margin.
        reach = self.margin + 2 * self.stride
        convs = [*features.pending_convs, self.conv]
        mapped = convolve_around(features.values, convs, lambda: boxes, reach, self.stride)
        rows, columns = self.output_size
        # A box without area costs an adaptive RoIAlign nothing: each word is pooled in its own orientation only, and
        # nothing waits for the device to learn which words are vertical.
        upright = self.align(mapped, torch.where(vertical, _without_area(rois), rois))
        turned = self.align_vertical(mapped, torch.where(vertical, rois, _without_area(rois)))
        upright = upright * mask_of((rows, columns))[:, None].to(mapped.dtype)
        turned = turned * mask_of((columns, rows))[:, None].to(mapped.dtype)
        return self.upsample(torch.where(vertical[:, :, None, None], turned.rot90(1, dims=(2, 3)), upright))


class WordUpsampler(nn.Module):
    """A deconvolution, normalisation and ReLU that double the rows and columns of word features.

    With it a student that pools 8 x 32 is compared with a teacher of 16 x 64 (Table 4 of the DLD paper, which leaves
    the layer open; this is the one of Mask R-CNN's mask head). It starts as a copy of each cell into 2 x 2 cells, so
    that a recogniser that was trained without it still gets the channels it knows.

    Args:
        channels: of the word features.
        norm: normalisation.
    """

    FACTOR = 2

    def __init__(self, channels: int, norm: str):
        super().__init__()
        self.deconv = ConvTranspose2d(channels, channels, self.FACTOR, stride=self.FACTOR, bias=not norm)
        self.norm = get_norm(norm, channels) or nn.Identity()
        with torch.no_grad():
            self.deconv.weight.copy_(torch.eye(channels)[:, :, None, None].expand_as(self.deconv.weight))
        if self.deconv.bias is not None:
            nn.init.zeros_(self.deconv.bias)

    def forward(self, roi: Tensor) -> Tensor:
        """(R, C, rows, columns) to (R, C, 2 rows, 2 columns)."""
        return F.relu(self.norm(self.deconv(roi)))


def mask_coverage(mask_probs: Tensor, boxes: Tensor, regions: Tensor, size: tuple[int, int], samples: int) -> Tensor:
    """The share of each bin of a grid over each region where a predicted mask is above one half.

    Args:
        mask_probs: (R, 1, M, M) in [0, 1], each over its box; outside the box the mask is 0.
        boxes: (R, 4) the masks' boxes.
        regions: (R, 4) where to sample.
        size: rows and columns of the grid.
        samples: sample points a bin and axis.

    Returns:
        (R, rows, columns) float32.
    """
    rows, columns = size
    points = grid_points(regions, (rows * samples, columns * samples))
    corner, extent = boxes[:, None, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None, None].clamp(min=1e-6)
    grid = 2 * (points - corner) / extent - 1
    sampled = F.grid_sample(mask_probs.float(), grid.float(), align_corners=False)[:, 0]
    inside = (sampled >= 0.5).float().reshape(-1, rows, samples, columns, samples)
    return inside.mean(dim=(2, 4))


def _enlarge(boxes: Tensor, margin: float, image_size: tuple[int, int]) -> Tensor:
    height, width = image_size
    low = (boxes[:, :2] - margin).clamp(min=0)
    high = boxes[:, 2:] + margin
    return torch.cat([low, torch.stack([high[:, 0].clamp(max=width), high[:, 1].clamp(max=height)], dim=1)], dim=1)


def _without_area(rois: Tensor) -> Tensor:
    """Regions (R, 5) of image index and box, shrunk to their first corner."""
    return torch.cat([rois[:, :3], rois[:, 1:3]], dim=1)
