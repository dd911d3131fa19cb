"""From config files and overrides to a checked config; the options themselves are in ``defaults``."""

import difflib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dld_spotter import _requirements  # noqa: F401 (first: says in one sentence what is missing)

# isort: split
import torch
from detectron2.config import CfgNode as CN
from detectron2.config import get_cfg

from dld_spotter.defaults import add_dld_config
from dld_spotter.migration import REMOVED, check_removed_keys, take_removed_keys
from dld_spotter.pretrained import find_config, pretrained_models
from dld_spotter.yaml_files import load_yaml, merge_content, merge_pairs

__all__ = ["ConfigFiles", "add_dld_config", "check_cfg", "load_cfg", "merge_opts"]

logger = logging.getLogger(__name__)

ConfigFiles = str | os.PathLike | Sequence[str | os.PathLike] | None


def load_cfg(config_file: ConfigFiles = None, opts: Sequence[Any] = ()) -> CN:
    """Detectron2's defaults, ours, YAML files (with ``_BASE_``) and KEY VALUE pairs, in this order.

    Args:
        config_file: a path, or the name of a model that comes with the project (``dld_spotter.pretrained``); or several
            of them, of which later ones are laid over earlier ones. Weights and a charset that a file names without a
            folder, and that lie beside it, are taken from there.
        opts: KEY VALUE pairs.

    Raises:
        FileNotFoundError: there is no such YAML file.
        KeyError: an unknown key; the message names it and the keys that look like it.
        ValueError: a value that could only fail later.
    """
    files = [config_file or ""] if config_file is None or isinstance(config_file, str | os.PathLike) else config_file
    cfg = get_cfg()
    add_dld_config(cfg)
    for file in (find_config(os.fspath(file)) for file in files if file):
        _merge_file(cfg, file)
    merge_opts(cfg, opts)
    check_cfg(cfg)
    return cfg


def merge_opts(cfg: CN, opts: Sequence[Any]) -> None:
    """Change a config by KEY VALUE pairs, in which a whole number stands for a floating-point one, too.

    Raises:
        KeyError: an unknown key; the message names it and the keys that look like it.
        ValueError: a value has another type than the key.
    """
    with _unknown_keys_named(cfg, "the command line"):
        merge_pairs(cfg, opts)


def _merge_file(cfg: CN, config_file: str) -> None:
    if "://" not in config_file and not Path(config_file).is_file():
        raise FileNotFoundError(
            f"there is no config file {config_file}; the project's own are in configs/, and its trained models are "
            f"called {', '.join(pretrained_models()) or '(none)'}."
        )
    loaded = load_yaml(config_file)
    removed = take_removed_keys(loaded, config_file)
    with _unknown_keys_named(cfg, config_file):
        merge_content(cfg, loaded, config_file)
    check_removed_keys(removed, cfg.MODEL, config_file)
    _take_files_beside(cfg, Path(config_file).parent)


@contextmanager
def _unknown_keys_named(cfg: CN, source: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, AssertionError) as error:
        raise KeyError(_explain_unknown_key(cfg, str(error), source)) from error


def _take_files_beside(cfg: CN, folder: Path) -> None:
    """Exported models name their files by the name alone, so that their folder can be moved."""
    for node, key in ((cfg.MODEL, "WEIGHTS"), (cfg.MODEL.TEXT, "CHARSET")):
        name = node[key]
        if name and Path(name).name == name and (folder / name).is_file():
            node[key] = str(folder / name)


