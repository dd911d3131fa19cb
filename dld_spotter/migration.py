"""Config files of earlier versions: what becomes of keys that no longer exist.

Version 0 is every file without ``MODEL.VERSION``: configs of trainings, and exported models with all keys. From version
1 on an exported model holds only what differs from the defaults. So whoever changes a default raises ``VERSION`` and
gives files of earlier versions the value that they meant.
"""

import ast
import logging
from collections.abc import Callable
from typing import Any

from detectron2.config import CfgNode

VERSION = 1

logger = logging.getLogger(__name__)

Check = Callable[[Any, CfgNode], bool]  # a key's value, and MODEL: whether nothing is lost without the key


def _is(expected: object) -> Check:
    return lambda value, _: value == expected


# Keys under another name, and the default, which says nothing: of two keys that are one now, the other counts.
MOVED = {
    "MODEL.TEXT_PERCEPTRON.ORDERED_POINTS": ("INPUT.TEXT.ORDERED_POINTS", (10, 14)),
    "MODEL.MANGO.ORDERED_POINTS": ("INPUT.TEXT.ORDERED_POINTS", (10, 14)),
}

# Keys whose value is a constant of the module that read them, or follows from other keys; they had an effect on
# training alone. Another value is said to be ignored.
CONSTANT_IN_TRAINING: dict[str, Check] = {
    "MODEL.ROI_TEXT_HEAD.JITTER_ENDS": _is(0.0),
    "MODEL.IGNORE_REGION_THRESHOLD": _is(0.5),
    "MODEL.DLD.LOGIT_TEMPERATURE": _is(2.0),
    "MODEL.DLD.BEAM_WIDTH": _is(5),
    "MODEL.DLD.PYRAMID_WARMUP_ITERS": _is(500),
    "MODEL.CHANNELS_LAST": lambda value, model: True,
    "MODEL.TEXT_PERCEPTRON.END_RATIO": _is(0.25),
    "MODEL.TEXT_PERCEPTRON.MIN_END_LENGTH": _is(4.0),
    "MODEL.TEXT_PERCEPTRON.BOUNDARY_RATIO": _is(0.09),
    "MODEL.TEXT_PERCEPTRON.BOUNDARY_THICKNESS": lambda value, _: tuple(value) == (4.0, 12.0),
    "MODEL.TEXT_PERCEPTRON.BACKGROUND_RATIO": _is(0.6),
    "MODEL.TEXT_PERCEPTRON.SEGMENTATION_WEIGHT": _is(1.0),
    "MODEL.TEXT_PERCEPTRON.REGRESSION_REDUCTION": _is("mean"),
    "MODEL.TEXT_PERCEPTRON.CORNER_WEIGHT": _is(1.0),
    "MODEL.TEXT_PERCEPTRON.OFFSET_WEIGHT": _is(0.25),
    "MODEL.TEXT_PERCEPTRON.SMOOTH_L1_BETA": _is(0.11),
    "MODEL.MANGO.SHRINK": _is(0.4),
    "MODEL.MANGO.CENTRE_LINE_LOSS_WEIGHT": _is(1.0),
    "MODEL.MANGO.GRID_LOSS_WEIGHT": _is(1.0),
    "MODEL.MANGO.READING_LOSS_WEIGHT": _is(1.0),
    "MODEL.MANGO.CHARACTER_WINDOW_LOSS_WEIGHT": _is(1.0),
    "MODEL.MANGO.INSTANCE_ATTENTION_LOSS_WEIGHT": _is(0.0),
    "MODEL.MANGO.ATTENTION_DECAY_STEPS": _is(0),
    "MODEL.MANGO.GRID_POSITIVE_WEIGHT": _is(5.0),
    "INPUT.WORD_CROP.TRIES": _is(50),
}

# Likewise, but a model with another value would give other words. It is refused.
CONSTANT: dict[str, Check] = {
    "MODEL.ROI_TEXT_HEAD.POOLER_SAMPLING_RATIO": _is(0),
    "MODEL.ROI_TEXT_HEAD.POOLER_MARGIN": _is(1.0),
    "MODEL.LIGHT_RESNET.STEM_CHANNELS": lambda value, model: value == model.LIGHT_RESNET.STAGE_CHANNELS[0],
    "MODEL.LIGHT_RESNET.BLOCKS": lambda value, _: set(value) == {1},
    "MODEL.PP_LCNET.STEM_CHANNELS": lambda value, model: value == model.PP_LCNET.STAGE_CHANNELS[0] // 2,
    "MODEL.PP_LCNET_READER.STEM_CHANNELS": lambda value, model: value == model.PP_LCNET_READER.STAGE_CHANNELS[0] // 2,
    "MODEL.RESOLUTION_SELECTOR.FOLD": _is(4),
    "MODEL.TEXT_PERCEPTRON.MIN_ENCLOSED": _is(0.6),
    "MODEL.TEXT_PERCEPTRON.MIN_CELLS": _is(1),
    "MODEL.MANGO.IN_FEATURE": _is("p2"),
    "MODEL.MANGO.NUM_KERNEL_CONVS": lambda value, model: (value or model.MANGO.NUM_CONVS) == 4,
    "MODEL.MANGO.NORM_GROUPS": lambda value, model: value == model.MANGO.CONV_DIM // 8,
    "MODEL.MANGO.HIDDEN_SIZE": lambda value, model: value == model.ROI_TEXT_HEAD.HIDDEN_SIZE,
    "MODEL.MANGO.NUM_LSTMS": _is(2),
    "MODEL.MANGO.FC_DIM": lambda value, model: value == 2 * model.ROI_TEXT_HEAD.HIDDEN_SIZE,
    "MODEL.MANGO.NORMALIZE_ATTENTION": _is(True),
    "MODEL.MANGO.MIN_PIXELS": _is(9),
    "MODEL.MANGO.UNSHRINK": _is(False),
    "TEST.TEXT.MIN_WORD_LENGTH": _is(3),
}

