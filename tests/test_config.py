import re
from functools import cache
from pathlib import Path

import pytest
import torch
import toy
import yaml
from detectron2.modeling import build_model

from dld_spotter.config import load_cfg

CONFIGS = sorted(str(p.relative_to(toy.ROOT)) for p in (toy.ROOT / "configs").glob("**/*.yaml"))

# What only weighs losses: models that differ in nothing else are the same modules.
WEIGHTS = ("GAMMA", "TEMPERATURE", "ETA_ROI", "ETA_CONTEXT", "ETA_SEQUENCE", "LAMBDA_DRS", "LAMBDA_SKD")

# Where each recipe in configs/DLD leaves Base-DLD, by the rows of the paper's tables.
# Table 3's rivals: SKD's own losses off, theirs on.
NO_SKD = {"MODEL.DLD.SCALES": (0.5,)} | {f"MODEL.DLD.ETA_{name}": 0.0 for name in ("ROI", "CONTEXT", "SEQUENCE")}
BHUNIA = {f"MODEL.DLD.ETA_{n}": w for n, w in {"LOGITS": 0.5, "HINT": 5.0, "ATTENTION": 1.0, "AFFINITY": 1.0}.items()}

RECIPES = {
    "SKD-only": {"MODEL.DLD.SCALES": (0.5,)},
    "SKD-only_roi": {"MODEL.DLD.SCALES": (0.5,), "MODEL.DLD.ETA_CONTEXT": 0.0, "MODEL.DLD.ETA_SEQUENCE": 0.0},
    "SKD-only_context": {"MODEL.DLD.SCALES": (0.5,), "MODEL.DLD.ETA_ROI": 0.0, "MODEL.DLD.ETA_SEQUENCE": 0.0},
    "SKD-only_sequence": {"MODEL.DLD.SCALES": (0.5,), "MODEL.DLD.ETA_ROI": 0.0, "MODEL.DLD.ETA_CONTEXT": 0.0},
    "Bhunia": NO_SKD | BHUNIA,
    "SKD-logits": {"MODEL.DLD.SCALES": (0.5,), "MODEL.DLD.ETA_SEQUENCE": 0.0, "MODEL.DLD.ETA_LOGITS": 1.0},
    "Qi": NO_SKD | {"MODEL.DLD.ETA_PYRAMID": 0.6},
    "SKD_Qi": {"MODEL.DLD.SCALES": (0.5,), "MODEL.DLD.ETA_PYRAMID": 0.6},
    "DRS-only_gamma0.1": {"MODEL.DLD.LAMBDA_SKD": 0.0},
    "DRS-only_gamma0.3": {"MODEL.DLD.LAMBDA_SKD": 0.0, "MODEL.DLD.GAMMA": 0.3},
    "DLD_gamma0.1": {},
    "DLD_gamma0.2": {"MODEL.DLD.GAMMA": 0.2},
    "DLD_gamma0.3": {"MODEL.DLD.GAMMA": 0.3},
    "DLD_gamma0.4": {"MODEL.DLD.GAMMA": 0.4},
    "DLD_gamma0.5": {"MODEL.DLD.GAMMA": 0.5},
    "DLD_tau1": {"MODEL.DLD.TEMPERATURE": 1.0},
    "DLD_tau3": {"MODEL.DLD.TEMPERATURE": 3.0},
    "DLD_tau7": {"MODEL.DLD.TEMPERATURE": 7.0},
    "DLD_tau9": {"MODEL.DLD.TEMPERATURE": 9.0},
    "DLD_scales0.3-0.5": {"MODEL.DLD.SCALES": (0.3, 0.4, 0.5)},
    "DLD_scales0.6-0.8": {"MODEL.DLD.SCALES": (0.6, 0.7, 0.8)},
    "DLD_16x64": {"MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION": (16, 64)},
    "DLD_16x64-8x32": {
        "MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION": (16, 64),
        "MODEL.DLD.STUDENT_OPTS": [
            *("MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", [8, 32]),
            *("MODEL.ROI_TEXT_HEAD.UPSAMPLE", True),
        ],
    },
}

