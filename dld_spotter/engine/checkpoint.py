"""Checkpoints that survive a kill, know their characters, and start from the usual pre-trained networks."""

import logging
import os
import re
from collections.abc import Callable
from typing import Any

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.modeling.backbone.resnet import BottleneckBlock
from torch import Tensor, nn

from dld_spotter.data.charset import NUM_SPECIAL

logger = logging.getLogger(__name__)

CHARSET_SUFFIX = ".charset_code_points"


class TextCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, with these differences.

    * A file is written under another name and then renamed, so that a kill never leaves half a checkpoint behind.
    * The charset in a checkpoint is compared with the model's.
    * torchvision's ImageNet ResNets load into Detectron2's.
    * A model with a method ``adapt_weights`` may rename what a file holds, as DLDSpotter does with a plain spotter's.
    * A file that is missing, damaged or fits nowhere is an error that names it.

    Args:
        model: the model, or its DistributedDataParallel wrapper.
        save_dir: folder of the checkpoints, on a local disk.
        on_charset_change: "error", or "reinit": load the rest, and leave the layers sized by the charset as they are.
        save_to_disk: whether this process writes; by default the main process does.
        checkpointables: further objects with ``state_dict`` and ``load_state_dict``.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        on_charset_change: str = "error",
        save_to_disk: bool | None = None,
        **checkpointables: Any,
    ):
        if on_charset_change not in ("error", "reinit"):
            raise ValueError(f"MODEL.TEXT.ON_CHARSET_CHANGE is '{on_charset_change}'; use 'error' or 'reinit'.")
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self.on_charset_change = on_charset_change
        self._file = ""  # what is being loaded, for messages
        self._continues_run = False

    def save(self, name: str, *, tag: bool = True, **extra: Any) -> None:
        """Write ``name``.pth with the model, the checkpointables and ``extra``.

        Args:
            tag: whether ``--resume`` shall go on from this file.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        content = {"model": self.model.state_dict()}
        content |= {key: value.state_dict() for key, value in self.checkpointables.items()}
        path = os.path.join(self.save_dir, f"{name}.pth")
        logger.info("Saving checkpoint to %s", path)
        _write_whole(path, lambda stream: torch.save(content | extra, stream))
        if tag:
            self.tag_last_checkpoint(os.path.basename(path))

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Note in the file ``last_checkpoint`` what ``--resume`` shall load."""
        path = os.path.join(self.save_dir, "last_checkpoint")
        _write_whole(path, lambda stream: stream.write(last_filename_basename.encode()))

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """As the parent.

        Args:
            path: a file or an address; empty loads nothing.
            checkpointables: which of them to load; None for all.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: an address cannot be downloaded.
            ValueError: the file is no checkpoint, fits nowhere in the model, or has another charset.
        """
        if path:
            path = self._local_path(path)
        self._file = path
        self._continues_run = checkpointables is None and bool(self.checkpointables)
        try:
            return super().load(path, checkpointables)
        finally:
            self._parsed_url_during_load = None  # the parent forgets this after an error and then refuses to load

    def _local_path(self, path: str) -> str:
        file, _, query = path.partition("?")
        if "://" not in file and not os.path.isfile(file):
            raise FileNotFoundError(
                f"there is no checkpoint {file}; correct MODEL.WEIGHTS (or, with --resume, OUTPUT_DIR/last_checkpoint)."
            )
        try:
            local = self.path_manager.get_local_path(file)
        except Exception as error:  # each kind of address fails in its own way
            raise OSError(
                f"MODEL.WEIGHTS: {file} cannot be fetched ({error}); download it and give the file's path."
            ) from error
        return f"{local}?{query}" if query else local

    def _load_file(self, filename: str) -> dict[str, Any]:
        checkpoint = read_checkpoint(filename, super()._load_file)
        if not isinstance(checkpoint.get("model"), dict):
            raise ValueError(f"{filename} is no checkpoint: it holds no dictionary of weights.")
        if _is_torchvision_resnet(checkpoint["model"]):
            checkpoint = {
                "model": torchvision_to_detectron2(checkpoint["model"]),
                "__author__": "torchvision",
                "matching_heuristics": True,
            }
            _remind_of_torchvision_input(self.model)
        if hasattr(self.model, "adapt_weights"):
            checkpoint["model"] = self.model.adapt_weights(checkpoint["model"])
        return checkpoint

    def _load_model(self, checkpoint: dict[str, Any]):
        weights = checkpoint["model"]
        self._check_charset(weights)
        incompatible = super()._load_model(checkpoint)  # takes "model" out of the checkpoint
        wanted = self.model.state_dict().keys()
        left = set(incompatible.missing_keys) | {name for name, *_ in incompatible.incorrect_shapes}
        loaded = len(wanted) - len(left & wanted)
        if not loaded:
            raise ValueError(
                f"nothing in {self._file} fits the model: it holds {_some(weights)}, the model has {_some(wanted)}. "
                "Is the config the one that the checkpoint was trained with?"
            )
        logger.info(
            "%s: %d of the model's %d tensors loaded, %d keep their initial values (%d of them for another shape); "
            "%d in the file are not used.",
            self._file,
            loaded,
            len(wanted),
            len(wanted) - loaded,
            len(incompatible.incorrect_shapes),
            len(incompatible.unexpected_keys),
        )
        return incompatible

    def _check_charset(self, weights: dict[str, Any]) -> None:
        """Raise for another charset, or take what depends on it out of the weights, in place."""
        for name, expected in self.model.state_dict().items():
            if not name.endswith(CHARSET_SUFFIX):
                continue
            key = next((key for key in (name, f"module.{name}") if key in weights), None)
            found = None if key is None else torch.as_tensor(weights[key])
            if found is None or (found.shape == expected.shape and torch.equal(found, expected.to(found))):
                continue
            difference = f"{self._file} was trained with other characters: {describe_difference(found, expected)}"
            if self._continues_run:
                raise ValueError(
                    f"{difference} A run cannot be resumed with another MODEL.TEXT.CHARSET; start a new one with "
                    f"MODEL.WEIGHTS {self._file} MODEL.TEXT.ON_CHARSET_CHANGE reinit and another OUTPUT_DIR."
                )
            if self.on_charset_change == "error":
                raise ValueError(
                    f"{difference} Set MODEL.TEXT.CHARSET to the characters of the checkpoint, or "
                    "MODEL.TEXT.ON_CHARSET_CHANGE to 'reinit' to train the character layers afresh."
                )
            dropped = [name, *charset_parameters(self.model, name)]
            prefix = key.removesuffix(name)
            for dependent in dropped:
                weights.pop(prefix + dependent, None)
            logger.warning("%s Not loaded: %s.", difference, ", ".join(dropped))


