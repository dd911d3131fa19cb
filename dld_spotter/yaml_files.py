"""Config files and the ``_BASE_`` files that they build on, read without running anything that they hold.

Detectron2's ``CfgNode.merge_from_file`` builds any Python object that a YAML tag names, and follows ``_BASE_`` wherever
it leads: in circles, into pipes and devices. Here only plain values are built, and files and depth are bounded.
"""

import os
import re
import stat
from collections.abc import Sequence
from typing import Any

import yaml
from detectron2.config import CfgNode
from detectron2.utils.file_io import PathManager
from fvcore.common.config import BASE_KEY

from dld_spotter.data.text_files import decode_text

# Far beyond what a config needs; a file that holds more is no config.
MAX_BYTES = 300_000
MAX_VALUES = 50_000
MAX_DEPTH = 40  # of a value in its file
MAX_FILES = 50  # of one config: the file and its bases

_WHOLE_NUMBER = re.compile(r"\s*[-+]?[0-9]{1,15}\s*")
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")}


def merge_content(cfg: CfgNode, content: dict[str, Any], path: str) -> None:
    """Change ``cfg`` as ``load_yaml``'s content of a file says.

    Raises:
        KeyError, AssertionError: an unknown key, as yacs says it.
        ValueError: the content cannot be a config, or a value has another type than the key.
    """
    version = content.get("VERSION", cfg.VERSION)
    if version != cfg.VERSION:
        raise ValueError(f"{path}: VERSION is {version!r}, but configs of version {cfg.VERSION} are read.")
    try:
        cfg.merge_from_other_cfg(CfgNode(_with_floats(content, cfg)))
    except (ValueError, RecursionError, MemoryError) as error:  # values are parsed as Python literals
        raise ValueError(f"{path}: {error or 'a value is nested too deeply.'}") from error


def merge_pairs(cfg: CfgNode, pairs: Sequence[Any]) -> None:
    """Change ``cfg`` as KEY VALUE pairs say.

    Raises:
        KeyError, AssertionError: an unknown key, or a key without a value, as yacs says it.
        ValueError: a value has another type than the key.
    """
    values = list(pairs)
    for index in range(1, len(values), 2):
        node: Any = cfg
        for part in str(values[index - 1]).split("."):
            node = node.get(part) if isinstance(node, CfgNode) else None
        values[index] = _with_float(values[index], node)
    cfg.merge_from_list(values)


def _with_floats(content: dict[str, Any], cfg: CfgNode) -> dict[str, Any]:
    return {key: _with_float(value, cfg.get(key)) for key, value in content.items()}


def _with_float(value: Any, current: Any) -> Any:
    """The value, as a floating-point number where the option has one: yacs takes no "0" for "0.0"."""
    if isinstance(value, dict) and isinstance(current, CfgNode):
        return _with_floats(value, current)
    whole = isinstance(current, float) and type(value) in (int, str) and _WHOLE_NUMBER.fullmatch(str(value))
    return float(value) if whole else value


def load_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """The content of a YAML file upon that of the files that its ``_BASE_`` names, as Detectron2 merges them.

    Raises:
        FileNotFoundError: the file, or one that ``_BASE_`` names, is not there or is no regular file.
        ValueError: the content cannot be a config.
    """
    return _load(os.fspath(path), (), [])


def _load(path: str, above: tuple[str, ...], seen: list[str]) -> dict[str, Any]:
    """``load_yaml`` below the files ``above``, whose bases lead here; ``seen`` are all files that were read."""
    local = PathManager.get_local_path(path) if "://" in path else path
    real = os.path.realpath(local)
    named_by = f"{BASE_KEY} in {above[-1]}" if above else ""
    if real in map(os.path.realpath, above):
        raise ValueError(f"{named_by} names {path}, which is built on {above[-1]} itself; take one of the two out.")
    seen.append(path)
    if len(seen) > MAX_FILES:
        raise ValueError(f"{above[0]}: its {BASE_KEY} leads to more than {MAX_FILES} files, at last to {path}.")
    content = _read(local, path, named_by)
    bases = content.pop(BASE_KEY, [])
    bases = bases if isinstance(bases, list) else [bases]
    merged: dict[str, Any] = {}
    for base in bases:
        if not isinstance(base, str) or not base:
            raise ValueError(f"{path}: {BASE_KEY} is {base!r}; it must be the path of a YAML file, or a list of them.")
        _merge(_load(_resolve(base, path), (*above, local), seen), merged, path)
    _merge(content, merged, path)
    return merged


def _resolve(base: str, path: str) -> str:
    """Where a base lies: its path is relative to the file that names it."""
    base = os.path.expanduser(base)
    return base if "://" in base else os.path.join(os.path.dirname(path), base)


def _read(local: str, path: str, named_by: str) -> dict[str, Any]:
    """One file's own content."""
    if not os.path.isfile(local):
        reason = "is a folder, pipe or device" if os.path.exists(local) else "is not there"
        raise FileNotFoundError(f"the config file {path} {reason}{f': correct {named_by}.' if named_by else '.'}")
    with open(local, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise FileNotFoundError(f"the config file {path} is no regular file.")
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path} is no config: it has more than {MAX_BYTES // 1000} kB.")
    try:
        loader = _Loader(decode_text(data, path))
        node = loader.get_single_node()
        if node is None:
            return {}
        _check(node, path)
        content = loader.construct_document(node)
    except _Unfit:
        raise
    except Exception as error:  # PyYAML raises nearly anything for what a file can hold
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} cannot be read as YAML: {reason}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no config: it holds a {type(content).__name__}, not keys with values.")
    return content


class _Unfit(ValueError):
    """A YAML file with something that a config cannot hold; the message says where."""


class _Loader(yaml.SafeLoader):
    """Plain values only; brackets do not nest without end, for which PyYAML's time grows with the square."""

    def fetch_flow_collection_start(self, token_class: type) -> None:
        if self.flow_level >= MAX_DEPTH:
            raise ValueError(f"line {self.line + 1}: brackets are nested more than {MAX_DEPTH} times.")
        super().fetch_flow_collection_start(token_class)


def _check(root: yaml.Node, path: str) -> None:
    """Raise for tags that stand for more than plain values, keys that are no names, and values without end."""
    waiting, count = [(root, "")], 0
    while waiting:
        node, key = waiting.pop()
        count += 1
        where = f"{path}, {f'key {key}, ' if key else ''}line {node.start_mark.line + 1}"
        if node.tag not in _TAGS:
            name = node.tag.replace("tag:yaml.org,2002:", "!!")
            raise _Unfit(f"{where}: {name} is not allowed, since a config must hold plain values; write the value out.")
        if count > MAX_VALUES or key.count(".") + key.count("[") > MAX_DEPTH:
            raise _Unfit(f"{where}: more values, or deeper ones, than a config can have.")
        if isinstance(node, yaml.SequenceNode):
            waiting += [(item, f"{key}[{index}]") for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                if name.tag != "tag:yaml.org,2002:str":
                    raise _Unfit(f"{where}: the key {name.value!r} is no name; put it into quotation marks.")
                waiting.append((value, f"{key}.{name.value}" if key else name.value))


def _merge(content: dict[str, Any], into: dict[str, Any], path: str, prefix: str = "") -> None:
    """Lay the content of a file over that of its bases, in place."""
    for key, value in content.items():
        if isinstance(value, dict) and key in into:
            if not isinstance(into[key], dict):
                raise ValueError(f"{path}: {prefix}{key} is a section here and a value in a file of {BASE_KEY}.")
            _merge(value, into[key], path, f"{prefix}{key}.")
        else:
            into[key] = value
