#!/usr/bin/env python
"""Compare `dld-spotter batch` with `dld-spotter read --workers`: photos a second, on as many cores.

    python tools/benchmark_batch.py photos/ --processes 2 --repeats 3

The two take turns. The rate is that after the first quarter of the photos, when all processes read. That of the whole
turn, with start and end, is printed beside it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import NamedTuple

from dld_spotter.pretrained import DEFAULT_MODEL
from dld_spotter.reader_choice import PRECISIONS

POLL = 0.1  # seconds between two looks at the results


class Turn(NamedTuple):
    """Photos a second: after the first quarter, and of the whole command."""

    steady: float
    whole: float


def build_parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("images", type=Path, help="folder of photos, some hundreds")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder (default: %(default)s)")
    parser.add_argument("--runtime", choices=("onnx", "openvino"), default="onnx", help="(default: %(default)s)")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="(default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="of each (default: %(default)s)")
    parser.add_argument("--shard-size", type=int, default=20, metavar="N", help="of the batch (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="turns of each (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0."""
    args = build_parser().parse_args(argv)
    photos = sum(path.is_file() for path in args.images.iterdir())
    common = ["--config-file", args.model, "--runtime", args.runtime, "--precision", args.precision]
    turns: dict[str, list[Turn]] = {"read": [], "batch": []}
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as scratch:
            read = ["--workers", str(args.processes), "--jsonl", f"{scratch}/words.jsonl"]
            turns["read"].append(measure(["read", str(args.images), *read, *common], photos, Path(scratch)))
        with tempfile.TemporaryDirectory() as scratch:
            batch = ["--output", f"{scratch}/words", "--format", "jsonl", "--actors", str(args.processes)]
            batch += ["--shard-size", str(args.shard_size)]
            parts = Path(scratch, "words", "parts")
            turns["batch"].append(measure(["batch", str(args.images), *batch, *common], photos, parts))
    for name, own in turns.items():
        print(f"{name}: {_listed([turn.steady for turn in own])} photos/s; whole {_listed([t.whole for t in own])}")
    pairs = list(zip(turns["read"], turns["batch"], strict=True))
    print(f"batch / read: {_listed([batch.steady / read.steady for read, batch in pairs])}", end="; ")
    print(f"whole {_listed([batch.whole / read.whole for read, batch in pairs])}")
    return 0


def measure(command: Sequence[str], photos: int, results: Path) -> Turn:
    """Run a command that reads so many photos, and writes a line for each into JSON Lines files of a folder."""
    started = monotonic()
    program = [sys.executable, "-c", "import sys; from dld_spotter.cli import main; sys.exit(main())"]
    process = subprocess.Popen([*program, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen = [(0.0, 0)]
    while True:
        ended = process.poll() is not None
        number = sum(path.read_bytes().count(b"\n") for path in results.glob("*.jsonl"))
        if number > seen[-1][1]:
            seen.append((monotonic() - started, number))
        if ended:
            break
        sleep(POLL)
    whole = monotonic() - started
    if process.returncode or seen[-1][1] != photos:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}, {seen[-1][1]} of {photos} photos read")
    (start, first), (end, last) = next(entry for entry in seen if 4 * entry[1] >= photos), seen[-1]
    if first == last:
        raise SystemExit(f"all {photos} photos came at once: take more photos, or a smaller --shard-size")
    return Turn((last - first) / (end - start), photos / whole)


def _listed(values: Sequence[float]) -> str:
    """The median, and all."""
    return f"{median(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})"


if __name__ == "__main__":
    sys.exit(main())
