"""Set-up: pins and ranges agree, nothing is left out of the package, a missing Detectron2 is explained."""

import os
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import toy
from packaging.requirements import Requirement

import dld_spotter

REQUIREMENTS = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-docs.txt",
    "requirements-batch.txt",
    "tools/requirements-detectron2.txt",
)


def pins():
    """name -> version of the requirement files."""
    lines = "\n".join((toy.ROOT / name).read_text() for name in REQUIREMENTS).replace("\\\n", "").splitlines()
    lines = [re.split(r"#|--hash", line)[0].strip() for line in lines]
    found = [Requirement(line) for line in lines if line and not line.startswith("-r")]
    assert len({r.name.lower() for r in found}) == len(found)
    return {r.name.lower(): str(r.specifier) for r in found}


@pytest.fixture
def project():
    """The table [project] of pyproject.toml."""
    return tomllib.loads((toy.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds the package as a wheel installs it."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(target)]
    subprocess.run(command, cwd=toy.ROOT, capture_output=True, check=True)
    return target


def run_python(code, *path, cwd=None):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*path, toy.ROOT]))}
    return subprocess.run([sys.executable, "-c", code], env=env, cwd=cwd, capture_output=True, text=True, check=False)


def test_every_requirement_is_pinned():
    assert all(re.fullmatch(r"==[\w.]+", version) for version in pins().values()), pins()


def test_detectron2_is_pinned_by_hash():
    assert re.search(r"--hash=sha256:[0-9a-f]{64}\s", (toy.ROOT / "tools/requirements-detectron2.txt").read_text())


def test_pins_lie_in_the_ranges_of_the_project(project):
    pinned = pins()
    for text in [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]:
        requirement = Requirement(text)
        version = pinned[requirement.name.lower()].removeprefix("==")
        assert version in requirement.specifier, f"{requirement} excludes the tested {version}"


