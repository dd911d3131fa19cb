"""What computes when photos are read: PyTorch, or graphs on ONNX Runtime or OpenVINO; only what is chosen is loaded."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from dld_spotter.calibration import Calibration, Thresholds
    from dld_spotter.data.charset import Charset
    from dld_spotter.evaluation import protocol as scoring
    from dld_spotter.network_size import NetworkSize
    from dld_spotter.results import TextResult
    from dld_spotter.scale_costs import ScaleBound, ScaleCosts

RUNTIMES = ("auto", "torch", "onnx", "openvino")
PRECISIONS = ("float32", "auto")
_NEEDED = {"torch": ("torch", "detectron2"), "openvino": ("openvino",), "onnx": ("onnxruntime",)}


class Reader(Protocol):
    """What reads images, whatever it computes with.

    Attributes:
        size: at which the network sees images.
        protocol: the rule by which words are corrected with a lexicon.
        charset: of the model.
        chooses_scale: whether the model chooses the share of the full resolution, or can be given one.
        costs: of the scales that the model chooses from; None of a model that chooses none.
        calibration: of its scores; None where none is known.
    """

    size: NetworkSize
    protocol: scoring.Protocol
    charset: Charset
    chooses_scale: bool
    costs: ScaleCosts | None
    calibration: Calibration | None

    def read(self, images: Sequence[np.ndarray], scale: float | ScaleBound | None = None) -> list[TextResult]:
        """Results, still without a name, of arrays (H, W, 3) uint8 in BGR order.

        Args:
            images: to read.
            scale: read at this share of the full resolution, or let the model choose within a bound; None lets it
                choose among its candidates.

        Raises:
            ValueError: see ``scale_costs.check_scale``.
        """


def pick_runtime(runtime: str) -> str:
    """The runtime to use: the one that is asked for, or with "auto" the first that is installed.

    Raises:
        ValueError: an unknown one.
        ImportError: none is installed.
    """
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime is '{runtime}'; use one of {', '.join(RUNTIMES)}.")
    if runtime != "auto":
        return runtime
    for name, packages in _NEEDED.items():
        if all(importlib.util.find_spec(package) is not None for package in packages):
            return name
    raise ImportError(
        "there is nothing to read with: `pip install 'dld_spotter[openvino]'`, or [onnx], or [torch] for training, too."
    )


def make_reader(
    runtime: str,
    config: Any,
    weights: str | os.PathLike | None,
    device: str,
    opts: Sequence[Any],
    thresholds: Thresholds,
    precision: str,
    threads: int,
) -> Reader:
    """What reads; the arguments are those of ``TextPredictor``, and ``runtime`` is not "auto".

    Raises:
        As ``TextPredictor``.
    """
    if runtime == "torch":
        if precision != "float32":
            raise ValueError(f"precision is '{precision}'; the runtime 'torch' has no other than 'float32'.")
        from dld_spotter.torch_reader import TorchReader, limit_threads

        limit_threads(threads)
        return TorchReader(config, weights, device, opts, thresholds)
    if weights is not None or device not in ("auto", "cpu"):
        raise ValueError(
            f"the runtime '{runtime}' reads on the CPU, with the weights of its graphs; other weights and devices need "
            "the runtime 'torch'."
        )
    from dld_spotter.runtime import GraphReader

    return GraphReader.load(_one_model(config), runtime, opts, precision, threads, thresholds)


def _one_model(config: Any) -> str | os.PathLike:
    """The model of a runtime with graphs."""
    given = config if isinstance(config, (list, tuple)) else [config]
    if len(given) != 1 or not isinstance(given[0], (str, os.PathLike)):
        raise ValueError("graphs are those of one model: give its name or its folder, or use the runtime 'torch'.")
    return given[0]
