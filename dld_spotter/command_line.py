"""The command line of the scripts: config files, later ones over earlier ones, overrides at the end, and mistakes."""

import argparse
import functools
import os
import re
import sys
from collections.abc import Callable, Sequence

# MODEL.WEIGHTS, OUTPUT_DIR, SEED: no config file and no trained model is called like that.
_KEY = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)*")


PIPE_CLOSED = 141  # exit code, as shells give it for the signal SIGPIPE


def run_tool(main: Callable[[], int]) -> int:
    """Run a tool's ``main``, whatever its standard output is; the exit code.

    What the output's encoding lacks (bytes of a file name, letters where a console knows few) is escaped. Where nobody
    listens any more (``| head -1``), nothing is said.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at its end
        return PIPE_CLOSED
    return code


class ConfigArgumentParser(argparse.ArgumentParser):
    """Takes ``--config-file A.yaml B.yaml`` and, as Detectron2's scripts, KEY VALUE pairs at the end.

    Behind an argument that takes several values, ``--opts`` (or ``--``) comes before the pairs. The namespace has
    ``opts``, a list, and ``config_file``, a list for ``load_cfg``, None where no file is given.
    """

    def add_config_file(self, required: bool = True, help: str = "of the model") -> None:
        """Add ``--config-file``; with conflict_handler "resolve" in the place of a parent's.

        Args:
            required: whether a file must be given.
            help: what the files are of.
        """
        self.add_argument(
            "--config-file",
            action="append",
            required=required,
            metavar="FILE",
            help=f"YAML files, later ones laid over earlier ones, or the name of a trained model: {help}",
        )

    def add_overrides(self) -> None:
        """Add the KEY VALUE pairs; the last argument of a script."""
        self.add_argument(
            "opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="options of the config: KEY VALUE ..."
        )

    def parse_known_args(  # type: ignore[override]  # the parent's overloads, of which we need one
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As the parent."""
        parsed, unknown = super().parse_known_args(_spread(sys.argv[1:] if args is None else args), namespace)
        parsed.opts = [option for option in parsed.opts or [] if option != "--"]
        return parsed, unknown


def says_mistakes(main: Callable[[Sequence[str] | None], int]) -> Callable[..., int]:
    """Make a ``main`` print one sentence, and return 1, for what its user can mend; other errors are defects."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        try:
            return main(argv)
        except BrokenPipeError:  # run_tool says nothing then
            raise
        except (ImportError, KeyError, OSError, ValueError) as error:
            text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
            if isinstance(error, KeyError) and " " not in text:  # what a dictionary raises
                raise
            print(f"error: {text}", file=sys.stderr)
            return 1

    return run


def _spread(arguments: Sequence[str]) -> list[str]:
    """The arguments as argparse can tell them apart: one file behind each ``--config-file``, "--" before overrides."""
    spread: list[str] = []
    takes_files = False
    for argument in arguments:
        is_file = takes_files and not argument.startswith("-") and not _KEY.fullmatch(argument)
        if is_file and spread[-1] != "--config-file":
            spread.append("--config-file")
        takes_files = is_file or argument == "--config-file"
        spread.append("--" if argument == "--opts" else argument)
    return spread
