import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import torch
import toy
import yaml
from detectron2.modeling import build_model
from fake_spotter import fake_cfg

from dld_spotter.config import load_cfg
from dld_spotter.modeling.dld.student_config import student_cfg
from dld_spotter.predictor_config import complete_cfg

# Overlays, and a config that they are laid over.
OVERLAYS = {
    "configs/Light.yaml": "configs/MANGO_R50.yaml",
    "configs/Overfit.yaml": "configs/MaskRCNNSpotter_Light.yaml",
    "configs/DLD/Light.yaml": "configs/DLD/DLD_R50.yaml",
    "configs/Finetune.yaml": "configs/MaskRCNNSpotter_PPLCNet_CTC.yaml",
    "configs/recipes/light_student.yaml": "configs/DLD/TextPerceptron_DLD_R50.yaml",
}

CONFIGS = sorted(str(p.relative_to(toy.ROOT)) for p in (toy.ROOT / "configs").glob("**/*.yaml"))

# What only weighs losses: models that differ in nothing else are the same modules.
WEIGHTS = ("GAMMA", "TEMPERATURE", "ETA_ROI", "ETA_CONTEXT", "ETA_SEQUENCE", "LAMBDA_DRS", "LAMBDA_SKD")

# Where each config of a method leaves DLD_R50, by the rows of the paper's tables.
SKD_OFF = {f"MODEL.DLD.ETA_{name}": 0.0 for name in ("ROI", "CONTEXT", "SEQUENCE")}
BHUNIA = {f"MODEL.DLD.ETA_{n}": w for n, w in {"LOGITS": 0.5, "HINT": 5.0, "ATTENTION": 1.0, "AFFINITY": 1.0}.items()}
HALF = {"MODEL.DLD.SCALES": (0.5,)}
METHODS = {
    "DLD": {},
    "SKD-only": HALF,
    "DRS-only": {"MODEL.DLD.LAMBDA_SKD": 0.0},
    "SKD-logits": HALF | {"MODEL.DLD.ETA_SEQUENCE": 0.0, "MODEL.DLD.ETA_LOGITS": 1.0},
    "Bhunia": HALF | SKD_OFF | BHUNIA,
    "Qi": HALF | SKD_OFF | {"MODEL.DLD.ETA_PYRAMID": 0.6},
    "SKD_Qi": HALF | {"MODEL.DLD.ETA_PYRAMID": 0.6},
}

# All that the overlay for the light size may change.
BACKBONE = {"MODEL.BACKBONE.NAME", "MODEL.FPN.OUT_CHANNELS", "MODEL.LIGHT_RESNET.STAGE_CHANNELS"}
OTHER_SPOTTERS = {
    *(f"MODEL.MANGO.{key}" for key in ("CONV_DIM", "NUM_CONVS", "SLICE_WORDS")),
    *("MODEL.TEXT_PERCEPTRON.CONV_DIM", "MODEL.DLD.COSTS"),
}
SIZES = {
    *(f"MODEL.ANCHOR_GENERATOR.{key}" for key in ("SIZES", "ASPECT_RATIOS")),
    *(f"MODEL.RPN.{when}_NMS_TOPK_{mode}" for when in ("PRE", "POST") for mode in ("TRAIN", "TEST")),
    *("MODEL.RPN.BATCH_SIZE_PER_IMAGE", "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", "MODEL.ROI_BOX_HEAD.FC_DIM"),
    *("MODEL.ROI_MASK_HEAD.NUM_CONV", "MODEL.ROI_MASK_HEAD.CONV_DIM", "MODEL.RESOLUTION_SELECTOR.WIDTH"),
    *("MODEL.ROI_TEXT_HEAD.CONV_DIM", "MODEL.ROI_TEXT_HEAD.HIDDEN_SIZE"),
    *(f"INPUT.{limit}_SIZE_{mode}" for limit in ("MIN", "MAX") for mode in ("TRAIN", "TEST")),
}
SCHEDULE = {
    *(f"SOLVER.{key}" for key in ("IMS_PER_BATCH", "REFERENCE_WORLD_SIZE", "MAX_ITER", "STEPS", "WARMUP_ITERS")),
    *("SOLVER.CHECKPOINT_PERIOD", "TEST.EVAL_PERIOD", "DATALOADER.NUM_WORKERS"),
}


@cache
def load(*config_files, opts=()):
    return load_cfg([toy.ROOT / config_file for config_file in config_files], opts)


