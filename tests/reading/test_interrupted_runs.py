"""Runs that are stopped in every way: nothing that was read is lost, and nothing is read twice afterwards."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import toy
from helpers import stub_reading

SCRIPT = toy.ROOT / "tests" / "helpers" / "stub_reading.py"
WORKERS = pytest.mark.parametrize("workers", [0, 2])


class Run:
    """Runs over photos in a folder, with their records and the list of what was read."""

    def __init__(self, folder, values, workers):
        self.folder, self.workers = folder, workers
        self.words, self.log = folder / "words.jsonl", folder / "log"
        (folder / "photos").mkdir()
        for index, value in enumerate(values):
            image = np.full((60, 80, 3), value, np.uint8)
            cv2.imwrite(str(folder / "photos" / f"p{index:02}.png"), image)
        self.log.touch()

    def start(self, *more, delay=0.0, photos=None, workers=None, **kwargs):
        env = os.environ | {"PYTHONPATH": str(toy.ROOT), "STUB_LOG": str(self.log), "STUB_DELAY": str(delay)}
        arguments = [str(self.folder / "photos") if photos is None else photos, *more]
        arguments += ["--workers", str(self.workers if workers is None else workers)]
        command = [sys.executable, str(SCRIPT), *arguments]
        kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | kwargs
        return subprocess.Popen(command, env=env, text=True, cwd=self.folder, start_new_session=True, **kwargs)

    def finish(self, *more, **kwargs):
        """Run to the end: exit code, lines of standard output and of standard error."""
        process = self.start(*more, **kwargs)
        out, err = process.communicate(timeout=60)
        return process.returncode, (out or "").splitlines(), err.splitlines()

    def read_values(self):
        return [int(line.split()[0]) for line in self.log.read_text().splitlines()]

    def records(self):
        return [json.loads(line) for line in self.words.read_text().splitlines()]

    def check_resumed(self, kept, values):
        """Go on with a run of which these records were kept: the others are read, and each once."""
        self.log.write_text("")
        outputs = ("--jsonl", "words.jsonl", "--csv", "words.csv", "--hocr", "words.html")
        code, out, _ = self.finish(*outputs, "--resume", workers=0)
        assert code == 0 and self.records()[: len(kept)] == kept
        assert [words_of(record) for record in self.records()] == [f"w{value}" for value in values]
        assert sorted(self.read_values()) == sorted(values[len(kept) :])
        assert len(out) == len(values) - len(kept)
        csv = (self.folder / "words.csv").read_text().splitlines()[1:]
        assert [line.split(",")[3] for line in csv] == [f"w{value}" for value in values]
        pages = ElementTree.parse(self.folder / "words.html").iter("{http://www.w3.org/1999/xhtml}div")
        assert [page.get("id") for page in pages] == [f"page_{number + 1}" for number in range(len(values))]


def words_of(record):
    return " ".join(word["text"] for word in record["words"])


def read_lines(process, number):
    return [process.stdout.readline() for _ in range(number)]


def ends(pid):
    """Whether a process ends within some seconds."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


VALUES = list(range(10, 18))


@WORKERS
@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_loses_nothing(tmp_path, workers, kill):
    run = Run(tmp_path, VALUES, workers)
    outputs = ("--jsonl", "words.jsonl", "--csv", "words.csv", "--hocr", "words.html", "--text", "words.txt")
    process = run.start(*outputs, delay=0.2)
    lines = read_lines(process, 2)
    if kill == signal.SIGINT:  # Ctrl-C goes to all processes of the terminal
        os.killpg(process.pid, kill)
    else:
        process.kill()
    _, err = process.communicate(timeout=60)
    kept = run.records()
    assert [words_of(record) for record in kept[:2]] == ["w10", "w11"] == [line.split()[-1] for line in lines]
    assert len(kept) < len(VALUES)
    if kill == signal.SIGINT:
        assert process.returncode == 130 and err == "error: interrupted. --resume goes on with words.jsonl.\n"
        assert len(ElementTree.parse(tmp_path / "words.html").findall(".//*[@class='ocr_page']")) >= 2
    pids = {int(line.split()[1]) for line in run.log.read_text().splitlines()}
    assert len(pids) == max(workers, 1) and all(map(ends, pids))
    run.check_resumed(kept, VALUES)


