"""The command line of ``dld-spotter batch``; what it does is in ``dld_spotter.batch``."""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dld_spotter.batch.batch_job import BatchJob, JobReport
from dld_spotter.batch.ray_engine import ActorOptions, RayEngine, connect, make_predictor
from dld_spotter.batch.shard_files import FAILURES, FORMATS
from dld_spotter.batch.work_items import list_items
from dld_spotter.command_line import PhotoArgumentParser
from dld_spotter.pretrained import DEFAULT_MODEL
from dld_spotter.reader_choice import PRECISIONS, RUNTIMES, pick_runtime


def build_parser(description: str | None = None) -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = PhotoArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    parser.add_photos("folders, lists (.txt, a path a line), Parquet files, photos; or addresses such as s3://...")
    add("--recursive", action="store_true", help="read the subfolders of folders, too")
    add("--output", required=True, metavar="FOLDER", help="of the job; the same command goes on with it")
    add("--format", choices=FORMATS, default="parquet", help="of the results (default: %(default)s)")
    add("--shard-size", type=int, default=500, metavar="N", help="photos of a file of results (default: %(default)s)")
    parser.add_config_file(required=False, help=f"what to read with (default: {DEFAULT_MODEL})")
    add("--weights", metavar="FILE", help="checkpoint; by default the config's MODEL.WEIGHTS")
    add("--runtime", choices=RUNTIMES, default="auto", help="what computes (default: torch where it is installed)")
    add("--precision", choices=PRECISIONS, default="float32", help="of the runtime openvino")
    add("--device", default="auto", help="of torch: auto (a GPU where the actor has one), cpu, cuda")
    add("--scale", type=float, metavar="S", help="share of the full resolution at which DLD shall read")
    add("--confidence-threshold", type=float, metavar="T", help="leave out less certain detections")
    add("--min-confidence", type=float, metavar="C", help="give words of this confidence: 0.9, nine in ten are right")
    parser.add_tiles()
    add("--batch-size", type=int, default=1, metavar="N", help="photos a forward pass at most (default: %(default)s)")
    add("--actors", type=int, default=0, metavar="N", help="that hold a model each (default: as many as fit)")
    add("--cpus-per-actor", type=int, default=1, metavar="N", help="cores, and threads (default: %(default)s)")
    add("--gpus-per-actor", type=float, default=0, metavar="N", help="0.5 lets two actors share one (default: 0)")
    add("--address", metavar="A", help="of a Ray cluster, or auto; by default one of this machine alone is started")
    return parser


def main(argv: Sequence[str] | None = None, description: str | None = None) -> int:
    """Read a job's photos.

    Returns:
        0; 1 if a photo could not be read, or after a one-line error; 130 after Ctrl-C: what was finished is kept.
    """
    args = build_parser(description).parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        report = _run(args)
    except KeyboardInterrupt:
        print("error: interrupted; the same command goes on.", file=sys.stderr)
        return 130
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    read = report.photos - report.done_before
    speed = f" in {report.seconds:.1f} s ({read / report.seconds:.2f} photos/s)" if read else ""
    before = f"; {report.done_before} were read before" if report.done_before else ""
    print(f"{read} photos{speed}{before}; {report.failures} failures, in {Path(args.output) / FAILURES}.")
    return int(report.failures > 0)


def _run(args: argparse.Namespace) -> JobReport:
    predictor = _predictor(args)
    options = ActorOptions(args.actors, args.cpus_per_actor, args.gpus_per_actor, args.batch_size)
    stream = {} if args.scale is None else {"scale": args.scale}
    inputs = list(args.input)
    settings = {"inputs": inputs, "recursive": args.recursive, "format": args.format, "scale": args.scale, **predictor}
    job = BatchJob(Path(args.output), args.format, args.shard_size, settings, _Progress())

    def engine() -> RayEngine:
        connect(args.address, math.ceil(args.actors * args.cpus_per_actor) or None)
        return RayEngine(make_predictor({**predictor, "threads": args.cpus_per_actor}), options, stream)

    return job.run(lambda: list_items(inputs, args.recursive), engine)


def _predictor(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of the ``TextPredictor``; a runtime is decided once, and not by each node."""
    return {
        "config": args.config_file or [DEFAULT_MODEL],
        "weights": args.weights,
        "device": args.device,
        "opts": list(args.opts),
        "confidence_threshold": args.confidence_threshold,
        "min_confidence": args.min_confidence,
        "tiles": args.tiles,
        "runtime": pick_runtime(args.runtime),
        "precision": args.precision,
    }


class _Progress:
    """A line on standard error for each shard, with the speed of this run."""

    def __init__(self) -> None:
        self._start: float | None = None
        self._first = 0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._start is None:
            self._start, self._first = now, done
            speed = ""
        else:
            speed = f", {(done - self._first) / max(now - self._start, 1e-9):.2f} photos/s"
        print(f"{done} of {total} photos{speed}", file=sys.stderr, flush=True)