def flat(node, prefix=""):
    """All keys of a config with their values."""
    values = {}
    for key, value in node.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return values


def difference(one, other):
    """Where one config leaves another: its own values by their keys."""
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    return {key: value for key, value in one.items() if value != other[key]}


@cache
def count_parameters(model_yaml):
    cfg = load_cfg()
    cfg.MODEL.merge_from_other_cfg(type(cfg)(yaml.safe_load(model_yaml)))
    # The meta device has shapes but no numbers: building costs neither time nor memory.
    with torch.device("meta"):
        return sum(p.numel() for p in build_model(cfg).parameters())


@pytest.mark.parametrize("config_file", CONFIGS)
def test_every_yaml_builds(config_file):
    base = OVERLAYS.get(config_file)
    files = [config_file] if base is None else [base, config_file]
    cfg = load(*files, opts=("MODEL.DEVICE", "meta", "MODEL.WEIGHTS", "")).clone()
    assert all(cfg.MODEL.DLD[key] >= 0 for key in WEIGHTS)
    for key in WEIGHTS:
        cfg.MODEL.DLD[key] = 1.0
    assert count_parameters(cfg.MODEL.dump()) > 1e6 or "demo" in config_file


def test_there_is_a_config_for_each_method_and_spotter():
    written = {Path(c).stem for c in CONFIGS if "/DLD/" in c}
    assert written == {f"{name}_R50" for name in (*METHODS, "PyramidFusion", "TextPerceptron_DLD", "MANGO_DLD")} | {
        "Light"
    }


@pytest.mark.parametrize("name", METHODS)
def test_a_method_changes_nothing_but_its_losses(name):
    assert difference(load(f"configs/DLD/{name}_R50.yaml"), load("configs/DLD/DLD_R50.yaml")) == METHODS[name]


@pytest.mark.parametrize("overlay", [(), ("configs/DLD/Light.yaml",)])
@pytest.mark.parametrize("spotter", ["TextPerceptron", "MANGO"])
def test_dld_around_another_spotter_keeps_its_own_settings(spotter, overlay):
    ours = load(f"configs/DLD/{spotter}_DLD_R50.yaml", *overlay)
    changed = difference(ours, load("configs/DLD/DLD_R50.yaml", *overlay))
    assert changed.pop("MODEL.DLD.SPOTTER") == spotter
    changed.pop("MODEL.DLD.COSTS", None)
    assert not [key for key in changed if key.startswith("MODEL.DLD.")]


@pytest.mark.parametrize("name", [*METHODS, "TextPerceptron_DLD", "MANGO_DLD"])
def test_costs_are_measured_and_never_the_scale_s_square(name):
    """Reading costs the same at every scale, and more where it weighs more."""
    for overlay in ((), ("configs/DLD/Light.yaml",)):
        dld = load(f"configs/DLD/{name}_R50.yaml", *overlay).MODEL.DLD
        assert len(dld.COSTS) == 6 and list(dld.COSTS) == sorted(dld.COSTS)
        assert all(cost > scale**2 for cost, scale in zip(dld.COSTS, (0.3, 0.4, 0.5, 0.6, 0.7, 0.8), strict=True))


@pytest.mark.parametrize("name", [*METHODS, "PyramidFusion", "TextPerceptron_DLD", "MANGO_DLD", "MaskRCNNSpotter"])
def test_the_light_overlay_changes_only_backbone_sizes_and_schedule(name):
    folder = "configs" if name == "MaskRCNNSpotter" else "configs/DLD"
    paper = f"{folder}/{name}_R50.yaml"
    changed = difference(load(paper, f"{folder}/Light.yaml"), load(paper))
    assert changed["MODEL.BACKBONE.NAME"] == "build_light_resnet_fpn_backbone"
    assert set(changed) <= BACKBONE | SIZES | SCHEDULE | OTHER_SPOTTERS


