#!/usr/bin/env python
"""Find and read the words in photos.

    python tools/demo.py photos/ 'more/*.jpg' --output drawn --jsonl words.jsonl

Each photo's words, record and drawing are there as soon as it is read. No file that is there already is replaced,
unless --overwrite says so, and no photo ever. An interrupted run goes on with --resume.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dld_spotter.cli import read


def build_parser() -> argparse.ArgumentParser:
    """The arguments."""
    return read.build_parser(__doc__)


def main(argv: Sequence[str] | None = None) -> int:
    """Read; see ``dld_spotter.cli.read.main`` for what is returned."""
    return read.main(argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
