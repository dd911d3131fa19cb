"""Fonts and word lists out of packages: what is copied, what is recorded, what is said where it cannot be done."""

import io
import json
import tarfile
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
    names = [
        name for table in (script.FONTS, script.LANGUAGE_FONTS) for names in table.values() for name in names.split()
    ]
    assert len(names) == len(set(names)) > 100
    assert len(script.known_packages()) == len(names) + 2


def test_packages_of_languages(script, packages, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(script, "LANGUAGES", {"one": "hack play", "two": "hack"})
    monkeypatch.setattr(script, "LANGUAGE_FONTS", {"OFL-1.1": "play"})
    assert script.main(["--output", str(tmp_path), "--languages", "one", "two"]) == 0
    found = {
        path.relative_to(tmp_path).as_posix()
        for path in tmp_path.rglob("*.*")
        if path.suffix.lower() in (".ttf", ".otf")
    }
    assert found == {"fonts/fonts-hack/One.ttf", "fonts/fonts-hack/Two.OTF", "language_fonts/fonts-play/Play.ttf"}
    assert [command[2] for command in packages if command[:2] == ("apt-get", "download")] == [
        "fonts-hack",
        "fonts-play",
    ]


def test_the_default_leaves_packages_of_languages_out(script, packages, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "LANGUAGE_FONTS", {"OFL-1.1": "play"})
    assert script.main(["--output", str(tmp_path)]) == 0
    assert not (tmp_path / "language_fonts").exists() and not (tmp_path / "fonts" / "fonts-play").exists()


def test_packages_of_every_language_are_known(script):
    known = script.known_packages()
    assert {"german", "french", "polish", "vietnamese", "greek", "chinese", "japanese"} <= set(script.LANGUAGES)
    assert all(f"fonts-{name}" in known for names in script.LANGUAGES.values() for name in names.split())


@pytest.fixture
def web_packages(script, monkeypatch):
    """npm that knows two families; returns the names of the packages that were asked for."""
    contents = {
        "anton": {"package/400Regular/Anton.ttf": b"anton", "package/Anton.ttf.png": b"picture"},
        "rye": {"package/Rye.ttf": b"rye", "package/Huge.ttf": b"0" * (script.LARGEST_FONT + 1)},
    }
    asked = []

    def run(*command, folder=None):
        assert command[:3] == ("npm", "pack", "--silent")
        scope, name = command[3].split("/")
        asked.append(name)
        if scope != "@expo-google-fonts" or name not in contents:
            raise RuntimeError(f"{command[3]} is not in the registry")
        about = {"package/package.json": json.dumps({"version": "0.1", "license": "MIT AND OFL-1.1"}).encode()}
        with tarfile.open(folder / f"{name}-0.1.tgz", "w:gz") as archive:
            for path, content in (contents[name] | about).items():
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return ""

    monkeypatch.setattr(script, "run", run)
    monkeypatch.setattr(script.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    return asked


def test_web_fonts_are_copied_beside_the_others(script, web_packages, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(script, "known_families", lambda: ["anton", "nowhere", "rye"])
    assert script.main(["--output", str(tmp_path), "--web-fonts"]) == 0
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"LICENCES.txt", "web_fonts/anton/Anton.ttf", "web_fonts/rye/Rye.ttf"}
    assert (tmp_path / "web_fonts/anton/Anton.ttf").read_bytes() == b"anton"
    line = (tmp_path / "LICENCES.txt").read_text().splitlines()[0]
    assert line.startswith("@expo-google-fonts/anton 0.1: MIT AND OFL-1.1")
    assert "nowhere" in capsys.readouterr().err
    # What is there already is not asked for again.
    web_packages.clear()
    assert script.main(["--output", str(tmp_path), "--web-fonts"]) == 1
    assert web_packages == ["nowhere"]


def test_web_fonts_need_npm(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script.shutil, "which", lambda tool: None)
    assert script.main(["--output", str(tmp_path), "--web-fonts"]) == 1
    assert "npm is missing" in capsys.readouterr().err


def test_web_fonts_and_packages_are_two_things(script, tmp_path):
    with pytest.raises(SystemExit):
        script.main(["--output", str(tmp_path), "--web-fonts", "--packages", "wbritish"])


def test_listed_families_are_package_names(script):
    names = script.known_families()
    assert len(names) == len(set(names)) > 700
    assert all(name == name.lower() and name.replace("-", "").isalnum() for name in names)