def files_below(folder, *patterns):
    found = chain.from_iterable(folder.rglob(pattern) for pattern in patterns)
    return {path.relative_to(folder).as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_package_holds_what_stands_in_the_clone(installed):
    package = installed / "dld_spotter"
    everything = ("*.py", "*.txt", "*.typed", "model.*", "graphs.json", "*.onnx", "README.md")
    assert files_below(toy.ROOT / "dld_spotter", *everything) <= files_below(package, *everything)
    assert files_below(package / "configs", "*.yaml") == files_below(toy.ROOT / "configs", "*.yaml")
    assert files_below(package / "tools", "*.py", "*.txt") == files_below(toy.ROOT / "tools", "*.py", "*.txt")
    assert files_below(package / "projects/DLD", "*.jpg", "*.py") >= {"train_net.py", "samples/scene_1.jpg"}


def test_the_installed_package_uses_its_own_files(installed, tmp_path):
    code = (
        "import dld_spotter; from dld_spotter.cli import commands; from dld_spotter.pretrained import find_config; "
        "dld_spotter.load_cfg('MaskRCNNSpotter_R50.yaml'); "
        "print(dld_spotter.__file__, find_config('configs/demo.yaml'), *commands().values(), sep='\\n')"
    )
    env = os.environ | {"PYTHONPATH": str(installed)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    paths = run.stdout.splitlines()
    assert len(paths) > 10 and all(Path(path).is_relative_to(installed) for path in paths)


def test_the_version_stands_in_one_place():
    (version,) = re.findall(r'^__version__ = "(.*)"$', (toy.ROOT / "dld_spotter/__init__.py").read_text(), re.MULTILINE)
    assert dld_spotter.__version__ == version
    assert re.search(rf"^version: {re.escape(version)}$", (toy.ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert re.search(rf"^## \[{re.escape(version)}\]", (toy.ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_licence_is_stated(project):
    assert project["license"] == "Apache-2.0"
    texts = [(toy.ROOT / name).read_text(encoding="utf-8") for name in project["license-files"]]
    assert "Apache License" in texts[0] and "PP-OCRv6" in texts[1]


def test_every_public_name_is_there():
    assert all(hasattr(dld_spotter, name) for name in dld_spotter.__all__)


def test_missing_detectron2_is_explained():
    run = run_python("import sys; sys.modules['detectron2'] = None; from dld_spotter import load_cfg")
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: this needs Detectron2, which this Python does not have: run `python")
    (script,) = re.findall(r"`python (\S+)`", last)
    assert Path(script) == toy.ROOT / "tools/install_detectron2.py" and Path(script).is_file()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("raise AttributeError('no LINEAR')", r"does not import \(AttributeError: no LINEAR\): uninstall it, then run"),
        ("import a_missing_package", r"needs 'a_missing_package', .* run `pip install 'dld_spotter\[torch\]'`"),
        ("", r"ModuleNotFoundError: No module named 'detectron2\.modeling'\): uninstall it"),
    ],
)
def test_broken_detectron2_is_explained(tmp_path, content, expected):
    (tmp_path / "detectron2").mkdir()
    (tmp_path / "detectron2" / "__init__.py").write_text(content)
    run = run_python("from dld_spotter import load_cfg", tmp_path)
    assert re.search(rf"^ImportError: this needs Detectron2, and .*{expected}", run.stderr.splitlines()[-1])


@pytest.fixture
def installer():
    return toy.load_script("tools/install_detectron2.py")


def test_installer_leaves_a_working_detectron2_alone(installer, monkeypatch):
    monkeypatch.setattr(installer, "install", lambda folder: pytest.fail("it installed"))
    assert installer.main() is None


def test_installer_stops_at_a_broken_detectron2_of_another_package(installer, monkeypatch):
    monkeypatch.setattr(installer, "import_error", lambda: "ImportError: undefined symbol")
    monkeypatch.setattr(installer.importlib.metadata, "packages_distributions", lambda: {"detectron2": ["detectron2"]})
    monkeypatch.setattr(installer, "install", lambda folder: pytest.fail("it installed"))
    assert "undefined symbol" in installer.main() and "pip uninstall detectron2" in installer.main()


def test_installer_replaces_the_old_and_keeps_the_tools_of_others(installer, monkeypatch, tmp_path):
    def write(folder, name, text):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    def pip(command, check):
        target = Path(command[command.index("--target") + 1])
        assert "--require-hashes" in command and "--no-deps" in command and check
        write(target, "detectron2/__init__.py", "new")
        write(target, "tools/__init__.py", "new")
        write(target, "sal_detectron2-0.7.2.dist-info/RECORD", "detectron2/__init__.py,,\ntools/__init__.py,,\n")

    write(tmp_path, "detectron2/half.py", "old")
    write(tmp_path, "sal_detectron2-0.7.2.dist-info/METADATA", "old")
    write(tmp_path, "tools/__init__.py", "somebody else's")
    monkeypatch.setattr(installer.subprocess, "run", pip)
    installer.install(tmp_path)
    files = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        "detectron2/__init__.py": "new",
        "sal_detectron2-0.7.2.dist-info/RECORD": "detectron2/__init__.py,,\n",
        "tools/__init__.py": "somebody else's",
    }


def test_setup_names_an_unfit_python(tmp_path):
    env = os.environ | {"PYTHON": str(tmp_path / "python2"), "VENV": str(tmp_path / "venv")}
    script = toy.ROOT / "tools" / "setup_environment.sh"
    run = subprocess.run(["bash", script], env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 1 and not (tmp_path / "venv").exists()
    assert "python2 is not a working Python" in run.stderr and len(run.stderr.splitlines()) == 1


def test_make_lists_its_targets():
    run = subprocess.run(["make"], cwd=toy.ROOT, capture_output=True, text=True, check=True)
    targets = re.findall(r"^make (\w+)", run.stdout, flags=re.MULTILINE)
    makefile = (toy.ROOT / "Makefile").read_text()
    assert "demo" in targets and "test" in targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)
