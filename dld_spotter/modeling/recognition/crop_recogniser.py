"""A crop-based recogniser, which sees the word's pixels, with the layers of PP-OCRv6's small recogniser.

A stride-4 map of a small image has three rows for a word of 12 pixels, and a light backbone was trained to find text,
not to tell letters apart. This head cuts each word out of the image instead and recognises it with the convolutions of
a network whose weights are free (``tools/convert_pp_ocr.py``). The paper's bidirectional LSTMs and attention decoder
follow, so that its distillation losses apply. It costs more a word than pooling from the map.
"""

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from dld_spotter.data.charset import Charset
from dld_spotter.modeling.backbones.pp_lcnet import TwoBranchStem, build_stage
from dld_spotter.modeling.dld.rescaling import RescaledImages
from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder, kaiming_matrices
from dld_spotter.modeling.recognition.contextual_encoder import BidirectionalLSTM
from dld_spotter.modeling.recognition.feature_source import FeatureSource
from dld_spotter.modeling.recognition.roi_feature_recogniser import ROI_TEXT_HEAD_REGISTRY, AttentionTextHead
from dld_spotter.modeling.recognition.word_rectifier import WordRectifier
from dld_spotter.structures import WordPolygons

# Stages of the recogniser that keep the stem's size; their output are the word features.
EARLY_STAGES = 2
STEM_STRIDE = 4
# Later stages halve the rows and keep the columns.
HALVE_ROWS = (2, 1)


class CropPooler(nn.Module):
    """Words cut out of the image, then stem and first stages of the recogniser: features of a quarter of the size.

    Args:
        in_channels: of the image.
        stem_channels: at half the cut's size.
        stage_channels, blocks: of the first stages.
        output_size: rows and columns of the word features.
        vertical_ratio, heights: see ``WordRectifier``.
    """

    def __init__(
        self,
        in_channels: int,
        stem_channels: int,
        stage_channels: Sequence[int],
        blocks: Sequence[int],
        output_size: tuple[int, int],
        vertical_ratio: float = 1.5,
        heights: float = 0.0,
    ):
        super().__init__()
        rows, columns = output_size
        self.rectifier = WordRectifier((STEM_STRIDE * rows, STEM_STRIDE * columns), vertical_ratio, heights)
        self.stem = TwoBranchStem(in_channels, stem_channels, stage_channels[0])
        self.stages = build_stages(stage_channels[0], stage_channels, blocks, [None] + [1] * (len(blocks) - 1))
        self.out_channels, self.output_size = stage_channels[-1], tuple(output_size)

    def forward(
        self,
        images: Tensor,
        boxes: Sequence[Boxes],
        polygons: Sequence[WordPolygons] | None = None,
        mask_probs: Tensor | None = None,
    ) -> Tensor:
        """As ``WordRectifier``; returns (R, out_channels, *output_size)."""
        pictures = self.rectifier(images, boxes, polygons, mask_probs)
        if len(pictures) == 0:
            return images.new_zeros(0, self.out_channels, *self.output_size)
        return self.see(pictures)

    def see(self, pictures: Tensor) -> Tensor:
        """(R, in_channels, 4 rows, 4 columns) pictures of words to (R, out_channels, rows, columns)."""
        return self.stages(self.stem(pictures.contiguous(memory_format=torch.channels_last)))


class CropEncoder(nn.Module):
    """The recogniser's later stages, the mean over the rows, and two bidirectional LSTMs along the columns.

    Args:
        in_channels: of the word features.
        stage_channels, blocks: of the later stages, each of which halves the rows.
        hidden_size: units of each LSTM direction, and width of the contextual features.
    """

    def __init__(self, in_channels: int, stage_channels: Sequence[int], blocks: Sequence[int], hidden_size: int):
        super().__init__()
        self.stages = build_later_stages(in_channels, stage_channels, blocks)
        self.context = nn.Sequential(
            BidirectionalLSTM(stage_channels[-1], hidden_size), BidirectionalLSTM(hidden_size, hidden_size)
        )
        kaiming_matrices(self.context)

    def forward(self, roi: Tensor) -> Tensor:
        """(R, C, rows, columns) word features to (R, columns, hidden_size) contextual features."""
        return self.context(self.stages(roi).mean(dim=2).transpose(1, 2))


def later_stages(reader: CfgNode) -> tuple[int, Sequence[int], Sequence[int]]:
    """Of MODEL.PP_LCNET_READER: channels that the later stages take, and their channels and blocks."""
    channels = reader.STAGE_CHANNELS
    return channels[EARLY_STAGES - 1], channels[EARLY_STAGES:], reader.BLOCKS[EARLY_STAGES:]


def build_stages(in_channels: int, channels: Sequence[int], blocks: Sequence[int], strides: Sequence) -> nn.Sequential:
    inputs = [in_channels, *channels[:-1]]
    return nn.Sequential(*map(build_stage, inputs, channels, blocks, strides))


