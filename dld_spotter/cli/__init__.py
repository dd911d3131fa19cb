"""The command ``dld-spotter``: runs the project's tools by name, from any folder.

``dld-spotter NAME ...`` is ``python tools/NAME.py ...`` of a clone; nothing is loaded that NAME does not need.
"""

import ast
import difflib
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from dld_spotter import __version__
from dld_spotter.pretrained import CARD, pretrained_folder, pretrained_models
from dld_spotter.resources import resource

# What is called otherwise than its file. Every other file of tools/ is a command, with dashes for its underscores.
NAMES = {
    "train": "projects/DLD/train_net.py",
    "read": "tools/demo.py",
    "evaluate": "tools/evaluate_json.py",
    "prepare": "tools/prepare_dataset.py",
    "export": "tools/export_model.py",
    "samples": "tools/read_samples.py",
}
MODELS = "models"
PIPE_CLOSED = 141  # as shells give it for the signal SIGPIPE


def commands() -> dict[str, Path]:
    """Name -> script of every command that runs one; those of ``NAMES`` first, the others by name."""
    named = {name: resource(path) for name, path in NAMES.items()}
    tools = sorted(resource("tools").glob("*.py"))
    return named | {path.stem.replace("_", "-"): path for path in tools if path not in named.values()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. What the tool itself exits with is passed on.

    Returns:
        0; 2 for a name that is no command; 141 if nobody listens any more.
    """
    try:
        code = _dispatch(list(sys.argv[1:] if argv is None else argv) or ["--help"])
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at its end
        return PIPE_CLOSED


def _dispatch(argv: Sequence[str]) -> int:
    name, *rest = argv
    known = commands()
    if name in ("-h", "--help"):
        print(_help(known))
    elif name == "--version":
        print(f"dld-spotter {__version__}")
    elif name == MODELS:
        print(_list_models())
    elif name in known:
        _run(name, known[name], rest)
    else:
        similar = difflib.get_close_matches(name, [*known, MODELS], n=3)
        hint = f" Did you mean {' or '.join(similar)}?" if similar else ""
        print(f"error: '{name}' is no command of dld-spotter.{hint} --help lists them.", file=sys.stderr)
        return 2
    return 0


def _run(name: str, script: Path, arguments: Sequence[str]) -> None:
    """Run a script as the main module, so that the processes which training starts find its functions."""
    module = ModuleType("__main__")
    module.__file__ = str(script)
    before = sys.argv, sys.modules["__main__"]
    sys.argv, sys.modules["__main__"] = [f"dld-spotter {name}", *arguments], module
    try:
        exec(compile(script.read_text(encoding="utf-8"), script, "exec"), vars(module))
    except ImportError as error:
        if all(importlib.util.find_spec(package) is not None for package in ("torch", "detectron2")):
            raise
        sys.exit(f"error: dld-spotter {name}: {_what_is_missing(error)}")
    finally:
        sys.argv, sys.modules["__main__"] = before


def _what_is_missing(error: ImportError) -> str:
    """One sentence; the project's own errors, which name no module, say already what to run."""
    if error.name is None:
        return str(error)
    script = resource("tools/install_detectron2.py")
    how = f"run `pip install 'dld_spotter[torch]'`, then `python {script}`; in a clone, `make setup`."
    return f"this needs PyTorch and Detectron2 ({error}): {how}"


def _help(known: dict[str, Path]) -> str:
    width = max(map(len, known)) + 2
    lines = [f"  {name:{width}}{_first_line(path)}" for name, path in known.items()]
    lines.insert(len(NAMES), f"  {MODELS:{width}}List the trained models that come with the project.")
    return "\n".join(["usage: dld-spotter COMMAND ...", "", *lines, "", "`dld-spotter COMMAND --help` says more."])


def _first_line(script: Path) -> str:
    return (ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _list_models() -> str:
    """Each model's name, and the first sentence of its card."""
    return "\n".join(
        f"{name}: {_first_sentence(folder / CARD)}"
        for name in pretrained_models()
        if (folder := pretrained_folder(name))
    )


def _first_sentence(card: Path) -> str:
    """Of the first paragraph below the title, on one line and without links."""
    paragraphs = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", card.read_text(encoding="utf-8")).split("\n\n")
    text = " ".join(next((part for part in paragraphs if not part.startswith(("#", "---"))), "").split())
    return text.partition(". ")[0].rstrip(".") + "."
