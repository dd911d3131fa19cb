"""What ``graphs.json`` says of an exported model, checked when it is read."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dld_spotter.data.charset import Charset

FILE, VERSION = "graphs.json", 2
# Options of the config that a reader may change: they are no part of a graph.
CHANGEABLE = (
    "INPUT.MIN_SIZE_TEST",
    "INPUT.MAX_SIZE_TEST",
    "MODEL.DLD.FIXED_SCALE",
    "MODEL.DLD.GAMMA_SHIFT",
    "MODEL.DLD.SCALE_LIMIT",
    "MODEL.ROI_HEADS.NMS_THRESH_TEST",
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST",
    "MODEL.RPN.NMS_THRESH",
    "MODEL.RPN.POST_NMS_TOPK_TEST",
    "MODEL.RPN.PRE_NMS_TOPK_TEST",
    "TEST.DETECTIONS_PER_IMAGE",
    "TEST.TEXT.CASE_SENSITIVE",
    "TEST.TEXT.LEXICON_MAX_DISTANCE",
    "TEST.TEXT.LEXICON_RULE",
    "TEST.TEXT.SCORE_POWERS",
    "TEST.TEXT.SCORE_THRESHOLD",
)


@dataclass(frozen=True)
class GraphSettings:
    """What lies between the graphs of a model.

    Attributes:
        folder: where the graphs lie.
        graphs: name -> file.
        options: the config's options that the steps between graphs need, by their full names.
        network: what else they need: strides and kinds of the network's parts.
        charset: of the model.
    """

    folder: Path
    graphs: Mapping[str, str]
    options: Mapping[str, Any]
    network: Mapping[str, Any]
    charset: Charset

    @classmethod
    def read(cls, folder: Path, opts: Sequence[Any] = ()) -> GraphSettings:
        """Of an exported model.

        Args:
            folder: of the model.
            opts: KEY VALUE pairs over what the file says.

        Raises:
            FileNotFoundError: there is no such file, or a graph is missing.
            KeyError: an option that cannot be changed.
            ValueError: the file is damaged or of another version, or a value is of another kind.
        """
        path = folder / FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{folder} has no {FILE}: make it with `dld-spotter export --format onnx`, or use runtime='torch'."
            )
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            parts = {name: content[name] for name in ("graphs", "options", "network", "characters")}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}); export the model again.") from error
        if content.get("version") != VERSION:
            raise ValueError(
                f"{path} has version {content.get('version')}, and this project reads {VERSION}; export it again."
            )
        for file in parts["graphs"].values():
            if Path(file).name != file or not (folder / file).is_file():
                raise FileNotFoundError(f"{path} names the graph {file}, which does not lie beside it.")
        options = _changed(parts["options"], opts)
        return cls(folder, parts["graphs"], options, parts["network"], Charset(parts["characters"], str(path)))

    def __getitem__(self, option: str) -> Any:
        return self.options[option]


def _changed(options: dict[str, Any], opts: Sequence[Any]) -> dict[str, Any]:
    if len(opts) % 2:
        raise ValueError(f"options are KEY VALUE pairs; {opts[-1]} has no value.")
    changed = dict(options)
    for key, value in zip(opts[::2], opts[1::2], strict=True):
        if key not in CHANGEABLE or key not in options:
            raise KeyError(f"{key} cannot be changed in exported graphs; these can: {', '.join(CHANGEABLE)}.")
        changed[key] = _as_kind_of(options[key], value, key)
    scale = changed.get("MODEL.DLD.FIXED_SCALE", 0)
    if not 0 <= scale <= 1:
        raise ValueError(
            f"MODEL.DLD.FIXED_SCALE is {scale}; it is a share of the full resolution above 0, at most 1, or 0 to let "
            "the selector decide."
        )
    return changed


def _as_kind_of(old: Any, value: Any, key: str) -> Any:
    """A value, or the text of one, as the kind of thing that stood there."""
    if isinstance(value, str) and not isinstance(old, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise ValueError(f"{key} is {value!r}; a value such as {old!r} is needed.") from None
    kinds: dict[type, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float), list: (list, tuple)}
    if not isinstance(value, kinds.get(type(old), (str,))) or (isinstance(value, bool) and not isinstance(old, bool)):
        raise ValueError(f"{key} is {value!r}; a value such as {old!r} is needed.")
    plain: Any = value
    return float(plain) if isinstance(old, float) else list(plain) if isinstance(old, list) else plain
