"""The command line of the scripts: config files, later ones over earlier ones, overrides at the end, and mistakes."""

import argparse
import functools
import os
import re
import sys
from collections.abc import Callable, Sequence

from dld_spotter.photo_suffixes import IMAGE_SUFFIXES

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
        arguments = sys.argv[1:] if args is None else args
        parsed, unknown = super().parse_known_args(_spread(arguments, self._is_config), namespace)
        parsed.opts = [option for option in parsed.opts or [] if option != "--"]
        return parsed, unknown

    def _is_config(self, argument: str) -> bool:
        """Whether what stands behind a config file is one more."""
        return not _KEY.fullmatch(argument)


class PhotoArgumentParser(ConfigArgumentParser):
    """Takes photos anywhere on the command line, by themselves and behind ``--input``: the list ``input``.

    ``--opts`` (or ``--``) comes before the KEY VALUE pairs; without it they begin at the first name in capitals that is
    no image and no file that is there. Several config files behind one ``--config-file`` end with .yaml.
    """

    def add_photos(self, help: str) -> None:
        """Add the photos.

        Args:
            help: what can be given.
        """
        self.usage = "%(prog)s PHOTO ... [options] [--opts KEY VALUE ...]"
        self.add_argument("--input", nargs="+", action="extend", default=[], metavar="PHOTO", help=f"{help}; as PHOTO")
        self.set_defaults(opts=[])

    def add_tiles(self) -> None:
        """Add ``--tiles`` and ``--no-tiles``: ``tiles`` as ``TextPredictor`` takes it."""
        self.add_argument(
            "--tiles",
            type=float,
            default=True,
            metavar="N",
            help="read images in tiles that would be seen more than N times smaller (default: panoramas, large ones)",
        )
        self.add_argument(
            "--no-tiles",
            dest="tiles",
            action="store_false",
            help="read every image at once, however small words become",
        )

    def parse_known_args(  # type: ignore[override]  # as the parent
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As the parent."""
        arguments = list(sys.argv[1:] if args is None else args)
        end = next((place for place, argument in enumerate(arguments) if argument in ("--opts", "--")), len(arguments))
        namespace, unknown = super().parse_known_args(arguments[:end], namespace)
        photos = [argument for argument in unknown if argument == "-" or not argument.startswith("-")]
        start = next((place for place, photo in enumerate(photos) if _begins_overrides(photo)), len(photos))
        namespace.input = [*namespace.input, *photos[:start]]
        namespace.opts = [*photos[start:], *(option for option in arguments[end:] if option not in ("--opts", "--"))]
        if not namespace.input:
            self.error("name a photo, a folder or a pattern; --help says more.")
        return namespace, [argument for argument in unknown if argument not in photos]

    def _is_config(self, argument: str) -> bool:
        """As the parent's."""
        return argument.lower().endswith((".yaml", ".yml"))


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


def _begins_overrides(argument: str) -> bool:
    suffix = os.path.splitext(argument)[1].lower()
    return bool(_KEY.fullmatch(argument)) and suffix not in IMAGE_SUFFIXES and not os.path.exists(argument)


def _spread(arguments: Sequence[str], is_config: Callable[[str], bool]) -> list[str]:
    """The arguments as argparse can tell them apart: one file behind each ``--config-file``, "--" before overrides."""
    spread: list[str] = []
    takes_files = False
    for argument in arguments:
        behind = bool(spread) and spread[-1] == "--config-file"  # the first one, whatever it is called
        is_file = takes_files and not argument.startswith("-") and (behind or is_config(argument))
        if is_file and spread[-1] != "--config-file":
            spread.append("--config-file")
        takes_files = is_file or argument == "--config-file"
        spread.append("--" if argument == "--opts" else argument)
    return spread