REMOVED = {*MOVED, *CONSTANT_IN_TRAINING, *CONSTANT}

# Where a section is read at all; keys of the others are left out unseen.
_USED: dict[str, Callable[[CfgNode], bool]] = {
    "MODEL.LIGHT_RESNET": lambda model: model.BACKBONE.NAME == "build_light_resnet_fpn_backbone",
    "MODEL.PP_LCNET": lambda model: model.BACKBONE.NAME == "build_pp_lcnet_fpn_backbone",
    "MODEL.PP_LCNET_READER": lambda model: model.ROI_TEXT_HEAD.NAME == "CropTextHead",
    "MODEL.TEXT_PERCEPTRON": lambda model: "TextPerceptron" in (model.META_ARCHITECTURE, model.DLD.SPOTTER),
    "MODEL.MANGO": lambda model: "MANGO" in (model.META_ARCHITECTURE, model.DLD.SPOTTER),
}


def take_removed_keys(loaded: dict, source: str) -> dict[str, object]:
    """Take the keys that no longer exist out of what a YAML file holds, in place; those with a new name get it.

    Args:
        loaded: nested dictionaries.
        source: the file, for messages.

    Returns:
        the other removed keys, with their values, for ``check_removed_keys``.

    Raises:
        ValueError: the file is of a later version.
    """
    version = _descend(loaded, ["MODEL"]).get("VERSION", 0)
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"{source}: MODEL.VERSION is {version}, and this dld_spotter knows {VERSION} at most; update dld_spotter."
        )
    removed: dict[str, Any] = {}
    for key in REMOVED:
        *sections, name = key.split(".")
        node = _descend(loaded, sections)
        if name in node:
            removed[key] = _decoded(node.pop(name))
    for old, (new, default) in MOVED.items():
        value = removed.pop(old, default)
        if tuple(value) != default:
            *sections, name = new.split(".")
            _descend(loaded, sections, make=True)[name] = value
    jitter = _descend(loaded, ["INPUT"]).get("COLOR_JITTER")
    if isinstance(jitter, dict):  # three keys, and their defaults
        names = {"BRIGHTNESS": 0.125, "CONTRAST": 0.5, "SATURATION": 0.5}
        loaded["INPUT"]["COLOR_JITTER"] = [jitter.get(name, default) for name, default in names.items()]
    return removed | _take_removed_pairs(_descend(loaded, ["MODEL", "DLD"]))


def check_removed_keys(removed: dict[str, object], model: CfgNode, source: str) -> None:
    """Compare the values of removed keys with what stands in their place.

    Args:
        removed: as ``take_removed_keys`` gives them.
        model: MODEL of the config that the file made.
        source: the file, for messages.

    Raises:
        ValueError: without the key's value the model would give other words.
    """
    for key, value in removed.items():
        section = key.rsplit(".", 1)[0]
        if section in _USED and not _USED[section](model):
            continue
        if key in CONSTANT_IN_TRAINING and not CONSTANT_IN_TRAINING[key](value, model):
            logger.warning("%s: %s is %s, but there is no such key any more; training ignores it.", source, key, value)
        if key in CONSTANT and not CONSTANT[key](value, model):
            raise ValueError(
                f"{source}: {key} is {value}, but there is no such key any more, and its value is another one. Take it "
                "out to train a new model; for a trained one use dld_spotter 0.1."
            )


def _decoded(value: object) -> object:
    """A value as Detectron2 takes it: tuples are text in YAML."""
    try:
        return ast.literal_eval(value) if isinstance(value, str) else value
    except (SyntaxError, ValueError):
        return value


def _descend(node: dict, names: list[str], make: bool = False) -> dict:
    """The dictionary in nested ones; an empty one where there is none, put there with ``make``."""
    for name in names:
        below = node.get(name)
        if not isinstance(below, dict):
            below = {}
            if make:
                node[name] = below
        node = below
    return node


def _take_removed_pairs(dld: dict) -> dict[str, object]:
    """The removed keys among the pairs of MODEL.DLD.STUDENT_OPTS, taken out in place."""
    opts = dld.get("STUDENT_OPTS")
    if not isinstance(opts, list):
        return {}
    pairs = list(zip(opts[0::2], opts[1::2], strict=False))
    removed = {key: value for key, value in pairs if key in REMOVED}
    if removed:
        dld["STUDENT_OPTS"] = [item for pair in pairs if pair[0] not in removed for item in pair]
    return removed