def test_later_files_are_laid_over_earlier_ones(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("SEED: 1\nOUTPUT_DIR: one\nMODEL: {TEXT: {MAX_LENGTH: 7}}\n")
    second.write_text("SEED: 2\nMODEL: {TEXT: {CHARSET: alphanumeric36}}\n")
    cfg = load_cfg([first, str(second)], ["OUTPUT_DIR", "two"])
    assert (cfg.SEED, cfg.OUTPUT_DIR) == (2, "two")
    assert (cfg.MODEL.TEXT.MAX_LENGTH, cfg.MODEL.TEXT.CHARSET) == (7, "alphanumeric36")
    assert load_cfg([second, first]).SEED == 1 and load_cfg([]) == load_cfg()
    overlaid = load_cfg(["synthetic-dld", second])
    assert Path(overlaid.MODEL.WEIGHTS).is_file() and overlaid.SEED == 2


def test_the_page_of_configs_names_every_config_and_nothing_else():
    text = (toy.ROOT / "configs/README.md").read_text(encoding="utf-8")
    linked = {f"configs/{name}" for name in re.findall(r"\]\(([\w./-]+\.yaml)\)", text)}
    assert linked == set(CONFIGS)


def test_the_options_on_the_page_of_configs_are_options():
    """Every `MODEL.DLD.GAMMA 0.2` and the like in the tables, as it would be typed."""
    text = (toy.ROOT / "configs/README.md").read_text(encoding="utf-8")
    rows = [cell for cell in re.findall(r"`([A-Z][A-Z_]*\.[^`]*)`", text) if " " in cell]
    assert len(rows) > 15
    for row in rows:
        load("configs/DLD/DLD_R50.yaml", opts=tuple(shlex.split(row)))


def test_the_paper_s_settings():
    """Sections 3 to 5 of the paper, and what its authors' code adds to them."""
    cfg = load("configs/DLD/DLD_R50.yaml")
    epoch = 478
    solver = cfg.SOLVER
    assert (solver.OPTIMIZER, solver.BASE_LR, solver.WEIGHT_DECAY, solver.GAMMA) == ("AdamW", 1e-3, 0, 0.1)
    assert (solver.IMS_PER_BATCH, solver.REFERENCE_WORLD_SIZE) == (8 * 3, 8)
    assert (50 * epoch, (30 * epoch, 40 * epoch)) == (solver.MAX_ITER, solver.STEPS)
    assert (solver.WARMUP_ITERS, solver.WARMUP_METHOD) == (500, "linear")
    assert pytest.approx(1 / 3, abs=1e-3) == solver.WARMUP_FACTOR
    clip = solver.CLIP_GRADIENTS
    assert (clip.ENABLED, clip.CLIP_TYPE, clip.CLIP_VALUE, clip.NORM_TYPE) == (True, "full_model", 35, 2)
    assert (cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN) == ((896,), 1600)
    assert (cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST) == (896, 3000)
    dld = cfg.MODEL.DLD
    assert dld.SCALES == (0.3, 0.4, 0.5, 0.6, 0.7, 0.8) and dld.ACCURACY_TARGET == "kl" and dld.NUM_SEQUENCES == 1
    assert (dld.GAMMA, dld.TEMPERATURE, dld.TEMPERATURE_DECAY) == (0.1, 5, 0.965)
    weights = (dld.ETA_CONTEXT, dld.ETA_SEQUENCE, dld.LAMBDA_DRS, dld.LAMBDA_SKD, cfg.MODEL.ROI_TEXT_HEAD.LOSS_WEIGHT)
    assert weights == (1, 1, 1, 1, 1) and dld.ETA_ROI == 1
    assert cfg.MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION == (8, 32) and cfg.MODEL.ROI_TEXT_HEAD.HIDDEN_SIZE == 256
    teacher = load("configs/MaskRCNNSpotter_R50.yaml")
    assert (100 * epoch, (60 * epoch, 80 * epoch)) == (teacher.SOLVER.MAX_ITER, teacher.SOLVER.STEPS)


def test_unknown_keys_are_named_with_a_suggestion(tmp_path):
    with pytest.raises(KeyError, match=r"command line.*HEAD.HIDEN_SIZE.*HEAD.HIDDEN_SIZE"):
        load_cfg(None, ["MODEL.ROI_TEXT_HEAD.HIDEN_SIZE", 3])
    path = tmp_path / "wrong.yaml"
    path.write_text("INPUT:\n  ROTATIONS: 3\n")
    with pytest.raises(KeyError, match=r"wrong.yaml.*INPUT.ROTATIONS.*INPUT.ROTATION"):
        load_cfg(str(path))


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("MODEL.DEVICE", "gpu", "MODEL.DEVICE is 'gpu'"),
        ("INPUT.RANDOM_FLIP", "horizontal", "mirrored"),
        ("INPUT.TEXT.UNKNOWN", "drop", "'ignore', 'detect' or 'error'"),
        ("MODEL.PAD_MULTIPLE", 100, "PAD_MULTIPLE is 100"),
        ("MODEL.PAD_MULTIPLE", -32, "PAD_MULTIPLE is -32"),
        ("INPUT.TEXT.ORDERED_POINTS", (10, 7), "ORDERED_POINTS"),
        ("MODEL.DLD.COSTS", (0.5, 1.0), "COSTS has 2 numbers, MODEL.DLD.SCALES 6"),
        ("MODEL.DLD.FIXED_SCALE", 1.5, "FIXED_SCALE is 1.5"),
        ("MODEL.DLD.FIXED_SCALE", -0.5, "FIXED_SCALE is -0.5"),
    ],
)
def test_wrong_values_are_named(key, value, message):
    with pytest.raises(ValueError, match=message):
        load_cfg(str(toy.ROOT / "configs/MaskRCNNSpotter_Light.yaml"), [key, value])


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_is_said():
    with pytest.raises(ValueError, match="no GPU here; add MODEL.DEVICE cpu"):
        load_cfg(str(toy.ROOT / "configs/MaskRCNNSpotter_Light.yaml"), ["MODEL.DEVICE", "cuda"])


