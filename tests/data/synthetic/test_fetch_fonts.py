"""Fonts and word lists out of packages: what is copied, what is recorded, what is said where it cannot be done."""

from pathlib import Path

import pytest
import toy


@pytest.fixture
def script():
    return toy.load_script("tools/fetch_fonts.py")


@pytest.fixture
def packages(script, monkeypatch):
    """apt-get and dpkg-deb that know three small packages; returns the commands that were run."""
    contents = {
        "fonts-hack": ("usr/share/fonts/a/One.ttf", "usr/share/fonts/b/Two.OTF", "usr/share/fonts/readme.txt"),
        "fonts-play": ("usr/share/fonts/Play.ttf",),
        "wbritish": ("usr/share/dict/british-english", "usr/share/man/words.5"),
    }
    commands = []

    def run(*command, folder=None):
        commands.append(command)
        if command[:2] == ("apt-cache", "pkgnames"):
            return "\n".join([*contents, "unrelated"])
        if command[:2] == ("apt-get", "download"):
            (folder / f"{command[2]}_1.0_all.deb").touch()
        elif command[:2] == ("dpkg-deb", "-x"):
            name = Path(command[2]).name.split("_")[0]
            for path in (*contents[name], f"usr/share/doc/{name}/copyright"):
                target = Path(command[3]) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(f"{name}: {path}")
        return "1.0\n"

    monkeypatch.setattr(script, "run", run)
    monkeypatch.setattr(script.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    return commands


def test_fonts_words_and_licences_are_copied(script, packages, tmp_path, capsys):
    assert script.main(["--output", str(tmp_path)]) == 0
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == [
        "LICENCES.txt",
        "fonts/fonts-hack/One.ttf",
        "fonts/fonts-hack/Two.OTF",
        "fonts/fonts-play/Play.ttf",
        "licences/fonts-hack.txt",
        "licences/fonts-play.txt",
        "licences/wbritish.txt",
        "words/british-english.txt",
    ]
    lines = (tmp_path / "LICENCES.txt").read_text().splitlines()
    assert lines[0] == "fonts-hack 1.0: MIT and Bitstream Vera (2 files)" and len(lines) == 3
    captured = capsys.readouterr()
    assert "fonts-lato" in captured.err and "3 packages" in captured.out
    assert not any("install" in command or "update" in command for command in packages)


def test_a_second_run_adds_to_the_record(script, packages, tmp_path):
    for name in ("wbritish", "fonts-hack", "wbritish"):
        assert script.main(["--output", str(tmp_path), "--packages", name]) == 0
    lines = (tmp_path / "LICENCES.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["fonts-hack", "wbritish"]


def test_unknown_package_is_named(script, packages, tmp_path, capsys):
    assert script.main(["--output", str(tmp_path), "--packages", "fonts-nowhere"]) == 1
    assert "--packages: fonts-nowhere" in capsys.readouterr().err
    assert not packages


def test_missing_tool_is_named(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script.shutil, "which", lambda tool: None)
    assert script.main(["--output", str(tmp_path)]) == 1
    assert "apt-get is missing" in capsys.readouterr().err


def test_empty_package_lists_are_brought_up_to_date(script, tmp_path, monkeypatch, capsys):
    commands = []
    monkeypatch.setattr(script.shutil, "which", lambda tool: tool)
    monkeypatch.setattr(script, "run", lambda *command, folder=None: commands.append(command) or "")
    assert script.main(["--output", str(tmp_path)]) == 1
    assert ("apt-get", "update") in commands
    assert "offer none of the packages" in capsys.readouterr().err


def test_failing_command_says_what_failed(script):
    with pytest.raises(RuntimeError, match="ls /nowhere/at/all failed"):
        script.run("ls", "/nowhere/at/all")


def test_every_package_has_one_licence(script):
    names = [name for names in script.FONTS.values() for name in names.split()]
    assert len(names) == len(set(names)) > 100
    assert len(script.known_packages()) == len(names) + 2
