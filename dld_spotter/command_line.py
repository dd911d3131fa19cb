"""The command line of every script with a config: files, later ones over earlier ones, and overrides at the end."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence

from dld_spotter.photo_suffixes import IMAGE_SUFFIXES

# MODEL.WEIGHTS, OUTPUT_DIR, SEED: no config file and no trained model is called like that.
_KEY = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)*")


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

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None):
        """As the parent."""
        arguments = sys.argv[1:] if args is None else args
        namespace, unknown = super().parse_known_args(_spread(arguments, self._is_config), namespace)
        namespace.opts = [option for option in namespace.opts or [] if option != "--"]
        return namespace, unknown

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

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None):
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