def check_cfg(cfg: CN) -> None:
    """Raise ValueError, with what to do, for values that could only fail later and less clearly."""
    try:
        device = torch.device(cfg.MODEL.DEVICE)
    except RuntimeError as error:
        raise ValueError(
            f"MODEL.DEVICE is '{cfg.MODEL.DEVICE}', which torch does not know; use 'cpu' or 'cuda'."
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"MODEL.DEVICE is '{cfg.MODEL.DEVICE}', but torch finds no GPU here; add MODEL.DEVICE cpu.")
    if cfg.INPUT.RANDOM_FLIP != "none":
        raise ValueError(
            f"INPUT.RANDOM_FLIP is '{cfg.INPUT.RANDOM_FLIP}', but mirrored text cannot be read; set it to 'none'."
        )
    if cfg.INPUT.TEXT.UNKNOWN not in ("ignore", "detect", "error"):
        raise ValueError(f"INPUT.TEXT.UNKNOWN is '{cfg.INPUT.TEXT.UNKNOWN}'; use 'ignore', 'detect' or 'error'.")
    if cfg.MODEL.PAD_MULTIPLE < 0 or cfg.MODEL.PAD_MULTIPLE % 32:
        raise ValueError(
            f"MODEL.PAD_MULTIPLE is {cfg.MODEL.PAD_MULTIPLE}, but backbones need sides that are multiples of 32; use "
            "such a number, or 0."
        )
    if any(points < 4 or points % 2 for points in cfg.INPUT.TEXT.ORDERED_POINTS):
        raise ValueError(
            f"INPUT.TEXT.ORDERED_POINTS is {tuple(cfg.INPUT.TEXT.ORDERED_POINTS)}; only outlines with as many points "
            "along one side as along the other can be in it: use even numbers, 4 or more."
        )
    _check_dld(cfg)


def _check_dld(cfg: CN) -> None:
    dld = cfg.MODEL.DLD
    if dld.SCALE_LIMIT < 0 or 0 < dld.SCALE_LIMIT < min(dld.SCALES):
        raise ValueError(
            f"MODEL.DLD.SCALE_LIMIT is {dld.SCALE_LIMIT}; it is 0 for none, or the least of MODEL.DLD.SCALES, "
            f"{min(dld.SCALES)}, or more."
        )
    if not 0 <= dld.FIXED_SCALE <= 1:
        raise ValueError(
            f"MODEL.DLD.FIXED_SCALE is {dld.FIXED_SCALE}; it is a share of the full resolution above 0, "
            "at most 1, or 0 to let the selector decide."
        )
    if dld.SELECTION not in ("selector", "random", "fixed"):
        raise ValueError(f"MODEL.DLD.SELECTION is '{dld.SELECTION}'; use 'selector', 'random' or 'fixed'.")
    if len(dld.SCALES) > 1 and dld.COSTS and len(dld.COSTS) != len(dld.SCALES):
        raise ValueError(
            f"MODEL.DLD.COSTS has {len(dld.COSTS)} numbers, MODEL.DLD.SCALES {len(dld.SCALES)}; give both together, a "
            "cost for each scale (configs/README.md has the measured ones)."
        )
    chooses = len(dld.SCALES) > 1 and dld.SELECTION == "selector" and dld.LAMBDA_DRS > 0
    if cfg.MODEL.META_ARCHITECTURE == "DLDSpotter" and dld.TEACHER and chooses and not dld.COSTS:
        logger.warning(
            "MODEL.DLD.COSTS is empty, so scale**2 stands for the cost of a scale, which is too little for small ones. "
            "Give the measured costs: configs/README.md has them, and tools/analyze_cost.py measures others."
        )


def _explain_unknown_key(cfg: CN, message: str, source: str) -> str:
    match = re.search(r"[Nn]on-existent (?:config )?key: ([\w.]+)", message)
    if match is None:
        stripped = message.strip("'\"")
        return f"{source}: {stripped}"
    if match.group(1) in REMOVED:
        return f"{source}: there is no config key {match.group(1)} any more; see dld_spotter/migration.py."
    known = list(_keys(cfg))
    similar = difflib.get_close_matches(match.group(1), known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(similar)}?" if similar else ""
    return f"{source}: there is no config key {match.group(1)}.{hint}"


def _keys(node: CN, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, CN):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield prefix + key
