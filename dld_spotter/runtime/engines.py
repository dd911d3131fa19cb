"""One exported graph on ONNX Runtime or OpenVINO, called with arrays."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from dld_spotter.reader_choice import PRECISIONS


class Graph(Protocol):
    """Inputs by name to outputs by name; the outputs may be overwritten when the graph is called again."""

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]: ...


class _SignalStack(ctypes.Structure):
    """The C library's ``stack_t``."""

    _fields_: ClassVar = [("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def _leave_signal_stack() -> None:
    """Let this thread handle signals on its usual stack again.

    OpenVINO gives the thread that loads it a stack of its own for signals. On processors with AMX that one is too
    small: Ctrl-C, or a child process that ends, would end the process with a segmentation fault.
    """
    if sys.platform == "linux":
        disable = 2  # SS_DISABLE
        ctypes.CDLL(None).sigaltstack(ctypes.byref(_SignalStack(None, disable, 0)), None)


class OnnxGraph:
    """A graph on ONNX Runtime.

    Args:
        path: of the ``.onnx`` file.
        threads: 0 for as many as the machine has.
    """

    def __init__(self, path: Path, threads: int = 0):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # what it says of small things no user can change
        # Its arena would keep the largest photo's memory for good.
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self._outputs, self._session.run(None, inputs), strict=True))


class OpenVinoGraph:
    """A graph on OpenVINO.

    Args:
        path: of the ``.onnx`` file.
        threads: 0 for as many as the machine has.
        precision: "float32", or "auto" for what OpenVINO takes on this machine.
        number: size of the first axis where it is known. OpenVINO plans better for shapes that it knows.
    """

    def __init__(self, path: Path, threads: int = 0, precision: str = "float32", number: int | None = None):
        import openvino

        core = openvino.Core()
        model = core.read_model(os.fspath(path))
        if number is not None:
            shape = model.input(0).partial_shape
            shape[0] = number
            model.reshape(shape)
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        if precision == "float32":
            config["INFERENCE_PRECISION_HINT"] = "f32"
        self._model = core.compile_model(model, "CPU", config)
        self._request = self._model.create_infer_request()
        self._outputs = [output.get_any_name() for output in self._model.outputs]

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        self._request.infer(inputs, share_inputs=True)
        return {name: self._request.get_tensor(name).data for name in self._outputs}


_PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}


def load_graphs(
    files: Mapping[str, Path],
    runtime: str,
    precision: str = "float32",
    threads: int = 0,
    numbers: Mapping[str, int] | None = None,
) -> dict[str, Graph]:
    """The graphs of a model.

    Args:
        files: name -> ``.onnx`` file.
        runtime: "onnx" or "openvino".
        precision: see ``OpenVinoGraph``; ONNX Runtime computes in float32.
        threads: 0 for as many as the machine has.
        numbers: name -> ``number`` of ``OpenVinoGraph``, where it is known.

    Raises:
        ImportError: the runtime is not installed.
        ValueError: an unknown precision, or a graph that the runtime cannot read.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is '{precision}'; use one of {', '.join(PRECISIONS)}.")

    def load(name: str) -> Graph:
        path = files[name]
        try:
            if runtime == "onnx":
                return OnnxGraph(path, threads)
            return OpenVinoGraph(path, threads, precision, (numbers or {}).get(name))
        except ImportError as error:
            raise ImportError(
                f"the runtime '{runtime}' needs {_PACKAGES[runtime]}: `pip install 'dld_spotter[{runtime}]'`."
            ) from error
        except Exception as error:  # of classes that the runtimes do not publish
            reason = str(error).strip().rpartition("\n")[2]  # before it stands where in the runtime it happened
            raise ValueError(
                f"{path} cannot be read as a graph ({reason}); update {_PACKAGES[runtime]}, or export the model again."
            ) from error

    # Half of the time until the first photo is OpenVINO's planning, which one thread does for each graph.
    with ThreadPoolExecutor(max(1, len(files))) as pool:
        loaded = dict(zip(files, pool.map(load, files), strict=True))
    if runtime == "openvino":
        _leave_signal_stack()
    return loaded
