"""Weights files hold numbers: nothing in them is run, and none grows beyond its size."""

import io
import os
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict

import engine_toy
import numpy as np
import pytest
import torch
import toy
from detectron2.modeling import build_model
from torch import nn

from dld_spotter.engine import TextCheckpointer
from dld_spotter.engine.weights_file import check_weights, read_checkpoint, write_whole
from dld_spotter.predictor import TextPredictor


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(target):
    """Pickles that would make the file ``target``, by different opcodes and places."""
    touch = Runs(os.system, f"touch {target}")
    yield pickle.dumps(touch)
    yield pickle.dumps({"model": {"a": touch}, "__author__": "x", "matching_heuristics": True}, protocol=2)
    yield pickle.dumps({"blobs": OrderedDict(a=Runs(eval, f"open({str(target)!r}, 'w')"))}, protocol=0)
    yield pickle.dumps([touch], protocol=5)
    yield f"(S'touch {target}'\nios\nsystem\n.".encode()  # INST
    yield b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93" + _text(f"open({str(target)!r}, 'w')") + b"\x85R."
    # Names that lead on from an allowed module.
    yield b"\x80\x04\x8c\x05numpy\x8c\x14_core.numeric.os.x\x93."
    yield b"\x80\x04\x8c\x0bcollections\x8c\x09abc.sys.x\x93."
    yield b"\x80\x02cnumpy.core.multiarray\nfrombuffer\n."
    yield b"\x80\x02cnumpy\nload\n" + _text(str(target)) + b"\x85R."
    yield b"\x80\x02\x82\x01."  # EXT1


def _text(text):
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def spotter():
    return build_model(toy.tiny_cfg("MODEL.META_ARCHITECTURE", "ToySpotter"))


def test_a_pickle_runs_nothing(tmp_path):
    target, path = tmp_path / "was_here", tmp_path / "weights.pkl"
    for number, content in enumerate(attacks(target)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"weights\.pkl"):
            read_checkpoint(path)
        with pytest.raises(ValueError, match=r"weights\.pkl"):
            TextCheckpointer(spotter()).load(str(path))
        assert not target.exists(), number


def test_no_way_to_weights_runs_a_pickle(tmp_path):
    target, path = tmp_path / "was_here", tmp_path / "weights.pkl"
    path.write_bytes(next(attacks(target)))
    cfg = engine_toy.toy_cfg(tmp_path, "MODEL.WEIGHTS", str(path))
    with pytest.raises(ValueError, match=r"weights\.pkl"):
        TextPredictor(cfg)
    with pytest.raises(ValueError, match=r"weights\.pkl"):
        engine_toy.train(cfg)
    output = tmp_path / "output"
    output.mkdir(exist_ok=True)
    path.rename(output / "weights.pkl")
    (output / "last_checkpoint").write_text("weights.pkl")
    with pytest.raises(ValueError, match=r"weights\.pkl"):
        engine_toy.train(cfg, resume=True)
    assert not target.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.pyth", "weights"])
def test_a_torch_file_runs_nothing(tmp_path, name):
    target = tmp_path / "was_here"
    for legacy in (True, False):
        torch.save(
            {"model": {"a": Runs(os.system, f"touch {target}")}},
            tmp_path / name,
            _use_new_zipfile_serialization=not legacy,
        )
        with pytest.raises(ValueError, match="weights"):
            read_checkpoint(tmp_path / name)
    assert not target.exists()


def test_a_crafted_dtype_cannot_make_pointers_of_bytes(tmp_path):
    """NumPy itself would take eight bytes for an object's address, since the state says that there is no object."""
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x08AAAAAAAAtb."
    )
    pickletools.dis(content, io.StringIO())  # it is a whole pickle
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(ValueError, match="something else than numbers"):
        read_checkpoint(tmp_path / "a.pkl")


def test_a_large_memo_index_takes_no_memory(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02}r" + struct.pack("<I", 2**31 - 1) + b".")
    assert read_checkpoint(tmp_path / "a.pkl") == {"model": {}, "__author__": "Caffe2", "matching_heuristics": True}


