"""Seconds a photo and peak memory of reading with each runtime, beside RapidOCR where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dld_spotter.analysis.benchmarking import take_turns
from dld_spotter.predictor import TextPredictor

OURS = ("torch", "onnx", "openvino", "openvino:auto")
RAPID_OCR = {"onnx": "onnxruntime", "openvino": "openvino"}  # our name of a runtime -> RapidOCR's


def readers(models: Sequence[str]) -> dict[str, Callable[[np.ndarray], object]]:
    """Functions that read a BGR image, by what they are: each model with each runtime, and RapidOCR.

    "openvino:auto" computes with what OpenVINO takes on this machine, as RapidOCR lets it.
    """
    found: dict[str, Callable[[np.ndarray], object]] = {}
    for model in models:
        for spec in OURS:
            runtime, _, precision = spec.partition(":")
            predictor = TextPredictor(model, device="cpu", runtime=runtime, precision=precision or "float32")
            found[f"{model}, {spec}"] = predictor
    if importlib.util.find_spec("rapidocr") is not None:
        found |= {f"RapidOCR, {name}": _rapid_ocr(engine) for name, engine in RAPID_OCR.items()}
    return found


def _rapid_ocr(engine: str) -> Callable[[np.ndarray], object]:
    """RapidOCR as it comes, with one of its engines."""
    from rapidocr import EngineType, RapidOCR

    kind: Any = EngineType(engine)
    parts = ("Det", "Cls", "Rec")
    return RapidOCR(params={f"{part}.engine_type": kind for part in parts} | {"Global.log_level": "error"})


def seconds_a_photo(
    found: dict[str, Callable[[np.ndarray], object]], photos: Sequence[np.ndarray], repeats: int
) -> dict[str, np.ndarray]:
    """(repeats,) mean seconds a photo of each reader; they take turns photo by photo."""
    totals = {name: np.zeros(repeats) for name in found}
    for photo in photos:
        jobs = {name: (lambda read=read, photo=photo: read(photo)) for name, read in found.items()}
        for name, seconds in take_turns(jobs, repeats).items():
            totals[name] += np.asarray(seconds) / len(photos)
    return totals
