""".mat files are read by another process, which damaged ones may end or keep busy."""

import os
import signal
from io import BytesIO

import numpy as np
import pytest
from scipy.io import savemat

from dld_spotter.data.converters import mat_reader
from dld_spotter.data.converters.mat_reader import MatReader


def mat(**variables):
    stream = BytesIO()
    savemat(stream, variables)
    return stream.getvalue()


def row(*cells):
    table = np.empty((1, len(cells)), dtype=object)
    for place, cell in enumerate(cells):
        table[0, place] = cell
    return table


@pytest.fixture(scope="module")
def reader():
    with pytest.MonkeyPatch.context() as patch, MatReader(seconds=60) as reader:
        patch.delenv("PYTHONUNBUFFERED", raising=False)  # the other process must write out what it answers by itself
        yield reader


def test_cells_come_as_numbers_texts_and_lists(reader):
    table = row(np.array([[1, 2]], np.uint8), np.array([1.5, np.inf]), "word", row("nested"))
    (cells,) = reader.table(mat(gt=table), ("polygt", "gt"))
    assert [cell.tolist() for cell in cells[:2]] == [[[1, 2]], [[1.5, np.inf]]]
    assert cells[2:] == [["word"], [[["nested"]]]]


def test_what_is_no_number_costs_its_row(reader):
    table = np.concatenate([row(np.array([1j])), row("word")])
    first, second = reader.table(mat(gt=table), ["gt"])
    assert "real number" in first["error"]
    assert second == [["word"]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "scipy"),
        (b"nonsense" * 50, "scipy"),
        (mat(other=1), "no table polygt or gt"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\0" * 200, r"7\.3"),
    ],
)
def test_files_that_are_none(reader, data, message):
    with pytest.raises(ValueError, match=message):
        reader.table(data, ("polygt", "gt"))


def test_a_small_file_that_claims_to_be_large(reader):
    """A zlib stream of zeros, 1000 times as large when unpacked."""
    data = mat(gt=np.zeros((1000, 1000)))
    size = data.index((8_000_000).to_bytes(4, "little"))
    huge = data[:size] + (2**31 - 8).to_bytes(4, "little") + data[size + 4 :]
    with pytest.raises(ValueError, match=r"scipy|damaged"):
        reader.table(huge, ["gt"])


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Another program for the other process."""

    def replace(code):
        (tmp_path / "worker.py").write_text(f"import os, signal, sys, time\nprint('{{}}', flush=True)\n{code}\n")
        monkeypatch.setattr(mat_reader, "_WORKER", tmp_path / "worker.py")

    return replace


@pytest.mark.parametrize("code", ["os.kill(os.getpid(), signal.SIGSEGV)", "time.sleep(60)", "sys.stdin.readline()"])
def test_a_file_that_ends_the_process_or_never_ends_is_an_error(worker, code):
    worker(code)
    with MatReader(seconds=1) as reader, pytest.raises(ValueError, match="damaged"):
        reader.table(b"x" * 1_000_000, ["gt"])


def test_the_process_starts_anew_after_its_end():
    with MatReader(seconds=60) as reader:
        data = mat(gt=row("word"))
        assert reader.table(data, ["gt"]) == [[["word"]]]
        os.kill(reader._process.pid, signal.SIGSEGV)
        reader._process.wait()
        with pytest.raises(ValueError, match="damaged"):
            reader.table(data, ["gt"])
        assert reader.table(data, ["gt"]) == [[["word"]]]


def test_columns_come_row_after_row(reader, tmp_path):
    savemat(tmp_path / "a.mat", {"a": row("x", "y"), "b": row(1, 2), "c": row(1)})
    count, rows = reader.columns(tmp_path / "a.mat", ["a", "b"])
    assert (count, [(row[0], row[1].item()) for row in rows]) == (2, [(["x"], 1), (["y"], 2)])
    with pytest.raises(ValueError, match="differ in length"):
        reader.columns(tmp_path / "a.mat", ["a", "c"])
    with pytest.raises(ValueError, match="has no d"):
        reader.columns(tmp_path / "a.mat", ["a", "d"])
