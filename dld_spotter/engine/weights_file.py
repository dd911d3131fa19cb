"""Weights files, read without running anything that they hold, and without unpacking more than they are.

``.pth`` files are read by torch with ``weights_only``. ``.pkl`` files of Detectron2's model zoo are pickles, which can
call any function; ``ZooUnpickler`` knows names and arrays of numbers only, and makes the arrays itself.
"""

import os
import pickle
import re
import stat
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any, Literal

import numpy as np
import torch
from torch import Tensor

UNFINISHED = ".unfinished"  # how the name of a file ends that is being written


def read_checkpoint(path: str | os.PathLike, *, mapped: bool = True) -> dict[str, Any]:
    """The content of a checkpoint file, on the CPU.

    Args:
        path: of a .pth, .pkl or .pyth file.
        mapped: tensors of a .pth file are fetched from the disk only when used, so that the file must stay as it is.

    Returns:
        for .pkl and .pyth files a dictionary with "model", as Detectron2 makes it of its zoo's, Caffe2's and pycls's;
        else what the file holds.

    Raises:
        FileNotFoundError: there is no such file, or it is a folder, pipe or device.
        ValueError: the file is damaged, no checkpoint, or holds what weights do not need.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no checkpoint {path}, or it is no regular file; give a .pth or .pkl file.")
    try:
        content = _read_pickle(path) if path.endswith(".pkl") else _read_torch(path, mapped)
        if path.endswith((".pkl", ".pyth")):
            content = _in_detectron2_form(content)
    except Exception as error:  # damaged files make the readers raise nearly anything
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}: {reason}); it may be damaged or not "
            "completely copied. Copy it again, or use an earlier one."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no checkpoint: it holds a {type(content).__name__}, not a dictionary of weights.")
    return content


def check_weights(weights: Any, path: str) -> None:
    """Raise ValueError, naming the file and the entry, unless these are tensors by their names."""
    if not isinstance(weights, dict) or not weights:
        raise ValueError(f"{path} is no checkpoint: it holds no dictionary of weights.")
    size = os.path.getsize(path)
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, Tensor | np.ndarray):
            raise ValueError(f"{path} is no checkpoint: {name!r} in it is a {type(value).__name__}, not a tensor.")
        dense = isinstance(value, np.ndarray) or (value.layout == torch.strided and not value.is_quantized)
        # A tensor may repeat a few numbers without end; whoever copies it runs out of memory.
        if not dense or value.nbytes > size:
            raise ValueError(f"{path}: {name} claims to be larger than the file, or is no dense tensor.")


def write_whole(path: str | os.PathLike, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file so that at every moment the old content or the new one stands under its name.

    ``write`` takes the open file. Its folder is made where there is none.
    """
    path = os.fspath(path)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path + UNFINISHED, "wb") as stream:
        write(stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + UNFINISHED, path)


def _read_torch(path: str, mapped: bool) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            packed = [member.filename for member in archive.infolist() if member.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise ValueError(f"its member {packed[0]} is compressed, which torch.save never does")
        return torch.load(path, map_location="cpu", mmap=mapped, weights_only=True)
    return torch.load(path, map_location="cpu", weights_only=True)  # the form of torch 1.5 and before


def _in_detectron2_form(content: Any) -> dict[str, Any]:
    """As ``DetectionCheckpointer._load_file`` makes it of a .pkl or .pyth file."""
    if not isinstance(content, dict):
        raise ValueError("it holds no dictionary")
    if "model" in content and "__author__" in content:
        return content
    if "model_state" in content:
        state = {k: v for k, v in content["model_state"].items() if not k.endswith("num_batches_tracked")}
        return {"model": state, "__author__": "pycls", "matching_heuristics": True}
    blobs = content.get("blobs", content)  # detection models have "blobs", ImageNet's have not
    blobs = {name: value for name, value in blobs.items() if not name.endswith("_momentum")}
    return {"model": blobs, "__author__": "Caffe2", "matching_heuristics": True}


def _read_pickle(path: str) -> Any:
    with open(path, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise ValueError("it is no regular file")
        return _Resolver().resolve(ZooUnpickler(stream, encoding="latin1").load())


class _StandIn:
    """What a pickle may call in place of a NumPy function: keeps the arguments, and computes nothing."""

    def __init__(self, *arguments: Any):
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_StandIn):
    """``numpy.core.multiarray._reconstruct``, whose state is (version, shape, dtype, Fortran order, bytes)."""


class _ArrayOfBuffer(_StandIn):
    """``numpy.core.numeric._frombuffer``: bytes, dtype, shape, order."""


class _Scalar(_StandIn):
    """``numpy.core.multiarray.scalar``: dtype, bytes."""


class _Dtype(_StandIn):
    """``numpy.dtype``: its code; the second entry of the state is the byte order."""


class _Encoded(_StandIn):
    """``_codecs.encode`` or ``bytes``, by which protocols up to 2 write bytes: text and encoding, or nothing."""


class _Ndarray(_StandIn):
    """``numpy.ndarray``, which is only named."""


_ALLOWED: dict[tuple[str, str], type] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): _Ndarray,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encoded,
    ("__builtin__", "bytes"): _Encoded,  # of nothing
} | {
    (f"numpy.{core}.{module}", name): stand_in
    for core in ("core", "_core")  # of NumPy 1 and 2
    for module, name, stand_in in (
        ("multiarray", "_reconstruct", _Array),
        ("multiarray", "scalar", _Scalar),
        ("numeric", "_frombuffer", _ArrayOfBuffer),
    )
}


