"""The cost tool from its command line, at a tiny size."""

import json

import pytest
import toy
import yaml
from detectron2.modeling import build_model

from dld_spotter.analysis import CostModel
from dld_spotter.modeling.spotter_parts import Workload

tool = toy.load_script("tools/analyze_cost.py")
WORK = ("--proposals", "5", "--words", "2", "--steps", "3")


def write_config(folder, *opts):
    cfg = toy.tiny_cfg("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.DLD.SCALES", (0.5, 1.0), *opts)
    (folder / "config.yaml").write_text(cfg.dump(), encoding="utf-8")
    return str(folder / "config.yaml"), cfg


def run(capsys, *argv):
    """(exit code, standard output, standard error)"""
    code = tool.main([str(a) for a in argv])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_a_size(tmp_path, capsys):
    config, cfg = write_config(tmp_path)
    file = tmp_path / "new" / "cost.json"
    argv = ("--config-file", config, "--size", 50, 60, "--short-side", 96, 64, "--repeats", 1, "--json", file, *WORK)
    code, text, _ = run(capsys, *argv, "MODEL.RESOLUTION_SELECTOR.WIDTH", 4)
    assert code == 0
    report = json.loads(file.read_text())
    cfg.MODEL.RESOLUTION_SELECTOR.WIDTH = 4
    costs = CostModel(build_model(cfg), Workload(5, 2, 3))
    first, second = report["resolutions"]
    assert (first["first_size"], second["first_size"]) == ([96, 115], [64, 77])
    assert first["multiply_adds"]["0.5"] == costs.inference((96, 115), 0.5)
    assert first["multiply_adds"]["full"] == costs.teacher((96, 115))
    assert first["costs"] == pytest.approx(
        [sum(costs.student((96, 115), 0.5).values()) / sum(costs.teacher((96, 115)).values()), 1.0]
    )
    assert first["nothing_found"]["0.5"] == sum(costs.student((96, 115), 0.5, Workload(0, 0, 0)).values())
    assert report["parameters"] == costs.parameters()
    for entry in report["resolutions"]:
        assert entry["seconds"].keys() == entry["peak_bytes"].keys() == {"full", "0.5", "1"}
        assert all(value > 0 for value in (*entry["seconds"].values(), *entry["peak_bytes"].values()))
        assert "chosen" not in entry, "noise is no photo"
    assert first["peak_bytes"]["full"] > second["peak_bytes"]["full"]
    assert "An image holds 5 proposals and 2 words of 3 decoding steps." in text
    table = yaml.safe_load(text.split("MODEL.DLD.COSTS: ")[1].splitlines()[0].replace("(", "[").replace(")", "]"))
    assert table == pytest.approx(first["costs"], abs=1e-4)


def test_a_data_set(tmp_path, capsys):
    annotations, images = toy.write_toy_dataset(tmp_path, num_images=3)
    config, _ = write_config(tmp_path, "MODEL.DLD.FIXED_SCALE", 0.5)
    file = tmp_path / "cost.json"
    custom = ("DATASETS.CUSTOM", f"[('cost_toy', '{images}', '{annotations}')]")
    argv = ("--config-file", config, "--data-set", "cost_toy", "--repeats", 0, "--json", file, *WORK)
    code, text, _ = run(capsys, *argv, *custom)
    assert code == 0
    (found,) = json.loads(file.read_text())["resolutions"]
    assert found["images"] == 3
    assert "seconds" not in found
    assert found["chosen"]["shares"] == {"0.5": 1.0, "1": 0.0}
    assert found["chosen"]["multiply_adds"] == pytest.approx(sum(found["multiply_adds"]["0.5"].values()))
    assert "chosen: 0.5: 100.0%, 1: 0.0%" in text
    run(capsys, *argv, "--limit", 2, *custom)
    assert json.loads(file.read_text())["resolutions"][0]["images"] == 2


def test_photos_and_a_plain_spotter(tmp_path, capsys):
    _, images = toy.write_toy_dataset(tmp_path, num_images=2)
    config = tmp_path / "plain.yaml"
    config.write_text(toy.tiny_cfg().dump(), encoding="utf-8")
    argv = ("--config-file", config, "--repeats", 1, "--image", f"{images}/toy_1.png", f"{images}/toy_2.png")
    code, text, _ = run(capsys, *argv, "--", "MODEL.DEVICE", "cpu")
    assert code == 0
    assert "Short side 96, mean of 2 images" in text
    assert "An image holds 20 proposals and 10 words" in text, "the RPN passes on 20 here"
    assert "COSTS" not in text
    assert "chosen" not in text


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--words", -1), "--words, --steps and --repeats are counts"),
        (("--steps", 0), "words need at least one step"),
        (("--size", 0, 5), "--size and --limit must be 1 or more"),
        (("--data-set", "nowhere"), "data set 'nowhere' is not registered"),
        (("--image", "nothing.jpg"), "nothing.jpg"),
        (("MODEL.WEIGHTS", "nothing.pth"), "there is no checkpoint nothing.pth"),
        (("MODEL.WIEGHTS", "x"), "there is no config key MODEL.WIEGHTS"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, capsys, argv, said):
    config, _ = write_config(tmp_path)
    code, _, errors = run(capsys, "--config-file", config, "--repeats", 0, *argv)
    assert code == 1
    last = errors.splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
