"""From the features of the character slots to characters, all slots at once.

Shapes: R words (or cells), L character slots, C channels, D of the context, V characters and special tokens.
"""

from detectron2.config import CfgNode
from torch import Tensor, nn

from dld_spotter.data.charset import Charset
from dld_spotter.modeling.recognition.attention_decoder import kaiming_matrices
from dld_spotter.modeling.recognition.contextual_encoder import BidirectionalLSTM

NUM_LSTMS = 2  # one after the other, as published


class ParallelRecogniser(nn.Module):
    """Bidirectional LSTMs over the slots, and a classifier of each; no character is fed back.

    Args:
        in_channels: C.
        hidden_size: D, and units of each LSTM direction; the classifier's two hidden layers have twice as many.
        charset: the characters; kept as a buffer, so that a checkpoint says which ones it was trained with.
    """

    def __init__(self, in_channels: int, hidden_size: int, charset: Charset):
        super().__init__()
        fc_dim = 2 * hidden_size  # as published: 512
        self.hidden_size = hidden_size
        self.context = nn.Sequential(
            *(BidirectionalLSTM(hidden_size if place else in_channels, hidden_size) for place in range(NUM_LSTMS))
        )
        self.classify = nn.Sequential(
            *(nn.Linear(hidden_size, fc_dim), nn.ReLU(), nn.Linear(fc_dim, fc_dim), nn.ReLU()),
            nn.Linear(fc_dim, charset.num_tokens),
        )
        kaiming_matrices(self)
        self.register_buffer("charset_code_points", charset.code_points())

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "ParallelRecogniser":
        charset = Charset.load(cfg.MODEL.TEXT.CHARSET)
        return cls(cfg.MODEL.MANGO.CONV_DIM, cfg.MODEL.ROI_TEXT_HEAD.HIDDEN_SIZE, charset)

    def contextual(self, slots: Tensor) -> Tensor:
        """(R, L, C) to (R, L, D)."""
        # Recurrent layers refuse an empty batch.
        return self.context(slots) if len(slots) else slots.new_zeros(0, slots.shape[1], self.hidden_size)

    def forward(self, slots: Tensor) -> Tensor:
        """(R, L, C) to (R, L, V) logits."""
        return self.classify(self.contextual(slots))
