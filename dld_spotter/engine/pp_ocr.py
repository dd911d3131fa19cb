"""The neck and the classifier of a PP-OCR text recogniser's ONNX graph, as weights of ``CTCTextHead``."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dld_spotter.data.charset import Charset
from dld_spotter.modeling.recognition.ctc_decoder import CTCDecoder
from dld_spotter.modeling.recognition.light_svtr import LightSVTR

# Key of the graph's metadata with its characters, one a line, in the order of their classes from 1 on.
CHARACTERS_KEY = "character"


def fill_neck(neck: LightSVTR, model: Any) -> None:
    """Copy convolutions (normalisation folded), layer normalisations and linear layers, in the order of the graph.

    Args:
        neck: that gets the weights.
        model: an ONNX model whose only average pooling stands before the neck.

    Raises:
        ValueError: the graph has other layers than the neck.
    """
    constants, nodes = _neck_and_classifier(model)
    _fill((module for module in neck.modules() if isinstance(module, nn.Conv2d)), _convolutions(nodes, constants))
    blocks: list[Any] = list(neck.blocks)
    norms = [norm for block in blocks for norm in (block.norm1, block.norm2)]
    _fill(iter([*norms, neck.norm]), _norms(nodes, constants))
    linears = [layer for b in blocks for layer in (b.attend, b.project, b.expand, b.compress)]
    _fill(iter(linears), list(_linears(nodes, constants))[:-1])


def fill_classifier(decoder: CTCDecoder, model: Any, charset: Charset) -> None:
    """Copy the rows of the blank and of the characters of a charset.

    Raises:
        ValueError: the recogniser does not know one of the characters.
    """
    constants, nodes = _neck_and_classifier(model)
    *_, (weight, bias) = _linears(nodes, constants)
    rows = classifier_rows(model, charset, len(bias))
    with torch.no_grad():
        decoder.classify.weight.copy_(torch.tensor(weight[rows]))
        decoder.classify.bias.copy_(torch.tensor(bias[rows]))


def classifier_rows(model: Any, charset: Charset, number: int) -> list[int]:
    """Rows of the classifier for the blank and each character: line i of the metadata is row i + 1, the space the last.

    The classifier has ``number`` rows.

    Raises:
        ValueError: the graph does not name its characters, or lacks some of the charset's.
    """
    listed = [entry.value for entry in model.metadata_props if entry.key == CHARACTERS_KEY]
    if not listed:
        raise ValueError(
            f"the graph's metadata have no '{CHARACTERS_KEY}', so the rows of its classifier have no names."
        )
    row_of = {character: index + 1 for index, character in enumerate(listed[0].split("\n"))}
    row_of.setdefault(" ", number - 1)
    missing = [c for c in charset.characters if row_of.get(c, number) >= number]
    if missing:
        raise ValueError(f"the recogniser does not know {missing[:20]} of {charset.source}; leave them out.")
    return [0, *(row_of[c] for c in charset.characters)]


def logits_name(model: Any) -> str:
    """The tensor that the graph's last softmax takes."""
    return next(node.input[0] for node in reversed(model.graph.node) if node.op_type == "Softmax")


def _neck_and_classifier(model: Any) -> tuple[dict[str, np.ndarray], list]:
    from onnx.numpy_helper import to_array

    nodes = list(model.graph.node)
    pools = [index for index, node in enumerate(nodes) if node.op_type == "AveragePool"]
    if not pools:
        raise ValueError("the graph has no average pooling before a neck; is it a text recogniser of PP-OCRv6?")
    return {tensor.name: to_array(tensor) for tensor in model.graph.initializer}, nodes[pools[-1] + 1 :]


def _convolutions(nodes: list, constants: dict[str, np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    followers = {node.input[0]: node for node in nodes if node.op_type == "BatchNormalization"}
    for node in nodes:
        if node.op_type == "Conv":
            norm = followers[node.output[0]]
            scale, shift, mean, variance = (constants[name] for name in norm.input[1:5])
            epsilon = next(a.f for a in norm.attribute if a.name == "epsilon")
            factor = scale / np.sqrt(variance + epsilon)
            yield constants[node.input[1]] * factor[:, None, None, None], shift - mean * factor


def _norms(nodes: list, constants: dict[str, np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    divided = {node.output[0] for node in nodes if node.op_type == "Div"}
    for scale, shift in pairwise(nodes):
        if scale.op_type == "Mul" and scale.input[0] in divided and shift.op_type == "Add":
            yield constants[scale.input[1]], constants[shift.input[1]]


def _linears(nodes: list, constants: dict[str, np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    sums = (node for node in nodes if node.op_type == "Add" and node.input[1] in constants)
    biases = {node.input[0]: constants[node.input[1]] for node in sums}
    for node in nodes:
        if node.op_type == "MatMul" and node.input[1] in constants:
            yield constants[node.input[1]].T, biases[node.output[0]]


def _fill(modules: Iterator[Any], layers: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    for module, (weight, bias) in zip(modules, layers, strict=True):
        for parameter, value in ((module.weight, weight), (module.bias, bias)):
            _copy(parameter, value)


def _copy(parameter: Tensor, value: np.ndarray) -> None:
    if tuple(parameter.shape) != value.shape:
        raise ValueError(f"a layer of the neck has the shape {value.shape}, ours {tuple(parameter.shape)}.")
    with torch.no_grad():
        parameter.copy_(torch.tensor(value))
