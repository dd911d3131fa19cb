"""Whether a config says how to train."""

import os
from collections.abc import Sequence
from pathlib import Path

from dld_spotter.pretrained import CARD, find_config
from dld_spotter.yaml_files import load_yaml

# What no two recipes share: Detectron2's defaults of these are for another task, and for eight GPUs.
NEEDED = ("SOLVER.IMS_PER_BATCH", "SOLVER.BASE_LR", "SOLVER.MAX_ITER")


def require_recipe(config_files: str | os.PathLike | Sequence[str | os.PathLike], opts: Sequence[str]) -> None:
    """Raise ValueError unless the files or the KEY VALUE pairs say how to train: an exported model's config does not.

    Files are given as ``load_cfg`` takes them.
    """
    files = [config_files] if isinstance(config_files, str | os.PathLike) else list(config_files)
    files = [find_config(os.fspath(file)) for file in files if file]
    given = set(opts[0::2])
    for file in files:
        given |= {f"SOLVER.{key}" for key in load_yaml(file).get("SOLVER") or {}}
    missing = [key for key in NEEDED if key not in given]
    if not missing:
        return
    cards = [str(card) for file in files if (card := Path(file).with_name(CARD)).is_file()]
    where = f"{cards[0]} names it" if cards else "its YAML file, or config.yaml in the OUTPUT_DIR of the training"
    weights = [str(path) for file in files if (path := Path(file).with_suffix(".pth")).is_file()]
    given_files = ", ".join(map(str, files)) or "the command line"
    raise ValueError(
        f"{given_files} holds no recipe for a training: {', '.join(missing)} are not set, "
        f"as in the config of an exported model. Give --config-file the recipe ({where}) and MODEL.WEIGHTS "
        f"{weights[0] if weights else 'FILE'}; or lay Finetune.yaml over it, to train a model for photos on; or set "
        "these keys on the command line."
    )