def build_later_stages(in_channels: int, channels: Sequence[int], blocks: Sequence[int]) -> nn.Sequential:
    """Stages each of which halves the rows and keeps the columns."""
    return build_stages(in_channels, channels, blocks, [HALVE_ROWS] * len(blocks))


@ROI_TEXT_HEAD_REGISTRY.register()
class CropTextHead(AttentionTextHead):
    """AttentionTextHead on words cut out of the image; ``ROI_TEXT_HEAD.IN_FEATURE`` is "image".

    Layers are those of ``MODEL.PP_LCNET_READER``; CONV_DIM, NORM and UPSAMPLE mean nothing here.

    Args:
        full_resolution: cut words out of what a rescaled batch was made of: whatever the scale that they are found at,
            they are recognised at full resolution, which costs no more, since the pictures of words have one size.
        freeze_at: of stem and stages, the first so many stay as they are.
        kwargs: as AttentionTextHead.
    """

    pools_from_image = True
    encoder: Any  # CropEncoder, or another with later stages

    @configurable
    def __init__(self, *, full_resolution: bool = False, freeze_at: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.full_resolution = full_resolution
        for part in [self.pooler.stem, *self.pooler.stages, *self.encoder.stages][:freeze_at]:
            part.requires_grad_(False)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict:
        head, reader = cfg.MODEL.ROI_TEXT_HEAD, cfg.MODEL.PP_LCNET_READER
        if head.IN_FEATURE != "image":
            raise ValueError(f'MODEL.ROI_TEXT_HEAD.IN_FEATURE is "{head.IN_FEATURE}"; {cls.__name__} needs "image".')
        charset = Charset.load(cfg.MODEL.TEXT.CHARSET)
        encoder, decoder = cls.build_recogniser(cfg, charset)
        return {
            "pooler": CropPooler(
                input_shape.channels,
                reader.STAGE_CHANNELS[0] // 2,
                reader.STAGE_CHANNELS[:EARLY_STAGES],
                reader.BLOCKS[:EARLY_STAGES],
                head.POOLER_RESOLUTION,
                head.VERTICAL_RATIO,
                reader.HEIGHTS,
            ),
            "encoder": encoder,
            "decoder": decoder,
            "charset": charset,
            "max_length": cfg.MODEL.TEXT.MAX_LENGTH,
            "loss_weight": head.LOSS_WEIGHT,
            "full_resolution": reader.FULL_RESOLUTION,
            "freeze_at": reader.FREEZE_AT,
        }

    @classmethod
    def build_recogniser(cls, cfg: CfgNode, charset: Charset) -> tuple[nn.Module, nn.Module]:
        """Encoder and decoder: what makes contextual features of word features, and characters of these."""
        size = cfg.MODEL.ROI_TEXT_HEAD.HIDDEN_SIZE
        encoder = CropEncoder(*later_stages(cfg.MODEL.PP_LCNET_READER), hidden_size=size)
        return encoder, AttentionDecoder(charset.num_tokens, size, size)

    @property
    def full_resolution_option(self) -> str:
        """See ``Spotter``."""
        return "MODEL.PP_LCNET_READER.FULL_RESOLUTION" if self.full_resolution else ""

    def pool_words(self, source: FeatureSource, words: Sequence[Instances]) -> Tensor:
        """As the parent, from the normalised images."""
        images, back = self._images(source)
        boxes, outlines = [w.gt_boxes for w in words], [w.gt_masks for w in words]
        if back is not None:
            boxes, outlines = [_scaled(b, *back) for b in boxes], [o.scale(*back) for o in outlines]
        return self.pooler(images, boxes, polygons=outlines)

    def pool_detections(self, source: FeatureSource, instances: Sequence[Instances]) -> Tensor:
        """As the parent, from the normalised images."""
        images, back = self._images(source)
        boxes, masks = [i.pred_boxes for i in instances], torch.cat([i.pred_masks for i in instances])
        if back is not None:
            boxes = [_scaled(b, *back) for b in boxes]
        return self.pooler(images, boxes, mask_probs=masks)

    def _images(self, source: FeatureSource) -> tuple[Tensor, tuple[float, float] | None]:
        """(B, C, H, W) that words are cut out of, and the factors on x and y that lead there."""
        images = source.images
        if not (self.full_resolution and isinstance(images, RescaledImages)):
            return images.tensor, None
        factor_y, factor_x = images.factors
        return images.original.tensor, (1 / factor_x, 1 / factor_y)

    def dry_run(self, source: FeatureSource, words: int) -> Tensor:
        """As the parent."""
        tensor = source.images.tensor
        return self.pooler.see(tensor.new_zeros(words, tensor.shape[1], *self.pooler.rectifier.size))


def _scaled(boxes: Boxes, factor_x: float, factor_y: float) -> Boxes:
    scaled = boxes.clone()
    scaled.scale(factor_x, factor_y)
    return scaled
