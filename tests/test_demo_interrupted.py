"""tools/demo.py where something ends it, or costs it a photo: what was read is kept, and a run goes on."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from fake_spotter import FakeSpotter
from helpers.demo_runs import many, names_of, two_photos
from toy import load_script

from dld_spotter.reading.read_run import ReadRun


@pytest.fixture(scope="module")
def demo():
    return load_script("tools/demo.py")


@pytest.fixture
def photos(tmp_path):
    return two_photos(tmp_path)


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_an_interrupted_run_keeps_what_was_read_and_goes_on(demo, photos, tmp_path, capsys, monkeypatch, kind):
    folder, config = photos
    many(folder, 4)
    (folder / "broken.jpg").write_bytes(b"")
    words, drawn = tmp_path / f"words.{kind}", tmp_path / "drawn"
    arguments = ["--config-file", config, "--input", str(folder), "--output", str(drawn), f"--{kind}", str(words)]
    read = []
    forward = FakeSpotter.forward

    def interrupt(model, inputs):
        if len(read) == 3:
            raise KeyboardInterrupt
        read.append(inputs)
        return forward(model, inputs)

    monkeypatch.setattr(FakeSpotter, "forward", interrupt)
    assert demo.main(arguments) == 130
    assert "--resume" in capsys.readouterr().err.splitlines()[-1]
    assert names_of(words) == ["a.jpg", "b.png", "broken.jpg", "c0.png"]
    (drawn / "a.jpg").unlink()  # as if it had been interrupted between the record and the drawing
    read.append("goes on")
    assert demo.main([*arguments, "--resume"]) == 1  # broken.jpg failed
    assert names_of(words) == ["a.jpg", "b.png", "broken.jpg", "c0.png", "c1.png", "c2.png", "c3.png"]
    assert len(read) == 3 + 1 + 3  # none was read twice
    printed = capsys.readouterr()
    assert [line.split(":")[0] for line in printed.out.splitlines()] == ["c1.png", "c2.png", "c3.png"]
    assert sorted(path.stem for path in drawn.iterdir()) == ["a", "b", "c0", "c1", "c2", "c3"]
    before = words.read_bytes()
    assert demo.main([*arguments, "--resume"]) == 1 and words.read_bytes() == before and len(read) == 7


def test_ctrl_c_that_a_library_takes_for_its_own_error_is_ctrl_c(demo, photos, monkeypatch, capsys):
    folder, config = photos

    def load(self):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        except KeyboardInterrupt:
            raise ImportError("numpy failed to load") from None

    monkeypatch.setattr(ReadRun, "run", load)
    before = signal.getsignal(signal.SIGINT)
    assert demo.main([str(folder), "--config-file", config]) == 130
    assert capsys.readouterr().err == "error: interrupted.\n" and signal.getsignal(signal.SIGINT) is before


def test_records_and_drawings_are_there_as_soon_as_a_photo_is_read(demo, photos, tmp_path, monkeypatch):
    folder, config = photos
    many(folder, 3)
    words, drawn = tmp_path / "words.json", tmp_path / "drawn"
    seen = []
    forward = FakeSpotter.forward

    def look(model, inputs):
        seen.append((len(names_of(words)), len(list(drawn.iterdir()))))
        return forward(model, inputs)

    monkeypatch.setattr(FakeSpotter, "forward", look)
    arguments = ["--config-file", config, "--input", str(folder), "--output", str(drawn), "--json", str(words)]
    assert demo.main(arguments) == 0
    assert seen == [(number, number) for number in range(5)]


def test_a_closed_pipe_ends_the_run_and_keeps_what_was_read(demo, photos, tmp_path, monkeypatch, capfd):
    folder, config = photos
    many(folder, 3)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        arguments = ["--config-file", config, "--input", str(folder), "--jsonl", str(tmp_path / "words.jsonl")]
        assert demo.main(arguments) == 141
        closed.flush()
    assert names_of(tmp_path / "words.jsonl") == ["a.jpg"] and capfd.readouterr().err == ""


def test_one_photo_that_the_model_cannot_read_costs_one_photo(demo, photos, tmp_path, monkeypatch, capsys):
    folder, config = photos
    forward = FakeSpotter.forward

    def fail(model, inputs):
        if any(given["image"].max() == 0 for given in inputs):
            raise RuntimeError("out of memory")
        return forward(model, inputs)

    monkeypatch.setattr(FakeSpotter, "forward", fail)
    arguments = ["--config-file", config, "--input", str(folder), "--json", str(tmp_path / "words.json")]
    assert demo.main([*arguments, "--batch-size", "2"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["a.jpg: open24 vvay exit"] and "out of memory" in printed.err
    records = json.loads((tmp_path / "words.json").read_text(encoding="utf-8"))
    assert ["error" in record for record in records] == [False, True]


def test_a_full_disk_costs_the_drawing_and_not_the_record(demo, photos, tmp_path, monkeypatch, capsys):
    folder, config = photos

    def full(path, content):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    words = tmp_path / "words.json"
    arguments = ["--config-file", config, "--input", str(folder), "--json", str(words)]
    assert demo.main([*arguments, "--output", str(tmp_path / "drawn")]) == 1
    assert capsys.readouterr().err.count("No space left") == 2 and names_of(words) == ["a.jpg", "b.png"]
    assert not list((tmp_path / "drawn").iterdir())


def test_resume_needs_records(demo, photos, tmp_path, capsys):
    folder, config = photos
    arguments = ["--config-file", config, "--input", str(folder), "--resume"]
    assert demo.main(arguments) == 1 and "--jsonl" in capsys.readouterr().err
    (tmp_path / "other.json").write_text("my own\n")
    assert demo.main([*arguments, "--json", str(tmp_path / "other.json")]) == 1
    assert "other.json: line 1" in capsys.readouterr().err
    assert (tmp_path / "other.json").read_text() == "my own\n"
    assert (
        demo.main(["--config-file", config, "--input", str(folder), "--overwrite", "--json", str(folder / "a.jpg")])
        == 1
    )
    assert "would replace the photo" in capsys.readouterr().err


def test_a_run_that_goes_on_replaces_only_files_of_such_a_run(demo, photos, tmp_path, capsys):
    folder, config = photos
    words = str(tmp_path / "words.jsonl")
    arguments = [str(folder), "--config-file", config, "--jsonl", words, "--resume"]
    assert demo.main([str(folder / "a.jpg"), "--config-file", config, "--jsonl", words]) == 0
    for kind in ("csv", "text", "hocr"):
        path = tmp_path / f"mine.{kind}"
        for content in ("mine, and not to be lost\n", "<html>mine</html>"):
            path.write_text(content)
            assert demo.main([*arguments, f"--{kind}", str(path)]) == 1
            assert "no file of the run" in capsys.readouterr().err and path.read_text() == content
        path.unlink()
        assert demo.main([*arguments, f"--{kind}", str(path)]) == 0  # made from the records
        whole = path.read_bytes()
        for length in (0, 1, len(whole) // 2, len(whole)):  # as a kill may leave it
            path.write_bytes(whole[:length])
            assert demo.main([*arguments, f"--{kind}", str(path)]) == 0 and path.read_bytes() == whole
