"""Curves of trainings: what is read of metrics.json, and how it is smoothed."""

import json

import numpy as np
import pytest
from toy import load_script

tool = load_script("tools/plot_training.py")


def write(folder, lines):
    folder.mkdir()
    (folder / "metrics.json").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_a_repeated_iteration_counts_once_and_a_cut_line_does_not(tmp_path):
    entries = [
        {"iteration": 19, "loss": 3.0},
        {"iteration": 39, "loss": 2.0},
        {"iteration": 19, "loss": 1.0, "lr": 0.1},
    ]
    folder = write(tmp_path / "run", [*map(json.dumps, entries), '{"iterati'])
    assert tool.read_metrics(folder) == [{"iteration": 19, "loss": 1.0, "lr": 0.1}, {"iteration": 39, "loss": 2.0}]


def test_a_damaged_line_is_named(tmp_path):
    folder = write(tmp_path / "run", ["nonsense", '{"iteration": 1}'])
    with pytest.raises(ValueError, match="line 1"):
        tool.read_metrics(folder)


@pytest.mark.parametrize("line", ["[1]", "5", "{}", '{"iteration": "a"}'])
def test_a_line_of_something_else_is_named(tmp_path, line):
    with pytest.raises(ValueError, match="line 1: not an entry"):
        tool.read_metrics(write(tmp_path / "run", [line, '{"iteration": 1}']))


def test_trainings_in_folders_of_one_name_are_all_drawn(tmp_path, monkeypatch):
    folders = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "other"]
    for folder in folders:
        folder.parent.mkdir(exist_ok=True)
        write(folder, ['{"iteration": 1, "loss": 1.0}'])
    drawn = []
    monkeypatch.setattr(tool, "draw", lambda curves, *rest: drawn.extend(curves))
    argv = [*map(str, folders), "--figures", "loss", "--output", str(tmp_path / "curves.png")]
    assert tool.main(argv) == 0 and drawn == [str(folders[0]), str(folders[1]), "other"]


@pytest.mark.parametrize("width", [1, 3, 4, 9])
def test_running_means(width):
    values = np.random.default_rng(0).normal(size=7)
    reach = range(-((min(width, 7) - 1) // 2), min(width, 7) // 2 + 1)
    expected = [np.mean([values[i - r] for r in reach if 0 <= i - r < 7]) for i in range(7)]
    np.testing.assert_allclose(tool.smoothed(values, width), expected)


def test_draws_and_says_which_figures_there_are(tmp_path, capsys):
    folder = write(tmp_path / "run", [json.dumps({"iteration": i, "loss": 1.0 / (i + 1)}) for i in range(5)])
    assert tool.main([str(folder), "--figures", "loss", "--output", str(tmp_path / "a" / "curves.png")]) == 0
    assert (tmp_path / "a" / "curves.png").stat().st_size > 1000
    assert tool.main([str(folder), "--figures", "los", "--output", str(tmp_path / "b.png")]) == 1
    assert "'los'; there are iteration, loss" in capsys.readouterr().err
    assert tool.main([str(tmp_path), "--output", str(tmp_path / "b.png")]) == 1


@pytest.mark.parametrize("name", ["curves.png", "curves.svg", "curves.pdf"])
def test_only_figures_are_replaced(tmp_path, capsys, name):
    folder, output = write(tmp_path / "run", ['{"iteration": 1, "loss": 1.0}']), tmp_path / name
    argv = [str(folder), "--figures", "loss", "--output", str(output)]
    assert tool.main(argv) == tool.main(argv) == 0, "the same command works again"
    output.write_bytes(b"a photo")
    assert tool.main(argv) == 1 and output.read_bytes() == b"a photo"
    assert "give another file" in capsys.readouterr().err
