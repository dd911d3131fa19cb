"""tools/export_model.py: what is given away says what the training checkpoint says, and holds nothing else."""

import shutil

import cv2
import numpy as np
import pytest
import torch
import toy
import yaml
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model

from dld_spotter import load_cfg
from dld_spotter.engine import TextCheckpointer
from dld_spotter.engine.export import to_half
from dld_spotter.migration import VERSION
from dld_spotter.predictor import TextPredictor

SCALES = (0.5, 0.75)
FINDS = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, "TEST.DETECTIONS_PER_IMAGE", 5)
# A student that has other modules than its teacher.
SMALL_STUDENT = ["MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", [8, 32], "MODEL.ROI_TEXT_HEAD.UPSAMPLE", True]
OPTS = (
    *("MODEL.DLD.SCALES", SCALES, "MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", (16, 64)),
    *("MODEL.DLD.STUDENT_OPTS", SMALL_STUDENT),
)


def write_run(folder, *opts, **kwargs):
    """A config and a checkpoint of random weights as a training leaves them."""
    torch.manual_seed(1)
    cfg = toy.tiny_cfg(*FINDS, "MODEL.RESOLUTION_SELECTOR.WIDTH", 4, *opts, **kwargs)
    model = build_model(cfg)
    for spotter in (getattr(model, "student", model), getattr(model, "teacher", None)):
        if spotter is not None:
            spotter.roi_heads.mask_head.predictor.bias.data.fill_(1.0)  # whole masks
    optimizer = torch.optim.AdamW(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    TextCheckpointer(model, str(folder), optimizer=optimizer).save("model_final", iteration=3)
    config = folder / "config.yaml"
    config.write_text(cfg.dump(), encoding="utf-8")
    return config, folder / "model_final.pth"


@pytest.fixture(scope="module")
def tool():
    return toy.load_script("tools/export_model.py")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), *OPTS, config=toy.light("DLD"))


def export(tool, run, folder, *arguments):
    config, weights = run
    command = ["--config-file", str(config), "--weights", str(weights), "--output", str(folder), *arguments]
    assert tool.main(command) == 0
    return folder / "model.yaml", folder / "model.pth"


@pytest.fixture(scope="module")
def exported(tool, run, tmp_path_factory):
    return export(tool, run, tmp_path_factory.mktemp("exported"))


def predictor_of(config, *opts):
    return DefaultPredictor(load_cfg(str(config), ["MODEL.DEVICE", "cpu", *opts]))


def photo(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (100, 140, 3), np.uint8)


def assert_same(one, other, **tolerance):
    assert one["scale"] == other["scale"]
    one, other = one["instances"], other["instances"]
    assert len(one) == len(other) == 5
    assert torch.equal(one.pred_text, other.pred_text)
    torch.testing.assert_close(one.pred_boxes.tensor, other.pred_boxes.tensor, **tolerance)
    torch.testing.assert_close(one.scores, other.scores, **tolerance)
    torch.testing.assert_close(one.pred_text_scores, other.pred_text_scores, **tolerance)


def test_the_export_says_what_the_training_checkpoint_says(run, exported):
    trained, given_away = predictor_of(run[0], "MODEL.WEIGHTS", str(run[1])), predictor_of(exported[0])
    assert trained.model.teacher is not None and given_away.model.teacher is None
    for seed in range(3):
        assert_same(trained(photo(seed)), given_away(photo(seed)), rtol=0, atol=0)


def test_the_file_holds_weights_and_nothing_else(run, exported):
    before, after = (torch.load(path, weights_only=True) for path in (run[1], exported[1]))
    assert "optimizer" in before and any(name.startswith("teacher.") for name in before["model"])
    assert after.keys() == {"model"}
    assert {name.split(".")[0] for name in after["model"]} == {"student", "selector", "temperature"}
    assert after["model"].keys() == {name for name in before["model"] if not name.startswith("teacher.")}
    assert all(torch.equal(value, before["model"][name]) for name, value in after["model"].items())
    assert exported[1].stat().st_size < run[1].stat().st_size / 3  # teacher, and AdamW's two moments of everything


