#!/usr/bin/env python
"""Print the page of options as Markdown: each key that the project adds to Detectron2's config, default and meaning.

    python docs/generate_options.py > docs/options.md

The meanings are the comments of dld_spotter/defaults.py and run_defaults.py.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from detectron2.config import CfgNode, get_cfg

from dld_spotter.config import add_dld_config

PACKAGE = Path(__file__).resolve().parents[1] / "dld_spotter"
_MODULES = re.compile(r"\s*\[([\w./, ]+\.py)\]$")


@dataclass(frozen=True)
class Option:
    """One key, or one section of keys.

    Attributes:
        key: as in a YAML file or on the command line, MODEL.DLD.GAMMA.
        meaning: without the modules; "" where there is no comment.
        modules: files of the package that read it; empty where only those of the section are given.
        is_section: whether it holds keys and has no value itself.
    """

    key: str
    meaning: str
    modules: tuple[str, ...]
    is_section: bool


def all_options() -> list[Option]:
    """The options of both modules."""
    sources = (PACKAGE / name for name in ("defaults.py", "run_defaults.py"))
    return [option for source in sources for option in read_options(source.read_text(encoding="utf-8"))]


def read_options(source: str) -> list[Option]:
    """The assignments of a module like defaults.py, with the comments above them, in their order."""
    lines, options, names = source.splitlines(), [], {"cfg": ""}
    for statement in _assignments(ast.parse(source)):
        *aliases, target = sorted(statement.targets, key=lambda part: isinstance(part, ast.Attribute))
        if not isinstance(target, ast.Attribute):
            continue
        name, *path = ast.unparse(target).split(".")
        key = ".".join(part for part in (names[name], *path) if part)
        names |= {ast.unparse(alias): key for alias in aliases}
        text = _comment_above(lines, statement.lineno)
        found = _MODULES.search(text)
        modules = tuple(found.group(1).split(", ")) if found else ()
        options.append(Option(key, _MODULES.sub("", text), modules, ast.unparse(statement.value) == "CN()"))
    return options


def format_page(options: list[Option], cfg: CfgNode) -> str:
    """The options as Markdown, a table a section; keys that stand in Detectron2's own sections come first."""
    sections = {option.key: option for option in options if option.is_section}
    tables: dict[str, list[str]] = {}
    for option in options:
        if not option.is_section:
            section = option.key.rpartition(".")[0]
            readers = ", ".join(readers_of(option, sections.get(section)))
            cells = (f"`{option.key}`", f"`{_value(cfg, option.key)}`", option.meaning, readers)
            tables.setdefault(section if section in sections else "", []).append("| " + " | ".join(cells) + " |")
    head = "| key | default | meaning | read by |\n|---|---|---|---|\n"
    parts = ["# Options", "What the project adds to [Detectron2's](https://detectron2.readthedocs.io/) config."]
    for section in sorted(tables):
        if section:
            parts += [f"## {section}", sections[section].meaning]
        parts.append(head + "\n".join(tables[section]))
    return "\n\n".join(part for part in parts if part) + "\n"


def readers_of(option: Option, section: Option | None) -> list[str]:
    """The modules that read a key: of those that are named, the ones whose code has its name."""
    named = option.modules or (section.modules if section else ())
    name = re.compile(rf"\b{option.key.rpartition('.')[2]}\b", re.IGNORECASE)
    return [module for module in named if name.search((PACKAGE / module).read_text(encoding="utf-8"))]


def _assignments(tree: ast.Module) -> Iterator[ast.Assign]:
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        yield from (node for node in function.body if isinstance(node, ast.Assign))


def _comment_above(lines: list[str], number: int) -> str:
    """The lines of the comment that ends right above a line, counted from 1, as one line."""
    found: list[str] = []
    for line in reversed(lines[: number - 1]):
        if not line.strip().startswith("#"):
            break
        found.insert(0, line.strip().lstrip("# "))
    return " ".join(found)


def _value(cfg: CfgNode, key: str) -> str:
    node = cfg
    for name in key.split("."):
        node = node[name]
    # What stands there depends on the machine.
    return "cuda or cpu" if key == "MODEL.DEVICE" else repr(node)


def main() -> int:
    """Print the page."""
    cfg = get_cfg()
    add_dld_config(cfg)
    sys.stdout.write(format_page(all_options(), cfg))
    return 0


if __name__ == "__main__":
    sys.exit(main())
