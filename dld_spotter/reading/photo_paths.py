"""The paths that were named on the command line, or come on standard input while the run goes on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from glob import glob

STANDARD_INPUT = "-"
_CHUNK = 1 << 16


def expand_patterns(given: Iterable[str]) -> list[str]:
    """Patterns (which the shell leaves alone when quoted) to files; one without a match stays, to be reported."""
    paths = []
    for path in given:
        paths += [path] if os.path.exists(path) else sorted(glob(path, recursive=True)) or [path]
    return paths


def paths_as_they_come(given: Iterable[str], descriptor: int = 0) -> Iterator[str]:
    """As ``expand_patterns``, with the lines of a stream in the place of "-", each as soon as it is there.

    Args:
        given: paths, patterns and "-".
        descriptor: of the stream; by default standard input.
    """
    for path in given:
        if path == STANDARD_INPUT:
            yield from _lines(descriptor)
        else:
            yield from expand_patterns([path])


def _lines(descriptor: int) -> Iterator[str]:
    """The lines that are not empty. Nothing of Python's holds the stream, so that a thread may wait here for good."""
    rest = b""
    while chunk := os.read(descriptor, _CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (os.fsdecode(line.rstrip(b"\r")) for line in lines if line.strip())
    if rest.strip():
        yield os.fsdecode(rest.rstrip(b"\r"))
