"""From word features to contextual features: six convolutions and two bidirectional LSTMs.

The layers are those of the DLD paper's light recogniser. Shapes: R words, C channels, N positions.
"""

import torch
from detectron2.layers import Conv2d, get_norm
from fvcore.nn import weight_init
from torch import Tensor, nn
from torch.nn import functional as F

from dld_spotter.modeling.recognition.attention_decoder import kaiming_matrices


class RecognitionEncoder(nn.Module):
    """Collapse the rows of the word features and run along their columns.

    An 8 x 32 grid becomes 33 positions (each 2 x 2 kernel with one column of padding adds one, the last removes one); a
    16 x 64 grid becomes 3 rows of 65 columns, flattened row by row into 195 positions.

    Args:
        channels: of the word features and of every convolution.
        hidden_size: units of each LSTM direction, and width of the contextual features.
        norm: normalisation of the convolutions.
    """

    def __init__(self, channels: int, hidden_size: int, norm: str = "BN"):
        super().__init__()
        self.convs = nn.Sequential(
            *(self._conv(channels, 3, norm, padding=1) for _ in range(4)),
            nn.MaxPool2d(2, stride=(2, 1), padding=(0, 1)),
            self._conv(channels, 2, norm, stride=(2, 1), padding=(0, 1)),
            self._conv(channels, 2, norm),
        )
        self.context = nn.Sequential(
            BidirectionalLSTM(channels, hidden_size),
            BidirectionalLSTM(hidden_size, hidden_size),
        )
        kaiming_matrices(self.context)

    @staticmethod
    def _conv(
        channels: int, kernel: int, norm: str, stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0
    ) -> Conv2d:
        conv = Conv2d(
            channels,
            channels,
            kernel,
            stride=stride,
            padding=padding,
            bias=not norm,
            norm=get_norm(norm, channels),
            activation=F.relu,
        )
        weight_init.c2_msra_fill(conv)
        return conv

    def forward(self, roi: Tensor) -> Tensor:
        """(R, C, rows, columns) word features to (R, N, hidden_size) contextual features."""
        columns = self.convs(roi).flatten(2).transpose(1, 2)
        return self.context(columns)


class BidirectionalLSTM(nn.Module):
    """One bidirectional LSTM and a linear layer back to its own width."""

    def __init__(self, in_channels: int, hidden_size: int):
        super().__init__()
        self.lstm = nn.LSTM(in_channels, hidden_size, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(2 * hidden_size, hidden_size)

    def forward(self, sequence: Tensor) -> Tensor:
        """(R, N, in_channels) to (R, N, hidden_size)."""
        self.lstm.flatten_parameters()
        if sequence.device.type != "cpu":
            return self.linear(self.lstm(sequence)[0])
        # Not every CPU has bfloat16 LSTMs: without AVX-512 oneDNN refuses them.
        with torch.autocast("cpu", enabled=False):
            recurrent = self.lstm(sequence.to(self.linear.weight.dtype))[0]
        return self.linear(recurrent)
