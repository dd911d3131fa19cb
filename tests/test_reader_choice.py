"""What computes: the one that is asked for, or the first that is installed; what does not fit is one sentence."""

import importlib.util

import pytest
from fake_spotter import fake_cfg

from dld_spotter.calibration import Thresholds
from dld_spotter.predictor import TextPredictor
from dld_spotter.reader_choice import make_reader, pick_runtime
from dld_spotter.runtime.engines import load_graphs


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"torch", "detectron2", "openvino", "onnxruntime"}, "torch"),
        ({"torch", "openvino", "onnxruntime"}, "openvino"),
        ({"onnxruntime"}, "onnx"),
    ],
)
def test_auto_takes_the_first_that_is_installed(monkeypatch, installed, expected):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in installed else None)
    assert pick_runtime("auto") == expected and pick_runtime("onnx") == "onnx"


def test_nothing_to_read_with_and_unknown_runtimes(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"dld_spotter\[openvino\]"):
        pick_runtime("auto")
    with pytest.raises(ValueError, match="tensorrt"):
        pick_runtime("tensorrt")


@pytest.mark.parametrize(
    ("runtime", "changes", "says"),
    [
        ("onnx", {"weights": "x.pth"}, "need the runtime 'torch'"),
        ("onnx", {"device": "cuda"}, "need the runtime 'torch'"),
        ("onnx", {"config": ["photos", "other.yaml"]}, "one model"),
        ("onnx", {"opts": ["MODEL.DLD.FIXED_SCALE", 1.5]}, "FIXED_SCALE is 1.5"),
        ("onnx", {"precision": "float16"}, "float16"),
        ("torch", {"precision": "auto"}, "no other than 'float32'"),
    ],
)
def test_what_a_runtime_does_not_have(runtime, changes, says):
    arguments = {"config": ["synthetic-dld"], "weights": None, "device": "auto", "opts": [], "threads": 1}
    arguments |= {"thresholds": Thresholds(), "precision": "float32"} | changes
    if runtime == "onnx":
        pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match=says):
        make_reader(runtime, **arguments)


def test_models_say_whether_they_choose_scales(tmp_path):
    pytest.importorskip("onnxruntime")
    assert TextPredictor("synthetic-dld", runtime="onnx", threads=1).chooses_scale
    assert not TextPredictor("synthetic", runtime="onnx", threads=1).chooses_scale
    assert not TextPredictor(fake_cfg(tmp_path)[0], runtime="torch", device="cpu").chooses_scale


@pytest.mark.parametrize(("runtime", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_graph_that_is_none_is_named_in_one_line(tmp_path, runtime, package):
    pytest.importorskip(package)
    (tmp_path / "boxes.onnx").write_bytes(b"no graph")
    with pytest.raises(ValueError, match=f"boxes.onnx cannot be read as a graph .+update {package}") as raised:
        load_graphs({"boxes": tmp_path / "boxes.onnx"}, runtime)
    assert "\n" not in str(raised.value)
