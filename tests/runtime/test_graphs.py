"""Exported graphs: they read what PyTorch reads, take their weights from the checkpoint, and need no PyTorch."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
import torch
import toy
from threadpoolctl import threadpool_info

from dld_spotter import TextPredictor
from dld_spotter.engine import graph_parts
from dld_spotter.engine.graph_export import export_graphs
from dld_spotter.engine.graph_weights import stored_tensors
from dld_spotter.pretrained import model_folder, pretrained_models
from dld_spotter.runtime import GraphReader
from dld_spotter.runtime.engines import OnnxGraph
from dld_spotter.runtime.settings import GraphSettings

SCENE = toy.ROOT / "projects/DLD/samples/scene_1.jpg"
WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "detectron2", "matplotlib", "scipy", "fvcore", "yacs"):
    sys.modules[name] = None
from dld_spotter import TextPredictor
(result,) = TextPredictor("paper-dld", runtime="onnx")(sys.argv[1])
print(result.text)
"""


SIGNALLED = """
import os, signal, sys
import cv2
from dld_spotter.runtime import GraphReader
signal.signal(signal.SIGUSR1, lambda *arguments: print("handled", flush=True))
GraphReader.load("photos-dld", "openvino", precision=sys.argv[2]).read([cv2.imread(sys.argv[1])])
os.kill(os.getpid(), signal.SIGUSR1)
print("alive")
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Copy of a shipped model whose graphs are written anew."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    shutil.copytree(model_folder("photos-dld"), folder)
    for graph in folder.glob("*.onnx"):
        graph.unlink()
    export_graphs(folder / "model.yaml")
    return folder


@pytest.mark.parametrize("name", pretrained_models())
def test_every_model_comes_with_graphs_that_read_the_same_words(name):
    (expected,) = TextPredictor(name, device="cpu", runtime="torch")(SCENE)
    assert len(expected.words) > 2
    for runtime in ("onnx", "openvino"):
        (result,) = TextPredictor(name, runtime=runtime)(SCENE)
        assert (result.scale, result.text) == (expected.scale, expected.text)
        for word, other in zip(result.words, expected.words, strict=True):
            assert abs(word.score - other.score) < 2e-3
            np.testing.assert_allclose(np.mean(word.polygon, axis=0), np.mean(other.polygon, axis=0), atol=1)


def test_the_shipped_graphs_are_those_that_the_export_writes(exported):
    shipped = model_folder("photos-dld")
    assert {path.name for path in exported.iterdir()} == {path.name for path in shipped.iterdir()}
    assert (exported / "graphs.json").read_text() == (shipped / "graphs.json").read_text()
    for path in exported.glob("*.onnx"):
        assert path.stat().st_size < 200_000, "the weights are in the checkpoint"


def test_a_graph_gives_what_its_module_gives_at_any_size(exported):
    model = TextPredictor("photos-dld", device="cpu", runtime="torch").model
    detector, graph = graph_parts.Detector(model).eval(), OnnxGraph(exported / "detector.onnx")
    for size in ((64, 160), (224, 96)):
        image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = dict(zip(detector.output_names(), detector(image), strict=True))
        found = graph(image=image.numpy())
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value.numpy(), atol=1e-3)


@pytest.mark.parametrize("words", [1, 5])
def test_a_recogniser_takes_any_number_of_words(words):
    model = TextPredictor("synthetic", device="cpu", runtime="torch").model
    part = graph_parts.AttentionRecogniser(model).eval()
    head = model.roi_heads.text_head
    pictures = torch.randn(words, 3, *head.pooler.rectifier.size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        tokens, scores = head.greedy(head.pooler.see(pictures))
        traced, traced_scores = part(pictures)
    found = OnnxGraph(model_folder("synthetic") / "recogniser.onnx")(words=pictures.numpy())
    for ours, ours_scores in ((traced.numpy(), traced_scores.numpy()), (found["tokens"], found["scores"])):
        np.testing.assert_array_equal(ours[:, : tokens.shape[1]], tokens.numpy())
        assert not ours[:, tokens.shape[1] :].any()
        np.testing.assert_allclose(ours_scores, scores.numpy(), rtol=1e-4)


def test_weights_are_found_in_the_checkpoint(tmp_path):
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "half": torch.randn(3, 4, generator=generator).half(),
        "turned": torch.randn(5, 2, 3, 3, generator=generator).to(memory_format=torch.channels_last),
        "part": torch.randn(10, generator=generator)[4:7],
        "count": torch.tensor(3),
    }
    path = tmp_path / "model.pth"
    torch.save({"model": tensors}, path)
    found = stored_tensors(path)
    assert found.keys() == tensors.keys() - {"count"}
    content = path.read_bytes()
    for name, place in found.items():
        dtype = np.float16 if name == "half" else np.float32
        count = int(np.prod(place.shape))
        values = np.frombuffer(content, dtype, count, place.offset).reshape([place.shape[a] for a in place.order])
        np.testing.assert_array_equal(values.transpose(np.argsort(place.order)), tensors[name].numpy())


def test_graphs_hold_no_weights_of_their_own(exported):
    graph = onnx.load(exported / "detector.onnx", load_external_data=False)
    outside = [tensor for tensor in graph.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    assert len(outside) > 100 and len(outside) == len(graph.graph.initializer)


def test_reading_needs_neither_torch_nor_detectron2():
    command = [sys.executable, "-c", WITHOUT_TORCH, str(SCENE)]
    run = subprocess.run(command, check=False, capture_output=True, text=True, cwd=toy.ROOT)
    assert "vaped" in run.stdout, run.stderr


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_signals_are_handled_beside_openvino(precision):
    """It would be a segmentation fault on processors with AMX."""
    command = [sys.executable, "-c", SIGNALLED, str(SCENE), precision]
    run = subprocess.run(command, check=False, capture_output=True, text=True, cwd=toy.ROOT)
    assert (run.returncode, run.stdout.split()) == (0, ["handled", "alive"]), run.stderr


def test_options_between_the_graphs_can_be_changed(exported):
    image = cv2.imread(str(SCENE))
    (small,) = TextPredictor(exported, runtime="onnx", opts=["MODEL.DLD.FIXED_SCALE", "0.35"])([image])
    assert small.scale == 0.35
    (limited,) = TextPredictor(exported, runtime="onnx", opts=["MODEL.DLD.SCALE_LIMIT", "0.35"])([image])
    assert limited.scale <= 0.35
    strict = ["TEST.TEXT.SCORE_THRESHOLD", "0.99", "TEST.TEXT.SCORE_POWERS", "(0.0, 1.0)"]
    (few,) = TextPredictor(exported, runtime="onnx", opts=strict)([image])
    assert all(word.text_score >= 0.99 and word.score == word.text_score for word in few.words)


@pytest.mark.parametrize(("powers", "kept"), [("(1.0, 0.0)", True), ("(1.0, 0.1)", False)])
def test_the_empty_text_counts_where_recognition_does_not(exported, monkeypatch, powers, kept):
    reader = GraphReader.load(exported, "onnx", ["TEST.TEXT.SCORE_POWERS", powers, "TEST.TEXT.SCORE_THRESHOLD", "0.0"])
    recognise = reader._recognise

    def nothing_is_recognised(*given):
        texts, *others = recognise(*given)
        return [""] * len(texts), *others

    monkeypatch.setattr(reader, "_recognise", nothing_is_recognised)
    (result,) = reader.read([cv2.imread(str(SCENE))])
    assert bool(result.words) is kept and all(word.text == "" and word.score == word.det_score for word in result.words)


@pytest.mark.parametrize(
    "opts",
    [
        ["MODEL.WEIGHTS", "x"],
        ["INPUT.MIN_SIZE_TEST", "many"],
        ["INPUT.MIN_SIZE_TEST", True],
        ["TEST.TEXT.SCORE_POWERS"],
    ],
)
def test_options_that_graphs_do_not_have_are_refused(exported, opts):
    with pytest.raises((KeyError, ValueError)):
        GraphReader.load(exported, "onnx", opts)


@pytest.mark.parametrize("spoil", ["{", '{"version": 1}', "[]"])
def test_a_damaged_description_is_one_sentence(exported, tmp_path, spoil):
    folder = shutil.copytree(exported, tmp_path / "model")
    (folder / "graphs.json").write_text(spoil)
    with pytest.raises(ValueError, match="export"):
        GraphSettings.read(folder)


def test_a_graph_elsewhere_or_of_another_version_is_refused(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "model")
    content = json.loads((folder / "graphs.json").read_text())
    (folder / "graphs.json").write_text(json.dumps(content | {"graphs": {"detector": "../detector.onnx"}}))
    with pytest.raises(FileNotFoundError):
        GraphSettings.read(folder)
    (folder / "graphs.json").write_text(json.dumps(content | {"version": 99}))
    with pytest.raises(ValueError, match="version"):
        GraphSettings.read(folder)
    with pytest.raises(FileNotFoundError):
        GraphSettings.read(tmp_path)


def test_a_damaged_graph_is_one_sentence(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "model")
    (folder / "boxes.onnx").write_bytes(b"no graph")
    for runtime in ("onnx", "openvino"):
        with pytest.raises(ValueError, match=r"boxes\.onnx"):
            GraphReader.load(folder, runtime)


def test_numpy_s_threads_do_not_compete_with_those_of_the_graphs(exported):
    reader, seen = GraphReader.load(exported), []

    def blas_threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    detector, before = reader.graphs["detector"], blas_threads()

    def watched(**inputs):
        seen.append(blas_threads())
        return detector(**inputs)

    reader.graphs = {**reader.graphs, "detector": watched}
    reader.read([np.full((96, 128, 3), 90, np.uint8)])
    assert before and seen == [[1] * len(before)] and blas_threads() == before
