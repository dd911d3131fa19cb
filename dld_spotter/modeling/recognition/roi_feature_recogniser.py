"""Recognition of words whose places are known, from a feature map: pooled features, encoder, decoder, loss.

Shapes: B images, R words over the whole batch, T decoding steps, V characters and special tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.structures import Instances
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from detectron2.utils.registry import Registry
from torch import Tensor, nn
from torch.nn import functional as F

from dld_spotter.data.charset import PAD, Charset
from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder
from dld_spotter.modeling.recognition.contextual_encoder import RecognitionEncoder
from dld_spotter.modeling.recognition.feature_source import FeatureSource
from dld_spotter.modeling.recognition.masked_pooler import MaskedRoIPooler
from dld_spotter.modeling.spotter import RecognitionOutput
from dld_spotter.modeling.spotter_parts import AttentionTrace

ROI_TEXT_HEAD_REGISTRY = Registry("ROI_TEXT_HEAD")
ROI_TEXT_HEAD_REGISTRY.__doc__ = "Recognises the word in each RoI. Called as ``obj(cfg, input_shape)``."


def text_head_input(cfg: CfgNode, feature_maps: Mapping[str, ShapeSpec]) -> ShapeSpec:
    """What the text head of a config pools from: the image, or one of the feature maps.

    Raises:
        ValueError: ``MODEL.ROI_TEXT_HEAD.IN_FEATURE`` is no feature map.
    """
    head = cfg.MODEL.ROI_TEXT_HEAD
    if ROI_TEXT_HEAD_REGISTRY.get(head.NAME).pools_from_image:
        return ShapeSpec(channels=len(cfg.MODEL.PIXEL_MEAN), stride=1)
    if head.IN_FEATURE not in feature_maps:
        raise ValueError(
            f'MODEL.ROI_TEXT_HEAD.IN_FEATURE is "{head.IN_FEATURE}"; {head.NAME} pools from a feature map: use one of '
            f"{', '.join(feature_maps)}."
        )
    return feature_maps[head.IN_FEATURE]


def build_text_head(cfg: CfgNode, input_shape: ShapeSpec) -> nn.Module:
    """The text head that ``MODEL.ROI_TEXT_HEAD.NAME`` names."""
    return ROI_TEXT_HEAD_REGISTRY.get(cfg.MODEL.ROI_TEXT_HEAD.NAME)(cfg, input_shape)


@ROI_TEXT_HEAD_REGISTRY.register()
class AttentionTextHead(nn.Module):
    """Masked RoI features, six convolutions, two bidirectional LSTMs and an attention decoder.

    Attributes:
        pools_from_image: whether words are cut out of the image; else their features come from a feature map.

    Args:
        pooler: word features from a feature map.
        encoder: contextual features from word features.
        decoder: characters from contextual features.
        charset: the characters; kept as a buffer, so that a checkpoint says which ones it was trained with.
        max_length: the longest word, in characters.
        loss_weight: lambda_1 of the DLD paper.
    """

    pools_from_image: ClassVar[bool] = False
    pooler: Any  # what the class's pool_words and pool_detections call
    decoder: Any  # with the methods of AttentionDecoder, but for attend

    @configurable
    def __init__(
        self,
        *,
        pooler: nn.Module,
        encoder: nn.Module,
        decoder: nn.Module,
        charset: Charset,
        max_length: int,
        loss_weight: float = 1.0,
    ):
        super().__init__()
        self.pooler = pooler
        self.encoder = encoder
        self.decoder = decoder
        self.max_steps = max_length + 1
        self.loss_weight = loss_weight
        self.register_buffer("charset_code_points", charset.code_points())

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict:
        head = cfg.MODEL.ROI_TEXT_HEAD
        charset = Charset.load(cfg.MODEL.TEXT.CHARSET)
        return {
            "pooler": cls.build_pooler(cfg, input_shape),
            "encoder": RecognitionEncoder(head.CONV_DIM, head.HIDDEN_SIZE, head.NORM),
            "decoder": AttentionDecoder(charset.num_tokens, head.HIDDEN_SIZE, head.HIDDEN_SIZE),
            "charset": charset,
            "max_length": cfg.MODEL.TEXT.MAX_LENGTH,
            "loss_weight": head.LOSS_WEIGHT,
        }

    @classmethod
    def build_pooler(cls, cfg: CfgNode, input_shape: ShapeSpec) -> nn.Module:
        """What makes word features from a feature map of this shape."""
        head = cfg.MODEL.ROI_TEXT_HEAD
        return MaskedRoIPooler(
            in_channels=input_shape.channels,
            out_channels=head.CONV_DIM,
            output_size=head.POOLER_RESOLUTION,
            stride=input_shape.stride,
            vertical_ratio=head.VERTICAL_RATIO,
            norm=head.NORM,
            upsample=head.UPSAMPLE,
        )

    @property
    def full_resolution_option(self) -> str:
        """See ``Spotter``."""
        return ""

    def pool_words(self, source: FeatureSource, words: Sequence[Instances]) -> Tensor:
        """Features of words in their ground-truth boxes: they have ``gt_boxes`` and ``gt_masks``.

        Returns:
            (R, C, rows, columns).
        """
        boxes = [w.gt_boxes for w in words]
        polygons = [w.gt_masks for w in words]
        return self.pooler(source.feature_map, boxes, [w.image_size for w in words], polygons=polygons)

    def recognize(self, roi: Tensor, target: Tensor) -> RecognitionOutput:
        """Recognise word features (R, C, rows, columns) with the tokens of ``target`` (R, T) fed to the decoder."""
        context = self._contextual(roi)
        logits = self.decoder(context, target)
        return RecognitionOutput(roi, context, logits, target, self.decoder.valid_steps(logits, target))

    def attention_trace(self, output: RecognitionOutput) -> AttentionTrace:
        """What the decoder attends to in each step.

        Raises:
            ValueError: the decoder attends to nothing.
        """
        if not isinstance(self.decoder, AttentionDecoder):
            raise ValueError(
                f"{type(self).__name__} has no attention: set MODEL.DLD.ETA_HINT, ETA_ATTENTION and ETA_AFFINITY to 0."
            )
        attention, features = self.decoder.attend(output.context, output.target)
        return AttentionTrace(features, attention)

    def losses(self, output: RecognitionOutput) -> dict[str, Tensor]:
        """The weighted cross-entropy of an output, and its share of right characters as a logged figure."""
        # Also without words: the other processes wait for this one's count of characters.
        loss = self.loss_weight * self.text_loss(output)
        if len(output.target) == 0:
            # Every parameter keeps a gradient, and what the features came from: distributed training waits for them.
            loss = loss + (output.roi.sum() + sum(p.sum() for p in self.parameters() if p.requires_grad)) * 0.0
        return {"loss_text": loss}

    def text_loss(self, output: RecognitionOutput) -> Tensor:
        """The loss of an output; unweighted."""
        return text_loss(output.logits, output.target)

    def pool_detections(self, source: FeatureSource, instances: Sequence[Instances]) -> Tensor:
        """Features of detections with ``pred_boxes`` and soft ``pred_masks``; shapes as in ``pool_words``."""
        masks = torch.cat([i.pred_masks for i in instances])
        sizes = [i.image_size for i in instances]
        return self.pooler(source.feature_map, [i.pred_boxes for i in instances], sizes, mask_probs=masks)

    def dry_run(self, source: FeatureSource, words: int) -> Tensor:
        """(words, C, rows, columns) made-up word features, after what costs anything on the way to them.

        Pooling has no weights. The pooler's convolution runs over the whole map, as on a GPU; a CPU may spare itself
        what is far from words.
        """
        pooler, features = self.pooler, source.feature_map.finished()
        pooler.conv(features)
        return pooler.upsample(features.new_zeros(words, pooler.out_channels, *pooler.output_size))

    @torch.no_grad()
    def greedy(self, roi: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids (R, T) and scores (R,) of word features, nothing fed in."""
        return self.decoder.greedy(self._contextual(roi), self.max_steps)

    @torch.no_grad()
    def inference(self, source: FeatureSource, instances: Sequence[Instances]) -> None:
        """Add ``pred_text`` (N, T) and ``pred_text_scores`` (N,) to detections (see ``pool_detections``)."""
        tokens, scores = self.greedy(self.pool_detections(source, instances))
        counts = [len(i) for i in instances]
        for detected, text, score in zip(instances, tokens.split(counts), scores.split(counts), strict=True):
            detected.pred_text = text
            detected.pred_text_scores = score

    def _contextual(self, roi: Tensor) -> Tensor:
        # Recurrent layers and normalisation refuse an empty batch.
        return self.encoder(roi) if len(roi) else roi.new_zeros(0, 1, self.decoder.context_size)

    def beam_search(self, output: RecognitionOutput, width: int) -> tuple[Tensor, Tensor]:
        """(R, width, T) token ids and (R, width) log-probabilities, best first."""
        return self.decoder.beam_search(output.context, width, self.max_steps)


def text_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of all characters and end tokens of the batch, of all processes together.

    The mean is taken over the characters of every process, so that gradients averaged over processes equal those of one
    process with the whole batch.

    Args:
        logits: (R, T, V).
        target: (R, T); padding is not counted.
    """
    valid = target != PAD
    count = valid.sum().float()
    with torch.no_grad():
        if len(target):
            right = ((logits.argmax(dim=-1) == target) & valid).sum() / count.clamp(min=1)
            get_event_storage().put_scalar("text/char_accuracy", right)
        if comm.get_world_size() > 1:
            torch.distributed.all_reduce(count)
        count = count.clamp(min=1) / comm.get_world_size()
    total = F.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), ignore_index=PAD, reduction="sum")
    return total / count
