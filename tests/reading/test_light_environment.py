"""Reading needs what the base dependencies and one runtime bring, and nothing else."""

import json
import subprocess
import sys
import tomllib

import cv2
import pytest
import toy

# What the extra torch installs, and Detectron2, by the names under which they are imported.
NOT_THERE = (
    *("torch", "torchvision", "detectron2", "pkg_resources", "scipy", "editdistance", "matplotlib", "fontTools"),
    *("cloudpickle", "fvcore", "hydra", "iopath", "omegaconf", "pycocotools", "tabulate", "tensorboard", "termcolor"),
    *("yacs", "yaml", "onnx"),
)
CODE = f"""
import sys
sys.modules.update(dict.fromkeys({NOT_THERE!r}))  # importing them fails
from dld_spotter.cli import main
main(sys.argv[1:])
"""


def run(arguments, folder):
    command = [sys.executable, "-c", CODE, *arguments]
    env = {"PYTHONPATH": str(toy.ROOT), "PATH": "", "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_list_holds_what_the_extra_installs():
    project = tomllib.loads((toy.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {"".join(filter(str.isalpha, name.lower())) for name in NOT_THERE}
    imported_as = {
        "setuptools": "pkgresources",
        "hydra-core": "hydra",
        "packaging": None,
    }  # ONNX Runtime needs packaging
    for requirement in project["optional-dependencies"]["torch"]:
        name = requirement.split("<")[0].split(">")[0]
        assert imported_as.get(name, "".join(filter(str.isalpha, name.lower()))) in names | {None}


@pytest.mark.parametrize(("runtime", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_photo_is_read_without_pytorch(tmp_path, runtime, package):
    pytest.importorskip(package)
    photo = toy.ROOT / "projects" / "DLD" / "samples" / "scene_1.jpg"
    done = run(["read", str(photo), "--runtime", runtime, "--jsonl", "w.jsonl", "--output", "drawn.png"], tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "filterable" in done.stdout and "CURTSEYS" in done.stdout
    record = json.loads((tmp_path / "w.jsonl").read_text(encoding="utf-8"))
    assert [word["text"] for word in record["words"]] == done.stdout.split()[1:]
    assert (cv2.imread(str(tmp_path / "drawn.png")) != cv2.imread(str(photo))).any()


def test_auto_takes_a_runtime_that_is_there(tmp_path):
    pytest.importorskip("onnxruntime")
    code = CODE.replace("main(sys", "import dld_spotter; print(dld_spotter.TextPredictor('synthetic-dld').runtime) #")
    env = {"PYTHONPATH": str(toy.ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("onnx", "openvino")


@pytest.mark.parametrize("command", ["train", "samples"])
def test_commands_that_need_pytorch_say_so_in_one_line(tmp_path, command):
    done = run([command], tmp_path)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "dld_spotter[torch]" in done.stderr
