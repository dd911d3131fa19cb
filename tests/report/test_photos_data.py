"""What the photos models learn from: no test photo, and no photo that is held out."""

import json
import os
import subprocess

import cv2
import numpy as np
import pytest
import toy

from dld_spotter.config import load_cfg
from dld_spotter.data.builtin import SPLITS

RECIPES = sorted((toy.ROOT / "configs" / "recipes").glob("*.yaml"))
HELD_OUT = {"icdar2015": 900, "icdar2003": 144}  # photos with greater numbers


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The files of a few black photos at both sides of the last one that is trained on."""
    root = tmp_path_factory.mktemp("photos")
    for name, last in HELD_OUT.items():
        for folder in ("images", "gt"):
            (root / name / folder).mkdir(parents=True)
        for number in (1, last, last + 1, last + 50):
            stem = f"img_{number}" if name == "icdar2015" else f"{number:03d}"
            cv2.imwrite(str(root / name / "images" / f"{stem}.png"), np.zeros((36, 64, 3), np.uint8))
            (root / name / "gt" / f"gt_{stem}.txt").write_text("1,1,30,1,30,20,1,20,Exit\n")
    tool = toy.load_script("projects/DLD/prepare_photos.py")
    folders = [argument for name in HELD_OUT for argument in (f"--{name}", str(root / name))]
    assert tool.main([*folders, "--output", str(root / "written")]) == 0
    return root / "written"


def numbers(file):
    """(set, number) of the photos of a file."""
    images = json.loads(file.read_text(encoding="utf-8"))["images"]
    return {(image["file_name"].split("_")[0], int(image["file_name"].split("_")[1].split(".")[0])) for image in images}


def test_what_is_trained_on_holds_no_photo_that_is_held_out(prepared):
    learnt_from = set()
    for file in prepared.glob("*.json"):
        if not file.stem.endswith(("_val", "_dev")):
            learnt_from |= numbers(file)
    assert learnt_from == {(name, number) for name, last in HELD_OUT.items() for number in (1, last)}
    kept = numbers(prepared / "icdar2015_val.json") | numbers(prepared / "icdar2003_dev.json")
    assert kept == {(name, last + more) for name, last in HELD_OUT.items() for more in (1, 50)}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_no_recipe_trains_on_a_test_set_or_on_what_it_is_scored_with(recipe):
    cfg = load_cfg(recipe)
    custom = {name: file for name, _, file in cfg.DATASETS.CUSTOM}
    files = {custom.get(name) or SPLITS[name][1] for name in cfg.DATASETS.TRAIN}
    scored = {custom.get(name) or SPLITS[name][1] for name in cfg.DATASETS.TEST}
    assert not files & scored
    for file in files:
        assert not any(part in file for part in ("test", "_val", "_dev")), f"{recipe.name} trains on {file}"


def test_the_script_takes_the_word_crops_of_the_photos_that_are_trained_on():
    script = (toy.ROOT / "projects" / "DLD" / "train_recipes.sh").read_text(encoding="utf-8")
    assert script.count("head -n 3960") == 2, "of the texts and of the places"


def test_the_students_say_which_photos_they_need():
    environment = {name: value for name, value in os.environ.items() if name != "PHOTOS"}
    script = toy.ROOT / "projects" / "DLD" / "train_photo_students.sh"
    run = subprocess.run(["bash", script], check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode != 0
    assert "set PHOTOS" in run.stderr and "icdar2015_train" in run.stderr


def test_crops_1_to_3960_are_of_photos_1_to_900(real_data):
    """The readable words of ICDAR 2015 are numbered in the order of the photos' annotations."""
    readable = 0
    for number in range(1, 901):
        for line in (real_data / "icdar2015_train" / "gt" / f"gt_img_{number}.txt").read_text("utf-8-sig").splitlines():
            text = line.split(",", 8)[8]
            readable += text != "###"
    assert readable == 3960