def read_checkpoint(path: str, load: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """The content of a checkpoint file, on the CPU.

    Args:
        load: how the file is read; by default as tensors that are fetched from the disk only when used.

    Raises:
        ValueError: the file is damaged, or no checkpoint.
    """
    try:
        content = load(path) if load else torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # damaged files make the readers raise nearly anything
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}: {reason}); it may be damaged or not "
            "completely copied. Copy it again, or use an earlier one."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no checkpoint: it holds a {type(content).__name__}, not a dictionary of weights.")
    return content


def charset_parameters(model: nn.Module, buffer_name: str) -> list[str]:
    """Names of the parameters whose size depends on a charset: embeddings of and projections to its tokens.

    Args:
        buffer_name: the charset's buffer; the modules beside it are looked through.
    """
    head_name = buffer_name.removesuffix(CHARSET_SUFFIX)
    head = model.get_submodule(head_name)
    tokens = len(model.get_buffer(buffer_name)) + NUM_SPECIAL
    names = []
    for module_name, module in head.named_modules():
        # A hidden layer that happens to be as wide as the charset is counted too, which only costs some training.
        if tokens in (getattr(module, "num_embeddings", None), getattr(module, "out_features", None)):
            names += [f"{head_name}.{module_name}.{name}" for name, _ in module.named_parameters(recurse=False)]
    return names


def describe_difference(found: Tensor, expected: Tensor) -> str:
    """What distinguishes the characters of a checkpoint (code points) from the model's, in words."""
    found, expected = ([chr(code) for code in codes.tolist()] for codes in (found, expected))
    lacking = [c for c in found if c not in expected]
    added = [c for c in expected if c not in found]
    sizes = f"it has {len(found)}, the config {len(expected)}"
    if not lacking and not added:
        return f"{sizes}, the same ones in another order."
    parts = [f"only in the checkpoint: {_quote(lacking)}"] if lacking else []
    parts += [f"only in the config: {_quote(added)}"] if added else []
    return f"{sizes}; {'; '.join(parts)}."


def torchvision_to_detectron2(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a torchvision ResNet under the names of Detectron2's ResNet; the classifier is left out."""
    renamed = {}
    for key, value in weights.items():
        if key.startswith("fc.") or key.endswith("num_batches_tracked"):
            continue
        name = re.sub(r"^layer(\d)", lambda match: f"res{int(match.group(1)) + 1}", key)
        if name == key:
            name = f"stem.{key}"
        name = re.sub(r"\bbn(\d)\b", r"conv\1.norm", name)
        name = name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
        renamed[name] = value
    return renamed


def _is_torchvision_resnet(weights: dict[str, Any]) -> bool:
    return {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight"} <= weights.keys()


def _remind_of_torchvision_input(model: nn.Module) -> None:
    """Say what of a config does not suit torchvision's weights."""
    if getattr(model, "input_format", None) == "BGR":
        logger.warning(
            "torchvision's weights expect RGB: set INPUT.FORMAT RGB, MODEL.PIXEL_MEAN [123.675,116.28,103.53] and "
            "MODEL.PIXEL_STD [58.395,57.12,57.375]."
        )
    if any(isinstance(m, BottleneckBlock) and m.conv1.stride[0] > 1 for m in model.modules()):
        logger.warning("torchvision's ResNets have their stride in the 3x3: set MODEL.RESNETS.STRIDE_IN_1X1 False.")


def _write_whole(path: str, write: Callable) -> None:
    """Write a file so that at every moment the old content or the new one stands under its name."""
    unfinished = f"{path}.unfinished"
    with open(unfinished, "wb") as stream:
        write(stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(unfinished, path)


def _quote(characters: list[str], at_most: int = 20) -> str:
    shown = " ".join(repr(c)[1:-1] if c != " " else "(space)" for c in characters[:at_most])
    return shown if len(characters) <= at_most else f"{shown} and {len(characters) - at_most} more"


def _some(names) -> str:
    return ", ".join(list(names)[:3]) + ", ..."
