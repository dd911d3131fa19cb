"""A recogniser of word crops with every layer of PP-OCRv6's small one: convolutions, LightSVTR neck, CTC classifier.

With the weights that ``tools/convert_pp_ocr.py --recogniser`` writes it recognises words without any training.
"""

from collections.abc import Sequence

import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from torch import Tensor, nn
from torch.nn import functional as F

from dld_spotter.data.charset import LIKELY, PAD, Charset
from dld_spotter.modeling.recognition.crop_recogniser import CropTextHead, build_later_stages, later_stages
from dld_spotter.modeling.recognition.ctc_decoder import CTCDecoder
from dld_spotter.modeling.recognition.feature_source import FeatureSource
from dld_spotter.modeling.recognition.light_svtr import LightSVTR
from dld_spotter.modeling.recognition.roi_feature_recogniser import ROI_TEXT_HEAD_REGISTRY
from dld_spotter.modeling.spotter import RecognitionOutput


class ColumnEncoder(nn.Module):
    """The recogniser's later stages, a mean over rows and pairs of columns, and the neck.

    Args:
        in_channels: of the word features.
        stage_channels, blocks: of the later stages, each of which halves the rows.
        hidden_size: width of the contextual features.
    """

    def __init__(self, in_channels: int, stage_channels: Sequence[int], blocks: Sequence[int], hidden_size: int):
        super().__init__()
        self.stages = build_later_stages(in_channels, stage_channels, blocks)
        self.context = LightSVTR(stage_channels[-1], hidden_size)

    def forward(self, roi: Tensor) -> Tensor:
        """(R, C, rows, columns) word features to (R, columns / 2, hidden_size) contextual features."""
        deep = self.stages(roi)
        rows = int(deep.shape[2])  # a number also while a graph is made of this
        return self.context(F.avg_pool2d(deep, (rows, 2)))


@ROI_TEXT_HEAD_REGISTRY.register()
class CTCTextHead(CropTextHead):
    """CropTextHead whose columns are classified all at once (see ``CTCDecoder``).

    Of the options of ``ROI_TEXT_HEAD``, HIDDEN_SIZE is the width of the neck: 120 for PP-OCRv6's weights, with
    POOLER_RESOLUTION (12, 32) for crops of 48 x 128 pixels, which give 16 columns.
    """

    @classmethod
    def build_recogniser(cls, cfg: CfgNode, charset: Charset) -> tuple[nn.Module, nn.Module]:
        """As the parent."""
        size = cfg.MODEL.ROI_TEXT_HEAD.HIDDEN_SIZE
        encoder = ColumnEncoder(*later_stages(cfg.MODEL.PP_LCNET_READER), hidden_size=size)
        return encoder, CTCDecoder(len(charset), size)

    @torch.no_grad()
    def inference(self, source: FeatureSource, instances: Sequence[Instances]) -> None:
        """As the parent; detections get ``pred_column_classes`` and ``pred_column_probs`` (N, T, K), too.

        They are the K likeliest classes of each column, best first.
        """
        context = self._contextual(self.pool_detections(source, instances))
        fields = *self.decoder.greedy(context, self.max_steps), *self.decoder.likeliest(context, LIKELY)
        for detected, *own in zip(instances, *(f.split([len(i) for i in instances]) for f in fields), strict=True):
            detected.pred_text, detected.pred_text_scores = own[:2]
            detected.pred_column_probs, detected.pred_column_classes = own[2:]

    def text_loss(self, output: RecognitionOutput) -> Tensor:
        """As the parent: -log p(text), summed over the words and divided by the number of characters of all processes.

        Texts that do not fit into the columns do not count.
        """
        log_probs = output.logits.float().log_softmax(dim=2)
        likelihood = self.decoder.log_likelihood(log_probs, output.target)
        fits = likelihood.isfinite()
        with torch.no_grad():
            count = ((output.target != PAD) & fits[:, None]).sum().float()
            if len(fits):
                tokens = self.decoder.best_tokens(output.logits, output.valid)
                get_event_storage().put_scalar("text/word_accuracy", _equal_rows(tokens, output.target).float().mean())
            if comm.get_world_size() > 1:
                torch.distributed.all_reduce(count)
            count = count.clamp(min=1) / comm.get_world_size()
        return -torch.where(fits, likelihood, 0.0).sum() / count


def _equal_rows(first: Tensor, second: Tensor) -> Tensor:
    """(R,) bool: which rows hold the same tokens, whatever their padding."""
    width = max(first.shape[1], second.shape[1])
    first, second = (F.pad(rows, (0, width - rows.shape[1]), value=PAD) for rows in (first, second))
    return (first == second).all(dim=1)