def test_the_config_is_that_of_the_training_without_its_run(run, exported):
    ours, theirs = load_cfg(str(exported[0]), ["MODEL.DEVICE", "cpu"]), load_cfg(str(run[0]))
    assert str(exported[1]) == ours.MODEL.WEIGHTS and not ours.MODEL.DLD.TEACHER
    for section in ("SOLVER", "DATASETS", "DATALOADER"):
        assert ours[section] == load_cfg()[section]
    ours.MODEL.WEIGHTS, ours.MODEL.DLD.TEACHER = theirs.MODEL.WEIGHTS, True
    for section in ("MODEL", "INPUT", "TEST"):
        assert yaml.safe_load(ours[section].dump()) == yaml.safe_load(theirs[section].dump())
    text = exported[0].read_text(encoding="utf-8")
    assert "DEVICE" not in text, "the machine that loads it decides"


def test_the_config_holds_what_differs_from_the_defaults(exported):
    written = yaml.safe_load(exported[0].read_text(encoding="utf-8"))
    assert written["MODEL"].pop("VERSION") == VERSION
    defaults = load_cfg()

    def compare(node, default):
        for key, value in node.items():
            if isinstance(value, dict):
                assert value, key
                compare(value, default[key])
            else:
                assert value != (list(default[key]) if isinstance(default[key], tuple) else default[key]), key

    compare(written, defaults)
    assert set(written) <= {"MODEL", "INPUT", "TEST"}


def test_the_folder_can_be_moved(exported, tmp_path):
    moved = shutil.copytree(exported[0].parent, tmp_path / "moved")
    assert str(moved / exported[1].name) == load_cfg(moved / exported[0].name).MODEL.WEIGHTS
    assert load_cfg(moved / exported[0].name, ["MODEL.WEIGHTS", "other.pth"]).MODEL.WEIGHTS == "other.pth"
    (moved / exported[1].name).unlink()
    assert exported[1].name == load_cfg(moved / exported[0].name).MODEL.WEIGHTS, "nothing else is looked for"


def test_text_predictor_and_demo_take_the_pair(exported, tmp_path, capsys):
    predictor = TextPredictor(exported[0])
    (result,) = predictor(photo())
    assert len(result.words) > 0 and result.to_dict()["scale"] in SCALES
    cv2.imwrite(str(tmp_path / "a.png"), photo())
    demo = toy.load_script("tools/demo.py")
    command = ["--config-file", str(exported[0]), "--input", str(tmp_path / "a.png"), "--device", "cpu"]
    assert demo.main(command) == 0
    assert capsys.readouterr().out == f"a.png: {' '.join(word.text for word in result.words)}\n"


def test_scale_on_the_command_line_of_the_demo(exported, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), photo())
    demo = toy.load_script("tools/demo.py")
    command = ["--config-file", str(exported[0]), "--input", str(tmp_path / "a.png"), "--device", "cpu"]
    command += ["--json", str(tmp_path / "a.json"), "--overwrite", "--scale"]
    assert demo.main([*command, "0.6"]) == 0
    assert '"scale": 0.6' in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert demo.main([*command, "2"]) == 1
    assert "FIXED_SCALE is 2.0" in capsys.readouterr().err


def test_a_fixed_scale_is_in_the_config(tool, run, exported, tmp_path):
    config, _ = export(tool, run, tmp_path / "out", "--fixed-scale", "0.6")
    assert TextPredictor(config)(photo())[0].scale == 0.6
    free = TextPredictor(exported[0])(photo())[0].scale
    assert TextPredictor(config, opts=["MODEL.DLD.FIXED_SCALE", 0.0])(photo())[0].scale == free, "the selector is there"


def test_half_is_half_as_large_and_says_about_the_same(tool, run, exported, tmp_path):
    config, weights = export(tool, run, tmp_path, "--half")
    assert weights.stat().st_size < 0.65 * exported[1].stat().st_size
    stored = torch.load(weights, weights_only=True)["model"]
    assert all(v.dtype == torch.float16 for v in stored.values() if v.is_floating_point())
    half = predictor_of(config).model
    for name, value in predictor_of(exported[0]).model.state_dict().items():
        assert half.state_dict()[name].dtype == value.dtype, "computed in float32"
        torch.testing.assert_close(half.state_dict()[name], value, rtol=1e-3, atol=1e-7)


def test_half_keeps_what_would_become_infinite():
    assert to_half(torch.tensor([1.0, 7e4])).tolist() == [1.0, 7e4]
    assert to_half(torch.tensor([1.5, float("inf")])).dtype == torch.float16
    assert to_half(torch.tensor([3])).dtype == torch.int64


def test_a_plain_spotter_loses_its_optimiser(tool, tmp_path):
    config, weights = write_run(tmp_path)
    ours, file = export(tool, (config, weights), tmp_path / "out")
    assert torch.load(file, weights_only=True).keys() == {"model"}
    trained, given_away = predictor_of(config, "MODEL.WEIGHTS", str(weights)), predictor_of(ours)
    one, other = (predictor(photo())["instances"] for predictor in (trained, given_away))
    assert len(one) > 0 and torch.equal(one.pred_text, other.pred_text) and torch.equal(one.scores, other.scores)


