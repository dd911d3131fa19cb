"""Configs of earlier versions: what was removed is said, moved or left out, and the model stays the same."""

import pytest
import toy
import yaml

from dld_spotter import load_cfg
from dld_spotter.migration import CONSTANT, CONSTANT_IN_TRAINING, MOVED, REMOVED, VERSION

# What version 0 wrote for the keys that are no more, in the config of a Mask R-CNN spotter.
VERSION_0 = {
    "MODEL.ROI_TEXT_HEAD.JITTER_ENDS": 0.0,
    "MODEL.ROI_TEXT_HEAD.POOLER_SAMPLING_RATIO": 0,
    "MODEL.ROI_TEXT_HEAD.POOLER_MARGIN": 1.0,
    "MODEL.LIGHT_RESNET.STEM_CHANNELS": 32,
    "MODEL.LIGHT_RESNET.BLOCKS": [1, 1, 1, 1],
    "MODEL.PP_LCNET.STEM_CHANNELS": 24,
    "MODEL.PP_LCNET_READER.STEM_CHANNELS": 48,
    "MODEL.RESOLUTION_SELECTOR.FOLD": 4,
    "MODEL.DLD.LOGIT_TEMPERATURE": 2.0,
    "MODEL.DLD.BEAM_WIDTH": 5,
    "MODEL.DLD.PYRAMID_WARMUP_ITERS": 500,
    "MODEL.IGNORE_REGION_THRESHOLD": 0.5,
    "MODEL.CHANNELS_LAST": True,
    "MODEL.TEXT_PERCEPTRON.ORDERED_POINTS": [10, 14],
    "MODEL.TEXT_PERCEPTRON.END_RATIO": 0.25,
    "MODEL.TEXT_PERCEPTRON.MIN_END_LENGTH": 4.0,
    "MODEL.TEXT_PERCEPTRON.BOUNDARY_RATIO": 0.09,
    "MODEL.TEXT_PERCEPTRON.BOUNDARY_THICKNESS": [4.0, 12.0],
    "MODEL.TEXT_PERCEPTRON.BACKGROUND_RATIO": 0.6,
    "MODEL.TEXT_PERCEPTRON.SEGMENTATION_WEIGHT": 1.0,
    "MODEL.TEXT_PERCEPTRON.REGRESSION_REDUCTION": "mean",
    "MODEL.TEXT_PERCEPTRON.CORNER_WEIGHT": 1.0,
    "MODEL.TEXT_PERCEPTRON.OFFSET_WEIGHT": 0.25,
    "MODEL.TEXT_PERCEPTRON.SMOOTH_L1_BETA": 0.11,
    "MODEL.TEXT_PERCEPTRON.MIN_ENCLOSED": 0.6,
    "MODEL.TEXT_PERCEPTRON.MIN_CELLS": 1,
    "MODEL.MANGO.IN_FEATURE": "p2",
    "MODEL.MANGO.NUM_KERNEL_CONVS": 0,
    "MODEL.MANGO.NORM_GROUPS": 32,
    "MODEL.MANGO.HIDDEN_SIZE": 256,
    "MODEL.MANGO.NUM_LSTMS": 2,
    "MODEL.MANGO.FC_DIM": 512,
    "MODEL.MANGO.ORDERED_POINTS": [10, 14],
    "MODEL.MANGO.SHRINK": 0.4,
    "MODEL.MANGO.NORMALIZE_ATTENTION": True,
    "MODEL.MANGO.CENTRE_LINE_LOSS_WEIGHT": 1.0,
    "MODEL.MANGO.GRID_LOSS_WEIGHT": 1.0,
    "MODEL.MANGO.READING_LOSS_WEIGHT": 1.0,
    "MODEL.MANGO.CHARACTER_WINDOW_LOSS_WEIGHT": 1.0,
    "MODEL.MANGO.INSTANCE_ATTENTION_LOSS_WEIGHT": 0.0,
    "MODEL.MANGO.ATTENTION_DECAY_STEPS": 0,
    "MODEL.MANGO.GRID_POSITIVE_WEIGHT": 5.0,
    "MODEL.MANGO.MIN_PIXELS": 9,
    "MODEL.MANGO.UNSHRINK": False,
    "INPUT.WORD_CROP.TRIES": 50,
    "TEST.TEXT.MIN_WORD_LENGTH": 3,
}


def as_yaml(path, content, pairs):
    """Write nested keys of a dumped config, without a version, with others set."""
    content["MODEL"].pop("VERSION", None)
    for key, value in pairs.items():
        *sections, name = key.split(".")
        node = content
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def dumped(config):
    """A full dump of a config, as a training leaves it."""
    return yaml.safe_load(load_cfg(config).dump())