class ZooUnpickler(pickle._Unpickler):
    """Reads a pickle of dictionaries, lists, numbers, texts and NumPy arrays, and refuses to know anything else.

    It is the unpickler in Python, whose memo is a dictionary: the one in C takes memory for every index up to the
    largest that the file names. NumPy's own functions are not called either, since the state of a crafted dtype makes
    them take bytes for pointers.
    """

    def find_class(self, module: str, name: str) -> type:
        """The stand-in for a name.

        Raises:
            pickle.UnpicklingError: for names that weights do not need.
        """
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which weights do not need and which could run code"
            )
        return _ALLOWED[module, name]


class _Resolver:
    """Makes the values that stand-ins stand for."""

    # Booleans, integers, floating-point and complex numbers.
    _CODE = re.compile(r"[<>=|]?[biufc]\d{1,2}")

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}  # a value that occurs often is made once

    def resolve(self, value: Any) -> Any:
        """The value with arrays and numbers for stand-ins, and plain dictionaries for all kinds of them."""
        if id(value) not in self._done:
            self._done[id(value)] = self._resolve(value)
        return self._done[id(value)]

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.resolve(key): self.resolve(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.resolve(entry) for entry in value)
        if isinstance(value, _Array | _ArrayOfBuffer | _Scalar):
            return self._numbers(value)
        if isinstance(value, _Encoded):
            return self._bytes(value)
        if isinstance(value, _StandIn | type):
            raise pickle.UnpicklingError(f"a {type(value).__name__} stands where a value is expected")
        return value

    def _numbers(self, value: _StandIn) -> Any:
        if isinstance(value, _Array):
            shape, dtype, fortran, raw = value.state[-4:]
            return self._array(raw, dtype, shape, "F" if fortran else "C")
        if isinstance(value, _ArrayOfBuffer):
            return self._array(*value.arguments[:4])
        dtype, raw = value.arguments
        return self._array(raw, dtype, (), "C").item()

    def _array(self, raw: Any, dtype: Any, shape: Any, order: Literal["C", "F"]) -> np.ndarray:
        if not isinstance(dtype, _Dtype) or not self._CODE.fullmatch(str(dtype.arguments[0])):
            raise pickle.UnpicklingError("it holds an array of something else than numbers")
        kind = np.dtype(dtype.arguments[0])
        if dtype.state is not None and dtype.state[1] in ("<", ">"):
            kind = kind.newbyteorder(dtype.state[1])
        array = np.frombuffer(self._bytes(raw), kind).reshape(tuple(int(side) for side in shape), order=order)
        return array.astype(kind.newbyteorder("="), order="C")  # a copy, which torch may write to

    @staticmethod
    def _bytes(raw: Any) -> bytes | bytearray:
        if isinstance(raw, _Encoded):
            raw = raw.arguments[0] if raw.arguments else b""
        return raw.encode("latin1") if isinstance(raw, str) else raw
