"""Checkpoints that survive a kill, know their characters, and start from the usual pre-trained networks."""

import logging
import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from dld_spotter.engine.charset_change import (
    CHARSET_SUFFIX,
    check_code_points,
    describe_difference,
    keep_shared_rows,
)
from dld_spotter.engine.torchvision_weights import (
    is_torchvision_resnet,
    remind_of_torchvision_input,
    torchvision_to_detectron2,
)
from dld_spotter.engine.weights_file import check_weights, read_checkpoint, write_whole
from dld_spotter.engine.weights_match import Leftovers, describe_misfit, inference_names, whole_parts

logger = logging.getLogger(__name__)

TAG = "last_checkpoint"  # the file that names what --resume loads
# How a folder of weights names its config: an exported model's, a training run's.
_CONFIGS = ("model.yaml", "config.yaml")


class TextCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, with these differences.

    * A file is written under another name and then renamed, so that a kill never leaves half a checkpoint behind.
    * Nothing in a file is run, and ``last_checkpoint`` names files beside it only (see ``weights_file``).
    * Weights of another network are an error (see ``weights_match``).
    * The charset in a checkpoint is compared with the model's.
    * torchvision's ImageNet ResNets load into Detectron2's.
    * A model with a method ``adapt_weights`` may rename what a file holds, as DLDSpotter does with a plain spotter's.
    * A file that is missing or damaged is an error that names it.

    Args:
        model: the model, or its DistributedDataParallel wrapper.
        save_dir: folder of the checkpoints, on a local disk.
        on_charset_change: "error", or "reinit": load the rest, and of the layers sized by the charset the rows of
            the characters that both have.
        complete: whether a file must hold all that predictions depend on; by default for models in evaluation mode.
        fresh: how the names of tensors begin that are not loaded, whatever a file holds of them.
        save_to_disk: whether this process writes; by default the main process does.
        checkpointables: further objects with ``state_dict`` and ``load_state_dict``.

    Attributes:
        untouched: names of the model's tensors that the last file did not hold.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        on_charset_change: str = "error",
        complete: bool | None = None,
        fresh: tuple[str, ...] = (),
        save_to_disk: bool | None = None,
        **checkpointables: Any,
    ):
        if on_charset_change not in ("error", "reinit"):
            raise ValueError(f"MODEL.TEXT.ON_CHARSET_CHANGE is '{on_charset_change}'; use 'error' or 'reinit'.")
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self.on_charset_change = on_charset_change
        self.complete = not model.training if complete is None else complete
        self.fresh = fresh
        self.untouched: frozenset[str] = frozenset()
        self._file = ""  # what is being loaded, for messages
        self._continues_run = False

    def save(self, name: str, *, tag: bool = True, **extra: Any) -> None:
        """Write ``name``.pth with the model, the checkpointables and ``extra``.

        ``tag``: whether ``--resume`` shall go on from this file.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        content = {"model": self.model.state_dict()}
        content |= {key: value.state_dict() for key, value in self.checkpointables.items()}
        path = os.path.join(self.save_dir, f"{name}.pth")
        logger.info("Saving checkpoint to %s", path)
        write_whole(path, lambda stream: torch.save(content | extra, stream))
        if tag:
            self.tag_last_checkpoint(os.path.basename(path))

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Note in the file ``last_checkpoint`` what ``--resume`` shall load."""
        write_whole(os.path.join(self.save_dir, TAG), lambda stream: stream.write(last_filename_basename.encode()))

    def has_checkpoint(self) -> bool:
        """Whether there is anything to resume in the folder."""
        return os.path.lexists(os.path.join(self.save_dir, TAG))

    def get_checkpoint_file(self) -> str:
        """The file that ``--resume`` shall load; empty if there is none.

        Raises:
            ValueError: ``last_checkpoint`` names no file beside it.
        """
        tag = os.path.join(self.save_dir, TAG)
        if not os.path.lexists(tag):
            return ""
        name = _read_tag(tag)
        if os.path.basename(name) != name or not name.endswith((".pth", ".pkl")) or "?" in name:
            raise ValueError(f"{tag} must hold the name of a checkpoint beside it, but holds {name!r}; correct it.")
        return os.path.join(self.save_dir, name)

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """As the parent.

        Args:
            path: a file or an address; empty loads nothing.
            checkpointables: which of them to load; None for all.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: an address cannot be downloaded.
            ValueError: the file is no checkpoint, is one of another network, or has another charset.
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
        # The optimiser keeps what it is given, and the file may go: a run that goes on reads it whole.
        checkpoint = read_checkpoint(filename, mapped=not self._continues_run)
        lacking = self.checkpointables.keys() - checkpoint.keys() if self._continues_run else set()
        if lacking:
            raise ValueError(
                f"{filename} holds no state of a training ({', '.join(sorted(lacking))}), so that none can go on from "
                f"it; start one with MODEL.WEIGHTS {filename}."
            )
        if "model" not in checkpoint:
            checkpoint = {"model": checkpoint}
        check_weights(checkpoint["model"], filename)
        address: Any = self._parsed_url_during_load  # set by the parent's load()
        queries = parse_qs(address.query)
        if queries.pop("matching_heuristics", ["False"]) == ["True"]:
            checkpoint["matching_heuristics"] = True
        if queries:
            raise ValueError(f"{filename}: after '?' only matching_heuristics=True may follow, not {queries}.")
        if is_torchvision_resnet(checkpoint["model"]):
            checkpoint = {
                "model": torchvision_to_detectron2(checkpoint["model"]),
                "__author__": "torchvision",
                "matching_heuristics": True,
            }
            remind_of_torchvision_input(self.model)
        if hasattr(self.model, "adapt_weights"):
            checkpoint["model"] = self.model.adapt_weights(checkpoint["model"])
        if self.fresh:
            kept = {name: value for name, value in checkpoint["model"].items() if not name.startswith(self.fresh)}
            checkpoint["model"] = kept
        return checkpoint

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        weights, foreign = checkpoint["model"], bool(checkpoint.keys() & {"__author__", "matching_heuristics"})
        self._check_charset(weights)
        incompatible = super()._load_model(checkpoint)  # takes "model" out of the checkpoint
        wanted = self.model.state_dict().keys()
        shapes = {name: (found, expected) for name, found, expected in incompatible.incorrect_shapes}
        self.untouched = frozenset({*incompatible.missing_keys, *shapes} & wanted)
        loaded = len(wanted) - len(self.untouched)
        if not loaded:
            raise ValueError(
                f"nothing in {self._file} fits the model: it holds {_some(weights)}, the model has {_some(wanted)}. "
                f"{self._advice()}"
            )
        fresh = {name for name in wanted if name.startswith(self.fresh or "\0")}
        left = Leftovers(self.untouched, frozenset(incompatible.unexpected_keys), shapes, frozenset(fresh))
        self._check_match(left, foreign)
        logger.info(
            "%s: %d of the model's %d tensors loaded%s; %d in the file are not used.",
            self._file,
            loaded,
            len(wanted),
            self._describe_fresh(),
            len(incompatible.unexpected_keys),
        )
        return incompatible

    def _check_match(self, left: Leftovers, foreign: bool) -> None:
        """Raise ValueError for weights of another network."""
        wanted: Iterable[str] = inference_names(self.model) if self.complete else ()
        if self._continues_run:
            wanted = self.model.state_dict().keys()
        clauses = describe_misfit(self.model, left, foreign=foreign, wanted=wanted)
        if clauses:
            more = f"; and {len(clauses) - 3} more" if len(clauses) > 3 else ""
            raise ValueError(
                f"{self._file} is a checkpoint of another network: {'; '.join(clauses[:3])}{more}. {self._advice()}"
            )

    def _advice(self) -> str:
        """What fits the file."""
        folder = os.path.dirname(self._file)
        configs = [path for name in _CONFIGS if os.path.isfile(path := os.path.join(folder, name))]
        if configs:
            return f"What it is stands in {configs[0]}: the MODEL section must be the same."
        return "Use the config that it was trained with."

    def _describe_fresh(self) -> str:
        parts = whole_parts(self.model, self.untouched)
        if not parts:
            return ""
        named = ", ".join(parts[:8]) + (f" and {len(parts) - 8} more" if len(parts) > 8 else "")
        return f", {len(self.untouched)} keep their initial values ({named})"

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        """Nothing: ``_load_model`` says in one line what the parent would list name by name."""

    def _check_charset(self, weights: dict[str, Any]) -> None:
        """Raise for another charset, or make what depends on it fit the model's, in place."""
        for name, expected in self.model.state_dict().items():
            if not name.endswith(CHARSET_SUFFIX):
                continue
            key = next((key for key in (name, f"module.{name}") if key in weights), "")
            found = torch.as_tensor(weights[key]) if key else None
            if found is None or (found.shape == expected.shape and torch.equal(found, expected.to(found))):
                continue
            check_code_points(found, f"{self._file}: {key}")
            difference = f"{self._file} was trained with other characters: {describe_difference(found, expected)}"
            if self._continues_run:
                raise ValueError(
                    f"{difference} A run cannot be resumed with another MODEL.TEXT.CHARSET; start a new one with "
                    f"MODEL.WEIGHTS {self._file} MODEL.TEXT.ON_CHARSET_CHANGE reinit and another OUTPUT_DIR."
                )
            if self.on_charset_change == "error":
                raise ValueError(
                    f"{difference} Set MODEL.TEXT.CHARSET to the characters of the checkpoint, or "
                    "MODEL.TEXT.ON_CHARSET_CHANGE to 'reinit' to train the new characters afresh."
                )
            kept = keep_shared_rows(weights, self.model, name, key.removesuffix(name))
            logger.warning(
                "%s Of %s, the rows of shared characters are loaded; the others keep their initial values.",
                difference,
                ", ".join(kept) or "its layers none",
            )


def _read_tag(path: str) -> str:
    """The content of a ``last_checkpoint``; empty for a pipe or what is no text."""
    if not os.path.isfile(path):
        return ""
    with open(path, "rb") as stream:
        return stream.read(1000).decode(errors="replace").strip()


def _some(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:3]) + ", ..."