def zoo_arrays():
    rng = np.random.default_rng(0)
    return {
        "conv.weight": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "conv.bias": np.arange(4, dtype=">f8"),
        "text_head.encode.weight": np.asfortranarray(rng.standard_normal((6, 4))),
        "half": rng.standard_normal(3).astype(np.float16),
        "count": np.array(7),
        "flags": np.array([True, False]),
        "none": np.zeros((0, 3), np.uint8),
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_the_model_zoo_are_read_as_numpy_reads_them(tmp_path, protocol):
    content = {"model": OrderedDict(zoo_arrays()), "__author__": "Detectron2 Model Zoo", "matching_heuristics": True}
    content |= {"scalar": np.float32(1.5), "notes": [1, "x", (2.5, None, True, b"raw")]}
    (tmp_path / "zoo.pkl").write_bytes(pickle.dumps(content, protocol))
    found = read_checkpoint(tmp_path / "zoo.pkl")
    for name, expected in zoo_arrays().items():
        array = found["model"].pop(name)
        assert array.dtype == expected.dtype.newbyteorder("=") and array.flags.writeable
        np.testing.assert_array_equal(array, expected)
    assert found.pop("model") == {} and found.pop("scalar") == 1.5
    assert found == {key: value for key, value in content.items() if key not in ("model", "scalar")}


def test_pickles_of_python_2_and_caffe2_are_read(tmp_path):
    """As Detectron1 wrote them: Python 2's texts, NumPy 1's names, "blobs" with momenta."""
    content = (
        b"\x80\x02}U\x05blobs}(U\x06conv_wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x08" + struct.pack("<ff", 0.5, -2) + b"tbU\x0fconv_w_momentumK\x01us."
    )
    expected = pickle.loads(content.replace(b"numpy.core.", b"numpy._core."), encoding="latin1")
    (tmp_path / "R-50.pkl").write_bytes(content)
    found = read_checkpoint(tmp_path / "R-50.pkl")
    assert found["__author__"] == "Caffe2" and found["matching_heuristics"] and found["model"].keys() == {"conv_w"}
    np.testing.assert_array_equal(found["model"]["conv_w"], expected["blobs"]["conv_w"])


def test_a_zoo_pickle_loads_into_a_model(tmp_path):
    trained, model = spotter(), spotter()
    weights = {name: value.numpy() for name, value in trained.state_dict().items()}
    content = {"model": weights, "__author__": "third party", "matching_heuristics": True}
    (tmp_path / "zoo.pkl").write_bytes(pickle.dumps(content))
    TextCheckpointer(model).load(str(tmp_path / "zoo.pkl"))
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("value", [np.array(["text"]), np.array([None]), np.zeros(2, "M8[s]"), np.zeros(2, "f4,i4")])
def test_arrays_of_something_else_are_refused(tmp_path, value):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": {"x": value}, "__author__": "x"}))
    with pytest.raises(ValueError, match=r"a\.pkl"):
        read_checkpoint(tmp_path / "a.pkl")


def test_a_compressed_archive_is_not_unpacked(tmp_path):
    torch.save({"model": {"a": torch.zeros(300_000)}}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as archive, zipfile.ZipFile(tmp_path / "bomb.pth", "w") as bomb:
        for member in archive.infolist():
            bomb.writestr(member.filename, archive.read(member), zipfile.ZIP_DEFLATED)
    assert os.path.getsize(tmp_path / "bomb.pth") < 10_000
    for mapped in (True, False):
        with pytest.raises(ValueError, match="compressed"):
            read_checkpoint(tmp_path / "bomb.pth", mapped=mapped)


def test_tensors_that_only_claim_to_be_large_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    torch.save({"model": {"wide": torch.zeros(1).expand(10**12)}}, path)
    with pytest.raises(ValueError, match=r"a\.pth: wide"):
        check_weights(read_checkpoint(path)["model"], str(path))
    model = spotter()
    key = "text_head.charset_code_points"
    for codes in (torch.zeros(1, dtype=torch.long).expand(10**12), torch.tensor([-1, 2**40]), torch.rand(36)):
        torch.save({"model": model.state_dict() | {key: codes}}, path)
        with pytest.raises(ValueError, match=rf"a\.pth.*{key}"):
            TextCheckpointer(model).load(str(path))


@pytest.mark.parametrize("content", [{"a": 1}, {"model": {"a": "x"}}, {"model": {1: torch.zeros(1)}}, {"model": {}}])
def test_what_is_not_weights_is_named(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth is no checkpoint"):
        TextCheckpointer(spotter()).load(str(tmp_path / "a.pth"))


def test_pipes_and_folders_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.pkl")
    os.mkfifo(tmp_path / "pipe.pth")
    for path in (tmp_path, tmp_path / "pipe.pkl", tmp_path / "pipe.pth", "/dev/zero", tmp_path / "gone.pth"):
        with pytest.raises(FileNotFoundError):
            read_checkpoint(path)
        with pytest.raises(FileNotFoundError):
            TextCheckpointer(spotter()).load(str(path))


@pytest.mark.parametrize(
    "tag",
    ["../outside.pth", "/etc/passwd", "https://example.org/a.pth", "a.pth?matching_heuristics=True", "", "model", "."],
)
def test_last_checkpoint_names_a_file_beside_it(tmp_path, tag):
    folder = tmp_path / "output"
    folder.mkdir()
    TextCheckpointer(spotter(), str(tmp_path)).save("outside")
    (folder / "last_checkpoint").write_text(tag)
    with pytest.raises(ValueError, match="last_checkpoint"):
        TextCheckpointer(spotter(), str(folder)).resume_or_load("", resume=True)


def test_a_pipe_as_last_checkpoint_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "last_checkpoint")
    with pytest.raises(ValueError, match="last_checkpoint"):
        TextCheckpointer(spotter(), str(tmp_path)).resume_or_load("", resume=True)


def test_a_run_does_not_go_on_from_a_file_without_its_state(tmp_path):
    cfg = engine_toy.toy_cfg(tmp_path)
    os.makedirs(cfg.OUTPUT_DIR)
    TextCheckpointer(spotter(), cfg.OUTPUT_DIR).save("exported")
    with pytest.raises(ValueError, match=r"exported\.pth holds no state of a training"):
        engine_toy.train(cfg, resume=True)


def test_a_file_is_whole_or_the_old_one(tmp_path):
    path = tmp_path / "new folder" / "a"
    write_whole(path, lambda stream: stream.write(b"old"))

    def fails(stream):
        stream.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, fails)
    assert path.read_bytes() == b"old"


def test_files_of_old_torch_are_read(tmp_path):
    layer = nn.Linear(2, 3)
    torch.save({"model": layer.state_dict()}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    found = read_checkpoint(tmp_path / "old.pth")["model"]
    assert all(torch.equal(found[name], value) for name, value in layer.state_dict().items())
