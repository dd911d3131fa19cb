"""Weights of an ONNX graph that stay in the ``.pth`` file beside it, so that a model is stored once.

A ``.pth`` file is a zip archive whose members are not compressed, and ONNX lets a graph say at which byte of another
file a tensor begins.
"""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

_TYPES = {"HalfStorage": (TensorProto.FLOAT16, np.float16), "FloatStorage": (TensorProto.FLOAT, np.float32)}
_LOCAL_HEADER = 30  # bytes of a zip member's header before its name


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies in a ``.pth`` file.

    Attributes:
        kind: torch's name of its storage.
        offset: its first byte.
        shape, strides: in elements.
    """

    kind: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def order(self) -> list[int]:
        """The axes as they lie in the file, the outermost first; [] for a tensor with gaps or repetitions."""
        axes = sorted(range(len(self.shape)), key=lambda axis: (-self.strides[axis], self.shape[axis] == 1))
        expected, dense = 1, True
        for axis in reversed(axes):
            dense &= self.shape[axis] == 1 or self.strides[axis] == expected
            expected *= self.shape[axis]
        return axes if dense else []


def stored_tensors(path: str | os.PathLike) -> dict[str, StoredTensor]:
    """Of each tensor of ``{"model": {name: tensor}}`` where it lies; nothing that the file holds is run."""
    content = Path(path).read_bytes()
    with zipfile.ZipFile(path) as archive:
        index = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        tensors = _Index(archive.open(index)).load()["model"]
        root = index.removesuffix("data.pkl")
        found = {}
        for name, (storage, start, shape, strides) in tensors.items():
            kind, key = storage[0], storage[1]
            if kind not in _TYPES:
                continue
            header = archive.getinfo(f"{root}data/{key}").header_offset
            lengths = struct.unpack("<HH", content[header + 26 : header + _LOCAL_HEADER])
            itemsize = np.dtype(_TYPES[kind][1]).itemsize
            offset = header + _LOCAL_HEADER + sum(lengths) + start * itemsize
            found[name] = StoredTensor(kind, offset, tuple(shape), tuple(strides))
    return found


class _Index(pickle.Unpickler):
    """Knows tensors by their places alone."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, start, shape, strides, *rest: (storage, start, shape, strides)
        if module == "torch" and name.endswith("Storage"):
            return name
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"a weights file holds no {module}.{name}")

    def persistent_load(self, pid: Sequence[Any]) -> tuple[str, str]:
        return pid[1], pid[2]


def leave_weights(graph: onnx.ModelProto, weights: Path, prefix: str) -> None:
    """Let a graph take its weights from a file, in place; what is not in the file stays in the graph.

    Args:
        graph: its initialisers are called as the file's tensors, with a prefix.
        weights: the ``.pth`` file; it must lie beside the graph.
        prefix: see above.
    """
    _drop_copies(graph)
    stored = stored_tensors(weights)
    content = np.memmap(weights, np.uint8, "r")
    kept, nodes = [], []
    for tensor in graph.graph.initializer:
        place = stored.get(tensor.name.removeprefix(prefix))
        if place is None or tensor.data_type != TensorProto.FLOAT or not _equal(tensor, place, content):
            kept.append(tensor)
            continue
        external, made = _external(tensor.name, place, weights.name)
        kept.append(external)
        nodes += made
    others = list(graph.graph.node)
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend([*nodes, *others])


def _drop_copies(graph: onnx.ModelProto) -> None:
    """Use equal weights under one name: ONNX Runtime does not read every graph that copies one of another file."""
    names = {tensor.name for tensor in graph.graph.initializer}
    copies = {
        node.output[0]: node.input[0]
        for node in graph.graph.node
        if node.op_type == "Identity" and node.input[0] in names
    }
    nodes = [node for node in graph.graph.node if node.output[0] not in copies]
    for node in nodes:
        for index, name in enumerate(node.input):
            node.input[index] = copies.get(name, name)
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _equal(tensor: TensorProto, place: StoredTensor, content: np.ndarray) -> bool:
    """Whether the file holds just these numbers."""
    value = onnx.numpy_helper.to_array(tensor)
    if value.shape != place.shape or not place.order:
        return False
    dtype = np.dtype(_TYPES[place.kind][1])
    raw = np.frombuffer(content[place.offset : place.offset + value.size * dtype.itemsize].tobytes(), dtype)
    lying = raw.reshape([place.shape[axis] for axis in place.order])
    return bool(np.array_equal(lying.transpose(np.argsort(place.order)).astype(np.float32), value))


def _external(name: str, place: StoredTensor, file: str) -> tuple[TensorProto, list[onnx.NodeProto]]:
    """A tensor in the file, and the nodes that make it the float32 tensor that the graph expects."""
    stored_type, dtype = _TYPES[place.kind]
    shape = [place.shape[axis] for axis in place.order]
    external = TensorProto(name=f"{name}:stored", data_type=stored_type, dims=shape)
    external.data_location = TensorProto.EXTERNAL
    length = int(np.prod(shape)) * np.dtype(dtype).itemsize
    for key, value in (("location", file), ("offset", str(place.offset)), ("length", str(length))):
        external.external_data.add(key=key, value=value)
    nodes, last = [], external.name
    back = np.argsort(place.order).tolist()
    if back == sorted(back) and dtype is np.float32:
        external.name = name
        return external, []
    if back != sorted(back):
        nodes.append(helper.make_node("Transpose", [last], [f"{name}:turned"], perm=back))
        last = f"{name}:turned"
    nodes.append(helper.make_node("Cast", [last], [name], to=TensorProto.FLOAT))
    return external, nodes


def plain_graph(graph: onnx.ModelProto) -> None:
    """Without names and notes that only the exporter's authors need, in place."""
    for node in graph.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
