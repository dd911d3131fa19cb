"""A trained model as it is given away: what inference needs, in one weights file and one YAML file."""

import os
import shutil
from pathlib import Path

import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model
from torch import Tensor, nn

from dld_spotter import calibration
from dld_spotter.config import add_dld_config, check_cfg
from dld_spotter.data.charset import Charset
from dld_spotter.engine.charset_change import CHARSET_SUFFIX, describe_difference
from dld_spotter.engine.checkpoint import read_checkpoint
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.runtime.settings import FILE as GRAPHS_FILE

# Sections of a config that inference reads; the others hold the training run, with its files and folders.
SECTIONS = ("MODEL", "INPUT", "TEST")


def export_model(
    cfg: CfgNode,
    weights: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    half: bool = False,
    fixed_scale: float | None = None,
    overwrite: bool = False,
) -> tuple[Path, Path]:
    """Write ``model.pth`` and ``model.yaml``: a checkpoint without teacher, optimiser and schedule, and its config.

    The config holds what differs from the defaults. It knows its weights by their name alone, and ``load_cfg`` looks
    for them beside it, so that the folder can be moved. A charset that is not built in is written beside them.

    Args:
        cfg: the config that the model was trained with.
        weights: a checkpoint of the training.
        folder: where to write; made if need be.
        overwrite: write into a folder that holds files, and replace those of an earlier export.
        half: store float16, half as large. The model still computes in float32, with weights of three digits.
        fixed_scale: let a DLDSpotter read at this scale instead of the selector's; None leaves it as configured.

    Returns:
        the paths of the weights and of the config.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the folder is not empty, and not to be overwritten; the checkpoint does not fit the config or has
            other characters; or a scale that cannot be.
    """
    folder, cfg = Path(folder).resolve(), inference_cfg(cfg, fixed_scale)
    path = folder / "model.pth"
    if not Path(weights).is_file():
        raise FileNotFoundError(f"there is no checkpoint {weights}; give the .pth file of a training run.")
    if path.exists() and path.samefile(weights):
        raise ValueError(f"the export would replace the checkpoint {weights}; give another folder.")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds files already; give another folder, or --overwrite to replace them.")
    charset = Charset.load(cfg.MODEL.TEXT.CHARSET)
    model = _without_numbers(cfg)
    if fixed_scale is not None and not isinstance(model, DLDSpotter):
        raise ValueError(
            f"a scale can only be fixed for a DLDSpotter, not for a {cfg.MODEL.META_ARCHITECTURE}; set its input size "
            "with INPUT.MIN_SIZE_TEST."
        )
    kept = select_weights(read_checkpoint(os.fspath(weights)).get("model", {}), model, charset, os.fspath(weights))
    if half:
        kept = {name: to_half(value) for name, value in kept.items()}

    folder.mkdir(parents=True, exist_ok=True)
    (folder / GRAPHS_FILE).unlink(missing_ok=True)  # the graphs of an earlier export are not this model's
    torch.save({"model": kept}, path)
    confidence = Path(weights).resolve().parent / calibration.FILE
    if confidence.is_file() and confidence.parent != folder:
        shutil.copy(confidence, folder)
    elif confidence.parent != folder:
        (folder / calibration.FILE).unlink(missing_ok=True)  # as the graphs
    cfg.MODEL.WEIGHTS = path.name
    if Path(cfg.MODEL.TEXT.CHARSET).is_file():
        cfg.MODEL.TEXT.CHARSET = "charset.txt"
        (folder / "charset.txt").write_text("".join(charset.characters), encoding="utf-8")
    config = folder / "model.yaml"
    config.write_text(dump_differences(cfg), encoding="utf-8")
    return path, config


def inference_cfg(cfg: CfgNode, fixed_scale: float | None = None) -> CfgNode:
    """The config of the same model without a teacher, on the CPU, at a fixed scale if one is given."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.DLD.TEACHER = False
    cfg.MODEL.DLD.TEACHER_WEIGHTS = ""
    if fixed_scale is not None:
        cfg.MODEL.DLD.FIXED_SCALE = float(fixed_scale)
    check_cfg(cfg)
    return cfg


def select_weights(weights: dict[str, Tensor], model: nn.Module, charset: Charset, source: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint that a model has.

    Args:
        weights: of the checkpoint.
        model: only the names and shapes of its tensors count.
        charset: of the model.
        source: the checkpoint's name, for messages.

    Raises:
        ValueError: other characters, or other tensors.
    """
    wanted = model.state_dict()
    found = {name.removeprefix("module."): torch.as_tensor(value) for name, value in weights.items()}
    expected = charset.code_points()
    for name, value in found.items():
        if name in wanted and name.endswith(CHARSET_SUFFIX) and not torch.equal(value, expected):
            raise ValueError(
                f"{source} was trained with other characters: {describe_difference(value, expected)} "
                "Set MODEL.TEXT.CHARSET to the characters of the checkpoint."
            )
    # A part that only training has, such as the teacher, may be left out whole, but nothing of the others.
    parts = tuple(f"{name}." for name, _ in model.named_children())
    known = [name for name in found if name in wanted or name.startswith(parts)]
    misfits = [n for n in {*wanted, *known} if n not in found or n not in wanted or found[n].shape != wanted[n].shape]
    if misfits:
        raise ValueError(
            f"{source} does not fit the config: {len(misfits)} tensors are only in one of them or have another shape, "
            f"{', '.join(sorted(misfits)[:3])} among them. Give the config that it was trained with."
        )
    return {name: found[name] for name in wanted}


def to_half(value: Tensor) -> Tensor:
    """Floating-point numbers in float16, unless one of them would become infinite; others as they are."""
    if not value.is_floating_point():
        return value
    halved = value.half()
    return halved if torch.equal(halved.isfinite(), value.isfinite()) else value


def _without_numbers(cfg: CfgNode) -> nn.Module:
    """The model on the "meta" device, which costs neither time nor memory."""
    cfg = cfg.clone()
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        return build_model(cfg)


def dump_differences(cfg: CfgNode) -> str:
    """YAML of what inference reads and where it differs from the defaults, and of the version of these defaults.

    The device is left to the machine that loads it.
    """
    defaults = get_cfg()
    add_dld_config(defaults)
    kept = CfgNode({name: _differences(cfg[name], defaults[name]) for name in SECTIONS})
    kept.MODEL.pop("DEVICE", None)
    kept.MODEL.VERSION = defaults.MODEL.VERSION
    kept = CfgNode({name: section for name, section in kept.items() if section})
    return f"# A trained {cfg.MODEL.META_ARCHITECTURE} for inference, written by tools/export_model.py.\n{kept.dump()}"


def _differences(node: CfgNode, defaults: CfgNode) -> CfgNode:
    """The keys of a node whose values are not the defaults, nested as in the node."""
    found = {}
    for key, value in node.items():
        if not isinstance(value, CfgNode):
            if _as_lists(value) != _as_lists(defaults[key]):
                found[key] = value
        elif inner := _differences(value, defaults[key]):
            found[key] = inner
    return CfgNode(found)


def _as_lists(value: object) -> object:
    """Nested tuples as the lists that YAML makes of them."""
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value
