"""A few damaged files for every reader, the same ones each time; ``python -m tests.fuzz.run`` tries more."""

import logging
import os

import pytest

from tests.fuzz.run import damaged, run_cases, run_target
from tests.fuzz.targets import TARGETS, Finding, Target, workplace

CASES = 150  # of each target; all of them take about a minute


@pytest.fixture(scope="module")
def place():
    logging.disable()
    with workplace() as place:
        yield place
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files(name, place):
    assert [str(failure) for failure in run_cases(name, 0, range(CASES), place)] == []


@pytest.mark.parametrize("name", TARGETS)
def test_whole_files_are_read(name, place):
    """Without this the fuzzer could damage what was of no use before."""
    (place.folder / "whole").mkdir(exist_ok=True)
    for file, content in TARGETS[name].files.items():
        path = place.folder / "whole" / file
        path.write_bytes(content)
        TARGETS[name].read(path, place)
        path.unlink()


def _fail(error):
    raise error


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (TypeError("x"), "TypeError"),
        (ValueError("x"), "without the name of the file"),
        (Finding("the output holds NaN"), "the output holds NaN"),
    ],
)
def test_what_a_reader_must_not_do_is_a_failure(monkeypatch, place, error, what):
    monkeypatch.setitem(TARGETS, "bad", Target({"a.txt": b"a"}, lambda rng, data: data, lambda *_: _fail(error)))
    (failure,) = run_cases("bad", 0, [7], place)
    assert (failure.target, failure.case) == ("bad", 7)
    assert what in failure.what


def test_a_reader_that_hangs_is_a_failure(monkeypatch, place):
    def spin(path, place):
        while True:
            pass

    monkeypatch.setattr("tests.fuzz.run.SECONDS", 0.05)
    monkeypatch.setitem(TARGETS, "bad", Target({"a.txt": b"a"}, lambda rng, data: data, spin))
    (failure,) = run_cases("bad", 0, [0], place)
    assert "takes more than" in failure.what


def test_a_reader_that_ends_the_process_is_a_failure_and_the_others_go_on(monkeypatch):
    def end(path, place):
        if path.read_bytes() == b"1":
            os._exit(9)

    monkeypatch.setitem(
        TARGETS, "bad", Target({"a.txt": b"a"}, lambda rng, data: b"1" if rng.random() < 0.3 else b"0", end)
    )
    failures = run_target("bad", 0, 10)
    bad = [case for case in range(10) if damaged("bad", 0, case)[1] == b"1"]
    assert 0 < len(bad) < 10
    assert [failure.case for failure in failures] == bad
    assert all("ends the process" in failure.what for failure in failures)
