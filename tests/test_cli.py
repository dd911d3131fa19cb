"""The command dld-spotter runs every tool of the project, and passes on what the tool says."""

import os
import re
import subprocess
import sys

import pytest
import toy

import dld_spotter
from dld_spotter import cli
from dld_spotter.pretrained import pretrained_models


def test_every_tool_is_a_command():
    scripts = set(cli.commands().values())
    assert scripts == {*(toy.ROOT / "tools").glob("*.py"), toy.ROOT / "projects/DLD/train_net.py"}
    assert all(cli.commands()[name] == toy.ROOT / path for name, path in cli.NAMES.items())


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_help_lists_every_command(capsys, argv):
    assert cli.main(argv) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted([*cli.commands(), cli.MODELS])


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.split()[-1] == dld_spotter.__version__


def test_models_are_listed(capsys):
    assert cli.main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == pretrained_models()
    assert all(line.endswith(".") and "](" not in line and len(line) > 40 for line in lines)


def test_an_unknown_command_is_answered_with_a_similar_one(capsys):
    assert cli.main(["trian"]) == 2
    assert "train" in capsys.readouterr().err


def test_arguments_and_exit_status_are_the_tool_s(tmp_path, monkeypatch, capsys):
    """The tool runs as a program; sys.argv is as before afterwards."""
    script = tmp_path / "shout.py"
    script.write_text(
        "import sys\nif sys.modules[__name__].__file__ == __file__:\n    print(*sys.argv)\n    sys.exit(3)\n"
    )
    monkeypatch.setattr(cli, "commands", lambda: {"shout": script})
    before = sys.argv
    with pytest.raises(SystemExit) as stopped:
        cli.main(["shout", "--loud", "x"])
    assert stopped.value.code == 3 and sys.argv is before
    assert capsys.readouterr().out.split() == ["dld-spotter", "shout", "--loud", "x"]


def test_a_command_reads_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dld-spotter", "evaluate", "--help"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 0 and "--ground-truth" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("ImportError('this needs Detectron2: run this.')", r"this needs Detectron2: run this\."),
        ("ModuleNotFoundError('none', name='torch')", r"this needs PyTorch and Detectron2 \(none\): run `pip .*"),
    ],
)
def test_what_is_missing_is_said_once(tmp_path, monkeypatch, raised, said):
    script = tmp_path / "train.py"
    script.write_text(f"raise {raised}\n")
    monkeypatch.setattr(cli, "commands", lambda: {"train": script})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train"])
    assert re.fullmatch(f"error: dld-spotter train: {said}", stopped.value.code)


@pytest.mark.parametrize("argument", ["--help", "models"])
def test_a_closed_pipe_is_no_error(argument):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        command = [sys.executable, "-c", "import sys; from dld_spotter.cli import main; sys.exit(main())", argument]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, cwd=toy.ROOT, check=False)
    assert done.returncode == 141 and done.stderr == ""
