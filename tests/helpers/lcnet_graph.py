"""The published graph of PP-LCNetV4 in NumPy."""

import math

import numpy as np


class Explicit:
    """The published graph of a network of two stages, (8, 12) channels and (2, 3) blocks, in NumPy.

    Written from the operators' definitions in ONNX. ``drawn`` are the random weights and biases in the graph's order.
    """

    def __init__(self, rng):
        self.rng = rng
        self.drawn = []

    def conv(self, x, channels, size, stride=1, pad="SAME_UPPER", groups=1):
        weight = self.rng.normal(size=(channels, x.shape[0] // groups, size, size)) / math.sqrt(x.shape[0] / groups)
        bias = self.rng.normal(size=channels)
        self.drawn.append((weight, bias))
        windows = self.windows(x, size, stride, pad, 0.0)  # (channels in, rows, columns, size, size)
        if groups == 1:
            return np.einsum("crsij,ocij->ors", windows, weight) + bias[:, None, None]
        return np.einsum("crsij,cij->crs", windows, weight[:, 0]) + bias[:, None, None]

    @staticmethod
    def windows(x, size, stride, pad, fill):
        """With SAME_UPPER, all the rows and columns that are lacking; of an odd number the greater half at the end."""
        margins = [(0, 0)]
        for length in x.shape[1:]:
            lacking = max((math.ceil(length / stride) - 1) * stride + size - length, 0)
            before = lacking // 2 if pad == "SAME_UPPER" else pad
            margins.append((before, lacking - before if pad == "SAME_UPPER" else pad))
        x = np.pad(x, margins, constant_values=fill)
        return np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))[:, ::stride, ::stride]

    def stem(self, x):
        x = np.maximum(self.conv(x, 4, 3, 2, 1), 0)
        convolved = np.maximum(self.conv(x, 2, 2), 0)
        convolved = np.maximum(self.conv(convolved, 4, 2), 0)
        pooled = self.windows(x, 2, 1, "SAME_UPPER", -np.inf).max(axis=(3, 4))
        x = np.maximum(self.conv(np.concatenate([pooled, convolved]), 4, 3, 2, 1), 0)
        return np.maximum(self.conv(x, 8, 1), 0)

    def block(self, x, channels, stride, squeeze):
        own = x.shape[0]
        x = self.conv(x, own, 3, stride, 1, groups=own)
        if squeeze:
            scale = np.maximum(self.conv(x.mean(axis=(1, 2), keepdims=True), own // 4, 1), 0)
            x = x * np.clip(self.conv(scale, own, 1) / 6 + 0.5, 0, 1)
        hidden = self.conv(x, 2 * own, 1)
        hidden = 0.5 * hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
        mixed = self.conv(hidden, channels, 1)
        return mixed if stride == 2 else x + mixed

    def __call__(self, image):
        x = self.stem(image)
        res2 = self.block(self.block(x, 8, 1, squeeze=True), 8, 1, squeeze=False)
        x = self.block(res2, 12, 2, squeeze=False)
        return {"res2": res2, "res3": self.block(self.block(x, 12, 1, squeeze=True), 12, 1, squeeze=False)}
