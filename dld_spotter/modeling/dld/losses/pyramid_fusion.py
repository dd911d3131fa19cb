"""Crossing feature-level fusion (C-FF): one pyramid of an image's maps at full and at half resolution.

After Qi et al., "Multi-Scale Aligned Distillation for Low-Resolution Detection" (CVPR 2021), whose teacher it makes.

Shapes: B images, C channels, H, W of a map. Level j has a stride of 2**j pixels; level j of an image has the size of
level j - 1 of the image at half resolution.
"""

from collections.abc import Mapping, Sequence

import torch
from detectron2.config import CfgNode
from torch import Tensor, nn
from torch.nn import functional as F

from dld_spotter.modeling.dld.selector.selector_network import masked_mean


class PyramidFusion(nn.Module):
    """A weighted mean of the two maps of each level, by weights that all levels share.

    From the mean of both maps over the image, two linear layers make two weights for each image and level.

    Args:
        channels: C.
    """

    def __init__(self, channels: int):
        super().__init__()
        # 32 units for the paper's 256 channels; with few of them, none may be active.
        hidden = max(16, channels // 8)
        layers = nn.Linear(2 * channels, hidden, bias=False), nn.Linear(hidden, 2, bias=False)
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
        self.weigh = nn.Sequential(layers[0], nn.ReLU(), layers[1])

    def weights(self, high: Tensor, low: Tensor, image_sizes: Sequence[tuple[int, int]], frame: tuple) -> Tensor:
        """(B, 2) float32 weights of a level's maps, which sum to 1.

        Args:
            high: (B, C, H, W).
            low: likewise.
            image_sizes: height and width of each image, in whose padding nothing is looked at.
            frame: height and width that the maps show.
        """
        seen = torch.cat([masked_mean(maps.float(), image_sizes, frame) for maps in (high, low)], dim=1)
        return self.weigh(seen).float().softmax(dim=1)

    def forward(
        self, high: Mapping[int, Tensor], low: Mapping[int, Tensor], image_sizes: Sequence[tuple[int, int]]
    ) -> dict[int, Tensor]:
        """The fused maps by level.

        Args:
            high: maps of the images by level.
            low: maps of the same images at half resolution by level.
            image_sizes: height and width of each image at full resolution.

        Returns:
            the levels that both have, of the size of ``low``'s, which may be padded further.
        """
        fused = {}
        for level in (level for level in high if level - 1 in low):
            coarse = low[level - 1]
            rows, columns = coarse.shape[-2:]
            fine = F.pad(high[level], (0, columns - high[level].shape[-1], 0, rows - high[level].shape[-2]))
            frame = rows * 2**level, columns * 2**level
            weights = self.weights(fine, coarse, image_sizes, frame).to(fine.dtype)[..., None, None, None]
            fused[level] = weights[:, 0] * fine + weights[:, 1] * coarse
        return fused


def build_pyramid_fusion(cfg: CfgNode) -> PyramidFusion | None:
    """The fusion that a DLDSpotter needs, if any.

    Raises:
        ValueError: an unknown ``MODEL.DLD.PYRAMID_FUSION``.
    """
    dld = cfg.MODEL.DLD
    if dld.PYRAMID_FUSION not in ("none", "learned"):
        raise ValueError(f"MODEL.DLD.PYRAMID_FUSION is '{dld.PYRAMID_FUSION}'; use 'none' or 'learned'.")
    needed = dld.PYRAMID_FUSION == "learned" and dld.TEACHER and dld.ETA_PYRAMID > 0
    return PyramidFusion(cfg.MODEL.FPN.OUT_CHANNELS) if needed else None


def weights_with_fusion(weights: dict, fusion: PyramidFusion | None) -> tuple[dict, dict]:
    """A checkpoint's weights in two parts: those of the spotters as without a fusion, and the fusion's.

    Args:
        weights: also of a ``PyramidFusionTrainer``.
        fusion: what takes the second part, if anything does.

    Raises:
        ValueError: the fusion would keep its initial values.
    """
    found = {name: value for name, value in weights.items() if name.startswith("fusion.")}
    if fusion is not None and not found:
        raise ValueError(
            "MODEL.DLD.PYRAMID_FUSION is 'learned', but MODEL.WEIGHTS holds no fusion: train one with "
            "MODEL.META_ARCHITECTURE PyramidFusionTrainer first, or set it to 'none'."
        )
    rest = {name.removeprefix("spotter."): value for name, value in weights.items() if name not in found}
    return rest, found if fusion is not None else {}
