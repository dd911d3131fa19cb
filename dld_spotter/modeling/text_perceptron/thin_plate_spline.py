"""Word features through a thin-plate spline: the shape transform of Text Perceptron.

Shapes: B images, R words over the whole batch, C channels, F fiducial points.
"""

from collections.abc import Sequence

import torch
from detectron2.layers import Conv2d, get_norm
from detectron2.structures import Boxes
from fvcore.nn import weight_init
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from dld_spotter.modeling.acceleration.tiled_convolutions import convolve_around
from dld_spotter.modeling.backbones.fpn_features import FeatureMap
from dld_spotter.modeling.recognition.masked_pooler import WordUpsampler


def thin_plate_spline(number: int, size: tuple[int, int]) -> Tensor:
    """(rows * columns, F) matrix that takes a word's fiducial points to the sample points of its grid.

    The spline that takes F / 2 points on the upper and F / 2 on the lower edge of the square [-1, 1]^2 to a word's
    fiducial points, with the radial function r^2 ln r, is linear in the latter: solving for it and evaluating it at the
    centres of the grid's bins are matrices that depend on the sizes alone.

    Args:
        number: F.
        size: rows and columns of the grid.
    """
    along = torch.linspace(-1, 1, number // 2, dtype=torch.float64, device="cpu")
    edge = torch.ones_like(along)
    base = torch.cat([torch.stack([along, -edge], 1), torch.stack([along, edge], 1)])  # (F, 2)
    rows, columns = ((2 * torch.arange(side, dtype=torch.float64, device="cpu") + 1) / side - 1 for side in size)
    places = torch.stack([columns.expand(size), rows[:, None].expand(size)], dim=2).reshape(-1, 2)
    system = torch.zeros(number + 3, number + 3, dtype=torch.float64, device="cpu")
    system[:number] = _features(base, base)
    system[number:, 3:] = system[:number, :3].T
    return (_features(places, base) @ torch.linalg.inv(system)[:, :number]).float()


def _features(places: Tensor, base: Tensor) -> Tensor:
    """(S, F + 3): 1, x, y and the radial functions around the base points, at places (S, 2)."""
    square = (places[:, None] - base).square().sum(dim=2)
    radial = 0.5 * square * square.clamp(min=1e-300).log()  # r^2 ln r, 0 at r = 0
    return torch.cat([torch.ones_like(places[:, :1]), places, radial], dim=1)


class ThinPlateSplinePooler(nn.Module):
    """A 3x3 convolution of the feature map, sampled on a grid that follows each word's fiducial points.

    Args:
        in_channels: channels of the feature map.
        out_channels: channels of the word features.
        output_size: rows and columns of the grid over each word.
        stride: of the feature map, in pixels of the image.
        num_fiducials: F.
        norm: normalisation after the convolution.
        upsample: double rows and columns of what was pooled with a learnt layer (see ``WordUpsampler``).
    """

    spline: Tensor

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        output_size: tuple[int, int],
        stride: int,
        num_fiducials: int,
        norm: str = "BN",
        upsample: bool = False,
    ):
        super().__init__()
        rows, columns = output_size
        self.output_size = rows, columns
        self.out_channels = out_channels
        self.stride = stride
        self.conv = Conv2d(
            in_channels, out_channels, 3, padding=1, bias=False, norm=get_norm(norm, out_channels), activation=F.relu
        )
        weight_init.c2_msra_fill(self.conv)
        self.upsample = WordUpsampler(out_channels, norm) if upsample else nn.Identity()
        self.register_buffer("spline", thin_plate_spline(num_fiducials, self.output_size), persistent=False)

    def forward(self, features: FeatureMap, fiducials: Sequence[Tensor]) -> Tensor:
        """
        Args:
            features: of the images.
            fiducials: (R_b, F, 2) for each image: x and y in pixels, half of them along the top and half along the
                bottom of each word, both from the reading's start to its end.

        Returns:
            (R, out_channels, rows, columns), twice as many rows and columns with ``upsample``.
        """
        counts = [len(points) for points in fiducials]
        if sum(counts) == 0:
            factor = WordUpsampler.FACTOR if isinstance(self.upsample, WordUpsampler) else 1
            return features.values.new_zeros(0, self.out_channels, *(factor * side for side in self.output_size))
        grids = [self.sample_points(points) for points in fiducials]
        convs = [*features.pending_convs, self.conv]
        mapped = convolve_around(features.values, convs, lambda: _boxes_around(grids), 2 * self.stride, self.stride)
        return self.upsample(sample_words(mapped, grids, self.stride))

    def sample_points(self, fiducials: Tensor) -> Tensor:
        """(R, rows, columns, 2) where the words' features are taken from, in pixels; fiducials are (R, F, 2)."""
        fiducials = fiducials.float()
        middle = fiducials.mean(dim=1, keepdim=True)  # taken out, because float32 has more digits for small numbers
        with torch.autocast(fiducials.device.type, enabled=False):
            points = self.spline @ (fiducials - middle) + middle
        return points.unflatten(1, self.output_size)


def _boxes_around(grids: Sequence[Tensor]) -> list[Boxes]:
    """The boxes of words' sample points (R, rows, columns, 2), for each image."""
    points = [grid.flatten(1, 2) for grid in grids]
    return [Boxes(torch.cat([p.amin(dim=1), p.amax(dim=1)], dim=1)) for p in points]


def sample_words(features: Tensor, grids: Sequence[Tensor], stride: int) -> Tensor:
    """Features of words by bilinear sampling; beyond the map its border goes on.

    Args:
        features: (B, C, H, W).
        grids: (R_b, rows, columns, 2) sample points of the words of each image, x and y in pixels.
        stride: pixels of a cell.

    Returns:
        (R, C, rows, columns).
    """
    height, width = features.shape[-2:]
    extent = torch.tensor((width * stride, height * stride), device=features.device)
    padded = pad_sequence([2 * grid / extent - 1 for grid in grids], batch_first=True)  # (B, most, rows, columns, 2)
    batch, most, rows, columns = padded.shape[:4]
    sampled = F.grid_sample(
        features.float(), padded.reshape(batch, most * rows, columns, 2), padding_mode="border", align_corners=False
    )
    words = sampled.unflatten(2, (most, rows)).transpose(1, 2)  # (B, most, C, rows, columns)
    return torch.cat([words[image, : len(grid)] for image, grid in enumerate(grids)]).to(features.dtype)