def test_weights_of_several_processes(tool, run, tmp_path):
    checkpoint = torch.load(run[1], weights_only=True)
    checkpoint["model"] = {f"module.{name}": value for name, value in checkpoint["model"].items()}
    torch.save(checkpoint, tmp_path / "parallel.pth")
    _, file = export(tool, (run[0], tmp_path / "parallel.pth"), tmp_path / "out")
    assert not any(name.startswith("module.") for name in torch.load(file, weights_only=True)["model"])


def test_own_characters_travel_with_the_model(tool, tmp_path, monkeypatch):
    (tmp_path / "vowels.txt").write_text("aeiouäöü", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path, "MODEL.TEXT.CHARSET", "vowels.txt")
    config, _ = export(tool, run, tmp_path / "out")
    (tmp_path / "vowels.txt").unlink()
    monkeypatch.chdir("/")
    predictor = TextPredictor(config)
    assert predictor.charset.characters == tuple("aeiouäöü") and len(predictor(photo())[0].words) > 0


def test_other_characters_are_still_noticed(exported):
    with pytest.raises(ValueError, match="other characters"):
        TextPredictor(exported[0], opts=["MODEL.TEXT.CHARSET", "printable95"])


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--weights", "gone.pth"], "no checkpoint gone.pth"),
        (["--config-file", "gone.yaml"], "gone.yaml"),
        (["--fixed-scale", "1.2"], "FIXED_SCALE is 1.2"),
        (["--opts", "MODEL.TEXT.CHARSET", "alphanumeric62"], "other characters"),
        (["--opts", "MODEL.DLD.SCALES", "(0.5, 0.6, 0.7)"], "2 tensors"),
        (["--opts", "MODEL.DLD.STUDENT_OPTS", "[]"], "upsample"),
        (["--opts", "MODEL.DLD.SCALE", "(0.5,)"], "Did you mean MODEL.DLD.SCALES"),
    ],
)
def test_wrong_arguments_give_one_line_and_write_nothing(tool, run, tmp_path, capsys, arguments, says):
    config, weights = run
    command = ["--config-file", str(config), "--weights", str(weights), "--output", str(tmp_path / "out")]
    assert tool.main([*command, *arguments]) == 1 and not (tmp_path / "out").exists()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and says in lines[0]


def test_a_plain_spotter_s_checkpoint_is_no_student(tool, run, tmp_path, capsys):
    config, weights = write_run(tmp_path)
    command = ["--output", str(tmp_path / "out"), "--weights", str(weights), "--config-file"]
    assert tool.main([*command, str(run[0])]) == 1
    assert "does not fit the config" in capsys.readouterr().err
    assert tool.main([*command, str(config), "--fixed-scale", "0.5"]) == 1
    assert "only be fixed for a DLDSpotter" in capsys.readouterr().err


def test_a_folder_that_holds_files_is_overwritten_only_when_told(tool, run, tmp_path, capsys):
    (tmp_path / "README.md").write_text("my own")
    command = ["--config-file", str(run[0]), "--weights", str(run[1]), "--output", str(tmp_path)]
    assert tool.main(command) == 1 and "--overwrite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    for name in ("graphs.json", "calibration.json"):  # of another model
        (tmp_path / name).write_text("{}")
    assert tool.main([*command, "--overwrite"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "model.pth", "model.yaml"]
    assert (tmp_path / "README.md").read_text() == "my own"


def test_a_calibration_comes_along(tool, tmp_path):
    config, weights = write_run(tmp_path / "run")
    (weights.parent / "calibration.json").write_text("{}")
    command = ["--config-file", str(config), "--weights", str(weights), "--overwrite", "--output"]
    for folder in (tmp_path / "out", weights.parent):
        assert tool.main([*command, str(folder)]) == 0
        assert (folder / "calibration.json").read_text() == "{}"


def test_the_checkpoint_itself_is_never_replaced(tool, tmp_path, capsys):
    config, weights = write_run(tmp_path)
    weights = weights.rename(tmp_path / "model.pth")
    before = weights.read_bytes()
    assert tool.main(["--config-file", str(config), "--weights", str(weights), "--output", str(tmp_path)]) == 1
    assert "would replace" in capsys.readouterr().err and weights.read_bytes() == before
