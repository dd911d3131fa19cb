"""The config that a predictor reads with."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import numpy as np
import torch
from detectron2.config import CfgNode

from dld_spotter.config import ConfigFiles, check_cfg, load_cfg, merge_opts

logger = logging.getLogger(__name__)

USUAL_RATIO = 16 / 9  # of a photo's sides


def complete_cfg(
    config: ConfigFiles | CfgNode,
    weights: str | os.PathLike | None,
    device: str,
    opts: Sequence,
    confidence_threshold: float | None,
) -> CfgNode:
    """The config with everything that is asked of the predictor in it; the arguments are TextPredictor's.

    Raises:
        ValueError: there are no weights, or the threshold lies outside [0, 1].
    """
    opts = list(opts)
    size_is_set = "INPUT.MIN_SIZE_TEST" in opts
    if device != "auto":
        opts += ["MODEL.DEVICE", device]
    elif "MODEL.DEVICE" not in opts:
        opts += ["MODEL.DEVICE", "cuda" if torch.cuda.is_available() else "cpu"]
    if weights is not None:
        opts += ["MODEL.WEIGHTS", os.fspath(weights)]
    if confidence_threshold is not None:
        if not 0 <= confidence_threshold <= 1:
            raise ValueError(f"the confidence threshold is {confidence_threshold}; it must lie in [0, 1].")
        opts += ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", float(confidence_threshold)]
    if isinstance(config, CfgNode):
        cfg = config.clone()
        cfg.defrost()
        merge_opts(cfg, opts)
        check_cfg(cfg)
    else:
        cfg = load_cfg(config, opts)
    cfg.MODEL.DLD.TEACHER = False  # only training has a use for one
    if not cfg.MODEL.WEIGHTS:
        raise ValueError(
            "there are no weights to read with: give weights='model_final.pth' or set MODEL.WEIGHTS to a checkpoint."
        )
    if size_is_set:
        _warn_of_low_limit(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
    cfg.freeze()
    return cfg


def _warn_of_low_limit(shortest: int, longest: int) -> None:
    if longest < shortest * USUAL_RATIO:
        logger.warning(
            "INPUT.MAX_SIZE_TEST %d caps INPUT.MIN_SIZE_TEST %d: a photo of 16:9 is read with %d pixels on its shorter "
            "side. Set INPUT.MAX_SIZE_TEST to %d or more.",
            *(longest, shortest, longest / USUAL_RATIO, np.ceil(shortest * USUAL_RATIO)),
        )