@pytest.mark.parametrize(
    "config",
    ["configs/MaskRCNNSpotter_Light.yaml", "configs/MANGO_R50.yaml", "configs/DLD/TextPerceptron_DLD_R50.yaml"],
)
def test_a_full_dump_of_version_0_gives_the_same_config(config, tmp_path, caplog):
    assert VERSION_0.keys() == REMOVED
    content = dumped(toy.ROOT / config)
    content["INPUT"]["COLOR_JITTER"] = {"BRIGHTNESS": 0.125, "CONTRAST": 0.5, "SATURATION": 0.5}
    old = load_cfg(as_yaml(tmp_path / "old.yaml", content, VERSION_0))
    assert yaml.safe_load(old.dump()) == dumped(toy.ROOT / config)
    assert not caplog.records


def test_no_removed_key_is_a_key():
    cfg = load_cfg()
    for key in REMOVED:
        node = cfg
        *sections, name = key.split(".")
        for section in sections:
            node = node[section]
        assert name not in node
    assert not set(MOVED) & set(CONSTANT) and not set(CONSTANT) & set(CONSTANT_IN_TRAINING)


def test_moved_keys_keep_their_values(tmp_path):
    path = tmp_path / "old.yaml"
    old = "MODEL: {MANGO: {ORDERED_POINTS: [10, 16]}, TEXT_PERCEPTRON: {ORDERED_POINTS: [10, 14]}}\n"
    path.write_text(old + "INPUT: {COLOR_JITTER: {CONTRAST: 0.0}}\n")
    cfg = load_cfg(path)
    assert cfg.INPUT.TEXT.ORDERED_POINTS == (10, 16)
    assert cfg.INPUT.COLOR_JITTER == (0.125, 0.0, 0.5)


def test_another_value_of_a_key_of_training_is_said_to_be_ignored(tmp_path, caplog):
    path = tmp_path / "old.yaml"
    path.write_text("MODEL: {ROI_TEXT_HEAD: {JITTER_ENDS: 0.8}}\n")
    load_cfg(path)
    assert [r for r in caplog.records if "JITTER_ENDS" in r.getMessage()]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODEL.ROI_TEXT_HEAD.POOLER_MARGIN", 2.0),
        ("MODEL.LIGHT_RESNET.STEM_CHANNELS", 16),
        ("MODEL.MANGO.UNSHRINK", True),
    ],
)
def test_a_model_that_would_give_other_words_is_refused(key, value, tmp_path):
    config = "MANGO_R50.yaml" if "MANGO" in key else "MaskRCNNSpotter_Light.yaml"
    path = as_yaml(tmp_path / "old.yaml", dumped(toy.ROOT / "configs" / config), {key: value})
    with pytest.raises(ValueError, match=f"old.yaml.*{key}"):
        load_cfg(path)


def test_keys_of_networks_that_are_not_used_do_not_matter(tmp_path):
    content = dumped(toy.ROOT / "configs/MaskRCNNSpotter_Light.yaml")
    load_cfg(as_yaml(tmp_path / "old.yaml", content, {"MODEL.MANGO.UNSHRINK": True, "MODEL.PP_LCNET.STEM_CHANNELS": 2}))


def test_tuples_are_text_in_a_config_by_hand(tmp_path, caplog):
    path = tmp_path / "old.yaml"
    base = f"_BASE_: {toy.ROOT / 'configs/MaskRCNNSpotter_Light.yaml'}\n"
    path.write_text(f"{base}MODEL: {{LIGHT_RESNET: {{BLOCKS: '(1, 1, 1, 1)', STAGE_CHANNELS: '(32, 8)'}}}}\n")
    load_cfg(path)
    path.write_text(
        "MODEL:\n  META_ARCHITECTURE: TextPerceptron\n  TEXT_PERCEPTRON: {BOUNDARY_THICKNESS: '(4.0, 12.0)'}\n"
    )
    load_cfg(path)
    assert not caplog.records


def test_the_student_s_options_too(tmp_path, caplog):
    path = tmp_path / "old.yaml"
    opts = "[MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION, [6, 24], MODEL.ROI_TEXT_HEAD.JITTER_ENDS, 0.8]"
    path.write_text(f"MODEL: {{DLD: {{STUDENT_OPTS: {opts}}}}}\n")
    assert load_cfg(path).MODEL.DLD.STUDENT_OPTS == ["MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", [6, 24]]
    assert [r for r in caplog.records if "JITTER_ENDS" in r.getMessage()]


def test_a_later_version_is_refused(tmp_path):
    path = tmp_path / "new.yaml"
    path.write_text(f"MODEL: {{VERSION: {VERSION + 1}}}\n")
    with pytest.raises(ValueError, match=r"new.yaml: MODEL.VERSION is"):
        load_cfg(path)


def test_a_removed_key_on_the_command_line_is_no_unknown_one():
    with pytest.raises(KeyError, match="MODEL.MANGO.UNSHRINK any more"):
        load_cfg(opts=["MODEL.MANGO.UNSHRINK", True])