@WORKERS
def test_a_closed_pipe_ends_the_run_and_loses_nothing(tmp_path, workers):
    run = Run(tmp_path, VALUES, workers)
    process = run.start("--jsonl", "words.jsonl", delay=0.1)
    read_lines(process, 1)
    process.stdout.close()
    assert process.wait(60) == 141 and process.stderr.read() == ""
    kept = run.records()
    assert 1 <= len(kept) < len(VALUES)
    run.check_resumed(kept, VALUES)


@WORKERS
@pytest.mark.parametrize("limited", ["json", "jsonl"])
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, workers, limited):
    run = Run(tmp_path, VALUES, workers)
    run.words = tmp_path / f"words.{limited}"
    limit = 600  # bytes of a file: some records

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    code, out, err = run.finish(f"--{limited}", run.words.name, preexec_fn=fill)
    assert code == 1 and len(err) == 1 and run.words.name in err[0] and "File too large" in err[0]
    text = run.words.read_text()
    kept = json.loads(text) if limited == "json" else [json.loads(line) for line in text.splitlines()]
    assert 1 <= len(kept) == len(out) < len(VALUES) and len(text) <= limit
    if limited == "jsonl":
        run.check_resumed(kept, VALUES)


@WORKERS
def test_a_full_standard_output_is_one_sentence(tmp_path, workers):
    run = Run(tmp_path, VALUES, workers)
    with open("/dev/full", "w") as full:
        code, _, err = run.finish("--jsonl", "words.jsonl", stdout=full)
    assert code == 1 and len(err) == 1 and "standard output" in err[0] and "No space left" in err[0]
    run.check_resumed(run.records(), VALUES)


@WORKERS
def test_photos_that_fail_cost_themselves(tmp_path, workers):
    values = [10, stub_reading.RAISES, 11, stub_reading.FULL_MEMORY, 12]
    run = Run(tmp_path, values, workers)
    code, out, err = run.finish("--jsonl", "words.jsonl")
    assert code == 1 and [line.split()[-1] for line in out] == ["w10", "w11", "w12"]
    assert [line.split(":")[:2] for line in err] == [["error", " p01.png"], ["error", " p03.png"]]
    assert "no such layer" in err[0] and "more" not in err[0] and "MemoryError" in err[1]
    assert ["error" in record for record in run.records()] == [False, True, False, True, False]
    run.log.write_text("")
    assert run.finish("--jsonl", "words.jsonl", "--resume", workers=0)[0] == 1 and run.read_values() == []


def test_a_process_that_dies_costs_its_photo_and_is_replaced(tmp_path):
    kills = stub_reading.KILLS
    run = Run(tmp_path, [10, kills, 11, kills, kills, 12, 13], 2)
    code, out, err = run.finish("--jsonl", "words.jsonl", "--output", "drawn")
    assert code == 1 and [line.split()[-1] for line in out] == ["w10", "w11", "w12", "w13"]
    assert [line.split(":")[1] for line in err] == [" p01.png", " p03.png", " p04.png"]
    assert all("SIGKILL" in line for line in err)
    assert [record["file_name"] for record in run.records()] == [f"p{index:02}.png" for index in range(7)]
    assert len(list((tmp_path / "drawn").iterdir())) == 4


@WORKERS
def test_paths_from_standard_input_are_read_as_they_come(tmp_path, workers):
    run = Run(tmp_path, VALUES[:3], workers)
    process = run.start("p99.png", "--jsonl", "words.jsonl", photos="-", stdin=subprocess.PIPE)
    for index, value in enumerate(VALUES[:2]):
        process.stdin.write(f"photos/p{index:02}.png\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"p{index:02}.png: w{value}\n"  # before the next one is named
    out, err = process.communicate("\nphotos/p02.png", timeout=60)
    assert out == "p02.png: w12\n" and "p99.png" in err and process.returncode == 1
    assert [record["file_name"] for record in run.records()] == ["p00.png", "p01.png", "p02.png", "p99.png"]
    run.log.write_text("")
    process = run.start("--jsonl", "words.jsonl", "--resume", photos="-", workers=0, stdin=subprocess.PIPE)
    process.communicate("photos/p01.png\nphotos/p02.png\nphotos/p00.png\n", timeout=60)
    assert process.returncode == 0 and run.read_values() == []
