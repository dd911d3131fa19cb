#!/usr/bin/env python
"""A checkpoint with one spotter's detector and another's reader.

    python tools/swap_reader.py DETECTOR.pth READER.pth joined.pth

Of the reader's three parts, pooler (what sees the word), encoder and decoder, those that READER has take the place of
DETECTOR's; all other weights are DETECTOR's. Of a DLD checkpoint the student's reader is meant. Readers that share
feature maps with the detector want training together afterwards; those that see pixels ("CropTextHead") do not.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from dld_spotter.command_line import run_tool, says_mistakes
from dld_spotter.engine.weights_file import check_weights, read_checkpoint, write_whole

READER = "roi_heads.text_head."
STUDENT = "student."


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path, metavar="DETECTOR", help="checkpoint whose detector is wanted")
    parser.add_argument("reader", type=Path, metavar="READER", help="checkpoint whose reader is wanted")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="checkpoint to write, .pth")
    return parser


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint of a spotter.
    """
    weights = read_checkpoint(path).get("model")
    check_weights(weights, str(path))
    if not any(name.startswith((READER, STUDENT + READER)) for name in weights):
        raise ValueError(f"{path} has no weights {READER}*: is it a checkpoint of a Mask R-CNN spotter?")
    return weights


def swap(detector: dict[str, Tensor], reader: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of both by name, as the module's docstring says; the charset goes with its owner's decoder."""
    source, place = reader_prefix(reader), reader_prefix(detector)
    reading = {place + name.removeprefix(source): value for name, value in reader.items() if name.startswith(source)}
    parts = reader_parts(reading)
    kept = {n: v for n, v in detector.items() if not (n.startswith(place) and reader_parts([n]) <= parts)}
    return kept | reading


def reader_prefix(weights: Iterable[str]) -> str:
    """How the names of the reader's weights begin; of a DLD checkpoint, those of the student's."""
    return STUDENT + READER if any(name.startswith(STUDENT + READER) for name in weights) else READER


def reader_parts(names: Iterable[str]) -> set[str]:
    """Parts of the reader that these weights belong to."""
    prefix = reader_prefix(names)
    return {name.removeprefix(prefix).split(".")[0] for name in names if name.startswith(prefix)}


@says_mistakes
def main(argv: Sequence[str] | None = None) -> int:
    """Write the checkpoint; 0, or 1 after one sentence about what is wrong."""
    args = get_parser().parse_args(argv)
    joined = swap(read_weights(args.detector), read_weights(args.reader))
    write_whole(args.output, lambda stream: torch.save({"model": joined}, stream))
    print(f"{args.output}: {len(joined)} weights; the reader has {', '.join(sorted(reader_parts(joined)))}")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
