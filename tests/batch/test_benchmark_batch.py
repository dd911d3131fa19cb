"""tools/benchmark_batch.py: how the photos a second of a command are counted."""

import shutil

import pytest
import toy

from dld_spotter.resources import resource

benchmark = toy.load_script("tools/benchmark_batch.py")
OPTIONS = ("--config-file", "synthetic-dld", "--runtime", "torch", "--scale", "0.3")


@pytest.fixture
def photos(tmp_path):
    """A folder of four."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted(resource("projects/DLD/samples").glob("*.jpg"))[:4]:
        shutil.copy(path, folder)
    return folder


def test_the_rate_without_the_start_is_greater(photos, tmp_path):
    turn = benchmark.measure(["read", str(photos), "--jsonl", str(tmp_path / "words.jsonl"), *OPTIONS], 4, tmp_path)
    assert turn.steady > turn.whole > 0


def test_photos_without_results_are_an_error(tmp_path):
    (tmp_path / "words.jsonl").write_text("{}\n" * 4)
    with pytest.raises(SystemExit, match="4 of 5 photos"):
        benchmark.measure(["models"], 5, tmp_path)
    with pytest.raises(SystemExit, match="ended with 2, 0 of 4"):
        benchmark.measure(["read", "--no-such-option"], 4, tmp_path / "elsewhere")


def test_results_that_come_at_once_have_no_rate(tmp_path):
    (tmp_path / "words.jsonl").write_text("{}\n" * 4)
    with pytest.raises(SystemExit, match="all 4 photos came at once"):
        benchmark.measure(["models"], 4, tmp_path)