def test_a_missing_yaml_is_said():
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        load_cfg("nowhere.yaml")


def test_training_a_selector_without_measured_costs_is_said(caplog):
    dld = ("MODEL.META_ARCHITECTURE", "DLDSpotter")
    with caplog.at_level("WARNING"):
        load_cfg(opts=dld)
    assert [r for r in caplog.records if "MODEL.DLD.COSTS" in r.getMessage()]
    caplog.clear()
    for opts in (("MODEL.DLD.TEACHER", False), ("MODEL.DLD.SCALES", (0.5,)), ("MODEL.DLD.SELECTION", "random")):
        load_cfg(opts=[*dld, *opts])
    load("configs/DLD/DLD_R50.yaml")
    assert not caplog.records


@pytest.mark.parametrize("value", ["0", "-1", "+2", 3, " 0 "])
def test_a_whole_number_stands_for_a_floating_point_one(tmp_path, value):
    """As documents write MODEL.DLD.GAMMA_SHIFT 0."""
    cfg = load_cfg(opts=["MODEL.DLD.GAMMA_SHIFT", value, "SOLVER.BASE_LR", "1", "SOLVER.MAX_ITER", "7"])
    assert (float(value), 1.0, 7) == (cfg.MODEL.DLD.GAMMA_SHIFT, cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER)
    assert type(cfg.SOLVER.BASE_LR) is float and type(cfg.SOLVER.MAX_ITER) is int
    (tmp_path / "a.yaml").write_text(f"MODEL: {{DLD: {{GAMMA_SHIFT: {int(value)}}}}}\nSOLVER: {{MAX_ITER: 7}}\n")
    cfg = load_cfg(tmp_path / "a.yaml")
    assert float(value) == cfg.MODEL.DLD.GAMMA_SHIFT and type(cfg.SOLVER.MAX_ITER) is int
    cfg = student_cfg(load_cfg(opts=["MODEL.DLD.STUDENT_OPTS", ["MODEL.DLD.GAMMA_SHIFT", value]]))
    assert float(value) == cfg.MODEL.DLD.GAMMA_SHIFT


def test_a_whole_number_stands_for_a_floating_point_one_where_a_config_is_given(tmp_path):
    node, name = fake_cfg(tmp_path)
    for config in (node, name):
        cfg = complete_cfg(config, None, "cpu", ["INPUT.ROTATION", 5, "TEST.TEXT.SCORE_THRESHOLD", "0"], None)
        assert (cfg.INPUT.ROTATION, cfg.TEST.TEXT.SCORE_THRESHOLD) == (5.0, 0.0)
    with pytest.raises(KeyError, match="Did you mean INPUT.ROTATION"):
        complete_cfg(node, None, "cpu", ["INPUT.ROTATIONS", 5], None)


def test_a_number_without_end_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "a.yaml").write_text(f"SOLVER: {{BASE_LR: 1{'0' * 400}}}\n")
    with pytest.raises(ValueError, match=r"a\.yaml"):
        load_cfg(tmp_path / "a.yaml")


@pytest.mark.parametrize("opts", [["SOLVER.MAX_ITER", "7.5"], ["SOLVER.BASE_LR", "fast"], ["SOLVER.BASE_LR", "True"]])
def test_values_of_another_type_are_still_errors(opts):
    with pytest.raises(ValueError, match=opts[0].replace(".", r"\.")):
        load_cfg(opts=opts)