# All that a light twin may change.
BACKBONE = {"MODEL.BACKBONE.NAME", "MODEL.FPN.OUT_CHANNELS", "MODEL.LIGHT_RESNET.STAGE_CHANNELS"}
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
def load(config_file, *opts):
    return load_cfg(str(toy.ROOT / config_file), opts)


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
    cfg = load(config_file, "MODEL.DEVICE", "meta", "MODEL.WEIGHTS", "").clone()
    assert all(cfg.MODEL.DLD[key] >= 0 for key in WEIGHTS)
    for key in WEIGHTS:
        cfg.MODEL.DLD[key] = 1.0
    assert count_parameters(cfg.MODEL.dump()) > 1e6 or "demo" in config_file


def test_the_recipes_are_the_rows_of_the_tables():
    others = ("TextPerceptron_", "MANGO_")  # Table 8, and its own tests
    written = {Path(c).stem for c in CONFIGS if "/DLD/" in c and not Path(c).stem.startswith(others)}
    expected = {"Base-DLD_R50", "Light", "Vanilla_Light", "Vanilla_16x64_R50", "Vanilla_16x64_Light"}
    expected |= {"PyramidFusion_R50", "PyramidFusion_Light"}
    assert written == expected | {f"{name}_{size}" for name in RECIPES for size in ("R50", "Light")}


@pytest.mark.parametrize("spotter", ["TextPerceptron", "MANGO"])
@pytest.mark.parametrize("size", ["R50", "Light"])
def test_dld_around_another_spotter_differs_in_gamma_alone(spotter, size):
    """Table 8's two rows of a spotter are one recipe, with DLD's own settings as around the base spotter."""
    low, high = (load(f"configs/DLD/{spotter}_DLD_gamma{gamma}_{size}.yaml") for gamma in (0.1, 0.3))
    assert difference(high, low) == {"MODEL.DLD.GAMMA": 0.3}
    changed = difference(low, load(f"configs/DLD/DLD_gamma0.1_{size}.yaml"))
    assert changed["MODEL.DLD.SPOTTER"] == spotter
    assert not [key for key in changed if key.startswith("MODEL.DLD.") and key != "MODEL.DLD.SPOTTER"]


def test_the_readme_links_every_recipe_and_nothing_else():
    text = (toy.ROOT / "projects/DLD/README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(\.\./\.\./(configs/[^)]*\.yaml)\)", text))
    assert linked <= set(CONFIGS)
    assert {f"configs/DLD/{name}_R50.yaml" for name in RECIPES} <= linked
    commands = set(re.findall(r"`evaluate (\S+) (?:ic13|ic15|tt)", text))
    assert {f"configs/{name}.yaml" for name in commands} <= linked


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_changes_nothing_but_its_row(name):
    assert difference(load(f"configs/DLD/{name}_R50.yaml"), load("configs/DLD/Base-DLD_R50.yaml")) == RECIPES[name]


@pytest.mark.parametrize("name", [*RECIPES, "Vanilla", "Vanilla_16x64", "PyramidFusion"])
def test_a_light_twin_changes_only_backbone_sizes_and_schedule(name):
    paper = "configs/MaskRCNNSpotter_R50.yaml" if name == "Vanilla" else f"configs/DLD/{name}_R50.yaml"
    changed = difference(load(f"configs/DLD/{name}_Light.yaml"), load(paper))
    assert changed["MODEL.BACKBONE.NAME"] == "build_light_resnet_fpn_backbone"
    assert set(changed) <= BACKBONE | SIZES | SCHEDULE


def test_the_paper_s_settings():
    """Sections 3 to 5 of the paper, and what its authors' code adds to them."""
    cfg = load("configs/DLD/Base-DLD_R50.yaml")
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
