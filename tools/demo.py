#!/usr/bin/env python
"""Find and read the words in photos.

    python tools/demo.py --config-file configs/MaskRCNNSpotter_R50.yaml --weights model_final.pth \\
        --input photos/*.jpg --output drawn --jsonl words.jsonl

Each photo's words, record and drawing are there as soon as it is read. No file that is there already is replaced,
unless --overwrite says so, and no photo ever. An interrupted run goes on with --resume.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from glob import glob
from pathlib import Path

from tqdm import tqdm

from dld_spotter.command_line import ConfigArgumentParser
from dld_spotter.drawing_files import Drawings
from dld_spotter.modeling import DLDSpotter
from dld_spotter.photo_sources import Photo, to_photos
from dld_spotter.predictor import PROGRESS_FROM, TextPredictor
from dld_spotter.pretrained import DEFAULT_MODEL
from dld_spotter.record_files import RecordFile, read_records
from dld_spotter.results import TextResult

INTERRUPTED, PIPE_CLOSED = 130, 141  # exit codes, as shells give them for the signals SIGINT and SIGPIPE


def build_parser() -> argparse.ArgumentParser:
    """Detectron2's demo flags, and ours."""
    parser = ConfigArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_config_file(required=False, help=f"what to read with (default: {DEFAULT_MODEL})")
    parser.add_argument("--weights", metavar="FILE", help="checkpoint; by default the config's MODEL.WEIGHTS")
    parser.add_argument(
        "--input", nargs="+", required=True, metavar="PATH", help="images, folders, or patterns such as 'photos/*.jpg'"
    )
    parser.add_argument("--recursive", action="store_true", help="read the subfolders of folders, too")
    parser.add_argument("--output", metavar="PATH", help="folder for the drawings, or a file for a single image")
    records = parser.add_mutually_exclusive_group()
    records.add_argument("--json", metavar="FILE", help="file for the words, outlines and scores: a JSON array")
    records.add_argument("--jsonl", metavar="FILE", help="the same as JSON Lines, one photo a line")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="go on with the --json or --jsonl of an earlier run")
    existing.add_argument("--overwrite", action="store_true", help="replace records and drawings, but never a photo")
    parser.add_argument("--show", action="store_true", help="show each drawing in a window")
    parser.add_argument("--show-scores", action="store_true", help="write the scores behind the words")
    parser.add_argument("--confidence-threshold", type=float, metavar="T", help="leave out less certain detections")
    parser.add_argument("--scale", type=float, metavar="S", help="share of the full resolution at which DLD shall read")
    parser.add_argument("--no-tiles", action="store_true", help="read panoramas at once, however small words become")
    parser.add_argument("--lexicon", metavar="PATH", help="list of the words that may occur, one a line")
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1, ...")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="images a forward pass at most")
    parser.add_overrides()
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the demo.

    Returns:
        0; 1 if anything failed (each photo that cannot be read is reported in one line, the others are done); 130 if
        it was interrupted, and 141 if nobody listens any more: what was read until then is kept.
    """
    args = build_parser().parse_args(argv)
    args.config_file = args.config_file or [DEFAULT_MODEL]
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")  # standard output is for words
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be text
    try:
        return int(_run(args))
    except KeyboardInterrupt:
        kept = f" --resume goes on with {args.json or args.jsonl}." if args.json or args.jsonl else ""
        print(f"error: interrupted.{kept}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at its end
        return PIPE_CLOSED
    except (KeyError, OSError, ValueError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"error: {message}", file=sys.stderr)
        return 1


def _run(args: argparse.Namespace) -> bool:
    """Whether anything failed."""
    records_path = args.json or args.jsonl
    if args.resume and not records_path:
        raise ValueError("--resume needs the --json or --jsonl of the run that it shall go on with.")
    folder = [args.output] if args.output else []
    photos = list(to_photos(_expand_patterns(args.input), args.recursive, folder))
    drawings = Drawings(args.output, photos, args.show_scores, args.show, args.overwrite)
    done = _match_records(records_path, photos) if args.resume else []
    waiting = _without(photos, [photo for _, photo in done])
    drawings.check(waiting)
    if records_path:
        _check_records(Path(records_path), drawings, args)
    predictor = _load(args)
    failed = _finish(done, drawings, isinstance(predictor.model, DLDSpotter))
    results = predictor.stream(waiting, args.batch_size, lexicon=args.lexicon)
    disable = None if len(waiting) >= PROGRESS_FROM and not sys.stdout.isatty() else True
    progress = tqdm(results, total=len(waiting), unit="photo", disable=disable)
    new = RecordFile(records_path, bool(args.jsonl), args.resume, args.overwrite) if records_path else nullcontext()
    with new as records:
        for result in progress:
            failed |= not _give(result, records, drawings)
    return failed


def _load(args: argparse.Namespace) -> TextPredictor:
    opts = args.opts if args.scale is None else [*args.opts, "MODEL.DLD.FIXED_SCALE", args.scale]
    predictor = TextPredictor(
        args.config_file, args.weights, args.device, opts, args.confidence_threshold, tiles=not args.no_tiles
    )
    if args.scale is not None and not isinstance(predictor.model, DLDSpotter):
        raise ValueError(
            f"--scale needs a DLDSpotter, and {args.config_file[-1]} is a {predictor.cfg.MODEL.META_ARCHITECTURE}; "
            "its input size is set with INPUT.MIN_SIZE_TEST PIXELS at the end."
        )
    return predictor


def _give(result: TextResult, records: RecordFile | None, drawings: Drawings) -> bool:
    """Write and print what was read of a photo; whether all of it succeeded."""
    if records is not None:
        records.write(result.to_dict())
    if result.error is not None:
        print(f"error: {result.error}", file=sys.stderr)
        return False
    drawn = drawings.write(result)
    words = " ".join(word.text for word in result.words) or "(no words)"
    page = "" if result.page is None else f" (page {result.page})"
    print(f"{result.file_name}{page}: {words}", flush=True)
    return drawn


def _check_records(path: Path, drawings: Drawings, args: argparse.Namespace) -> None:
    if drawings.is_photo(path):
        raise ValueError(f"the records would replace the photo {path}; give another file.")
    if path.exists() and not (args.resume or args.overwrite):
        raise ValueError(f"{path} is there already; --resume goes on with it, --overwrite replaces it.")


def _match_records(path: str, photos: Sequence[Photo]) -> list[tuple[dict, Photo]]:
    """The records of an earlier run with their photos."""
    if not Path(path).exists():
        return []
    waiting: dict[tuple[str, int | None], deque[Photo]] = defaultdict(deque)
    for photo in photos:
        waiting[photo.file_name, photo.page].append(photo)
    matched = []
    for record in read_records(path):
        photos_of_record = waiting[record["file_name"], record.get("page")]
        if photos_of_record:
            matched.append((record, photos_of_record.popleft()))
    print(f"{len(matched)} of {len(photos)} photos were read before; going on.", file=sys.stderr)
    return matched


def _finish(done: Iterable[tuple[dict, Photo]], drawings: Drawings, chooses_scale: bool) -> bool:
    """Draw what an interrupted run has read but not drawn; whether any of its photos failed."""
    failed = False
    for record, photo in done:
        if record.get("error") is not None:
            failed = True
        elif drawings.path is not None and not drawings.target(photo).exists():
            result = TextResult.from_dict(record, photo)
            failed |= not drawings.write(result if chooses_scale else replace(result, scale=None))
    return failed


def _without(photos: Iterable[Photo], others: Iterable[Photo]) -> list[Photo]:
    left_out = {id(photo) for photo in others}
    return [photo for photo in photos if id(photo) not in left_out]


def _expand_patterns(inputs: list[str]) -> list[str]:
    """Patterns (which the shell leaves alone when quoted) to files; one without a match stays, to be reported."""
    paths = []
    for given in inputs:
        paths += [given] if os.path.exists(given) else sorted(glob(given, recursive=True)) or [given]
    return paths


if __name__ == "__main__":
    sys.exit(main())
