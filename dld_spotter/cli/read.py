"""The command line of ``dld-spotter read``; what it does is in ``dld_spotter.reading``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dld_spotter.cli import PIPE_CLOSED
from dld_spotter.command_line import PhotoArgumentParser
from dld_spotter.pretrained import DEFAULT_MODEL
from dld_spotter.reader_choice import PRECISIONS, RUNTIMES
from dld_spotter.reading.output_errors import OutputClosed

if TYPE_CHECKING:
    from dld_spotter.reading.read_run import ReadRun

INTERRUPTED = 130  # as shells give it for the signal SIGINT


def build_parser(description: str | None = None) -> argparse.ArgumentParser:
    """Detectron2's demo flags, and ours."""
    parser = PhotoArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    _add_input(parser)
    _add_model(parser)
    _add_output(parser)
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="images a forward pass at most")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that read, of one thread each")
    return parser


def _add_input(parser: PhotoArgumentParser) -> None:
    parser.add_photos("images, folders, or patterns such as 'photos/*.jpg'; - reads paths from standard input")
    parser.add_argument("--recursive", action="store_true", help="read the subfolders of folders, too")
    parser.add_tiles()


def _add_model(parser: PhotoArgumentParser) -> None:
    parser.add_config_file(required=False, help=f"what to read with (default: {DEFAULT_MODEL})")
    parser.add_argument("--weights", metavar="FILE", help="checkpoint; by default the config's MODEL.WEIGHTS")
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default="auto", help="what computes (default: torch where it is installed)"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the runtime openvino")
    parser.add_argument("--device", default="auto", help="of torch: auto (a GPU where there is one), cpu, cuda, ...")
    parser.add_argument("--scale", type=float, metavar="S", help="share of the full resolution at which DLD shall read")
    parser.add_argument(
        "--max-loss", type=_share, metavar="L", help="smallest scale that loses so much, such as 1%%, of the words"
    )
    parser.add_argument("--budget", type=_share, metavar="B", help="a photo's best scale for this share of the cost")
    parser.add_argument("--confidence-threshold", type=float, metavar="T", help="leave out less certain detections")
    parser.add_argument(
        "--min-confidence", type=float, metavar="C", help="give words of this confidence: 0.9, nine in ten are right"
    )
    parser.add_argument("--lexicon", metavar="PATH", help="list of the words that may occur, one a line")


def _share(text: str) -> float:
    """0.01, or 1% of it."""
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _add_output(parser: PhotoArgumentParser) -> None:
    parser.add_argument("--output", metavar="PATH", help="folder for the drawings, or a file for a single image")
    records = parser.add_mutually_exclusive_group()
    records.add_argument("--json", metavar="FILE", help="file for the words, outlines and scores: a JSON array")
    records.add_argument("--jsonl", metavar="FILE", help="the same as JSON Lines, one photo a line")
    parser.add_argument(
        "--columns", action="store_true", help="what the recogniser takes for likely, in the records: for evaluate"
    )
    parser.add_argument("--csv", metavar="FILE", help="the same as a table, one word a line")
    parser.add_argument("--text", metavar="FILE", help="file for the words alone, line by line, in reading order")
    parser.add_argument("--hocr", metavar="FILE", help="file for the words as hOCR, an XHTML document")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="go on with the --json or --jsonl of an earlier run")
    existing.add_argument("--overwrite", action="store_true", help="replace results and drawings, but never a photo")
    parser.add_argument("--show", action="store_true", help="show each drawing in a window")
    parser.add_argument("--show-scores", action="store_true", help="write the scores behind the words")


def main(argv: Sequence[str] | None = None, description: str | None = None) -> int:
    """Read photos.

    Returns:
        0; 1 if anything failed (each photo that cannot be read is reported in one line, the others are done); 130 if
        it was interrupted, and 141 if nobody listens any more: what was read until then is kept.
    """
    args = build_parser(description).parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")  # standard output is for words
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be text
    try:
        with _Interruption() as interruption:
            return _run(args, interruption)
    except KeyboardInterrupt:
        kept = f" --resume goes on with {args.json or args.jsonl}." if args.json or args.jsonl else ""
        print(f"error: interrupted.{kept}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _leave_standard_output()
        return PIPE_CLOSED


class _Interruption:
    """Remembers Ctrl-C: a library that is being loaded may turn it into an error of its own."""

    def __init__(self) -> None:
        self.came = False

    def __enter__(self) -> _Interruption:
        self._before = signal.signal(signal.SIGINT, self._note) if self._may_listen() else None
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: object) -> None:
        self.came = True
        raise KeyboardInterrupt

    @staticmethod
    def _may_listen() -> bool:
        """Not in a thread, nor where Ctrl-C is to be ignored, as behind nohup."""
        in_main = threading.current_thread() is threading.main_thread()
        return in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _run(args: argparse.Namespace, interruption: _Interruption) -> int:
    try:
        return int(not _read_run(args).run())
    except BrokenPipeError:
        raise
    except (KeyError, OSError, ValueError, ImportError) as error:
        if interruption.came:
            raise KeyboardInterrupt from error
        if isinstance(error, OutputClosed):
            _leave_standard_output()
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1


def _read_run(args: argparse.Namespace) -> ReadRun:
    from dld_spotter.reading.outputs import OutputPaths  # what takes long to load can be interrupted, too
    from dld_spotter.reading.read_run import ReadRun
    from dld_spotter.scale_costs import ScaleBound

    bounded = args.max_loss is not None or args.budget is not None
    if bounded and args.scale is not None:
        raise ValueError("--scale says what is read; --max-loss and --budget let the model choose: leave one out.")
    bound = ScaleBound(args.max_loss or 0.0, 1.0 if args.budget is None else args.budget) if bounded else None
    opts = args.opts if args.scale is None else [*args.opts, "MODEL.DLD.FIXED_SCALE", args.scale]
    predictor = {
        "config": args.config_file or [DEFAULT_MODEL],
        "weights": args.weights,
        "device": args.device,
        "opts": opts,
        "confidence_threshold": args.confidence_threshold,
        "min_confidence": args.min_confidence,
        "scale": bound,
        "tiles": args.tiles,
        "runtime": args.runtime,
        "precision": args.precision,
    }
    return ReadRun(
        args.input,
        predictor,
        OutputPaths(args.json, args.jsonl, args.csv, args.text, args.hocr),
        recursive=args.recursive,
        drawings=args.output,
        show=args.show,
        show_scores=args.show_scores,
        resume=args.resume,
        overwrite=args.overwrite,
        lexicon=args.lexicon,
        batch_size=args.batch_size,
        workers=args.workers,
        needs_scales=bounded or args.scale is not None,
        columns=args.columns,
    )


def _leave_standard_output() -> None:
    """Python flushes it once more at its end, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
