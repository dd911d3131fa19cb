#!/usr/bin/env python
"""Convert a benchmark's or a labelling tool's annotations to our JSON, or check a file in our JSON.

    tools/prepare_dataset.py icdar2015 --images IMAGES --annotations GT --output train.json
    tools/prepare_dataset.py --check train.json --images IMAGES --charset printable95 --max-length 32

Every format, with the folders that the known data sets are looked for in, is in datasets/README.md. What cannot be used
is left out and reported, and the others go on; the exit code is 1 if there were errors, 0 if there were only warnings.
"""

import argparse
import inspect
import logging
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

from dld_spotter import _requirements  # noqa: F401 (first: says in one sentence what is missing)
from dld_spotter.command_line import run_tool
from dld_spotter.data.charset import Charset
from dld_spotter.data.converters import CONVERTERS, write_samples
from dld_spotter.data.problems import Problems
from dld_spotter.data.text_json import check_text_json
from dld_spotter.data.text_writer import is_text_json

OPTIONS = ("points", "scripts", "negatives", "characters", "min_size", "split", "text_field")


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        if args.check:
            return check(args)
        for name in ("format", "annotations", "output"):
            if getattr(args, name) is None:
                parser.error(f"to convert, give FORMAT, --annotations and --output ({name} is missing)")
        return convert(args)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was written.\n")
        return 130


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("format", nargs="?", choices=CONVERTERS, metavar="FORMAT", help=", ".join(CONVERTERS))
    parser.add_argument("--images", type=Path, required=True, help="the folder that image paths are relative to")
    parser.add_argument("--annotations", type=Path, help="the annotations: a folder, a zip archive or a file")
    parser.add_argument("--output", type=Path, help="the JSON file to write")
    parser.add_argument("--examples", type=int, default=3, help="problems shown of each kind (default: 3)")
    checking = parser.add_argument_group("checking")
    checking.add_argument("--check", type=Path, metavar="FILE.json", help="check this file instead of converting")
    checking.add_argument("--charset", help="report words with characters outside this built-in set or file")
    checking.add_argument("--max-length", type=int, help="report words with more characters")
    checking.add_argument("--skip-images", action="store_true", help="do not decode the images")
    special = parser.add_argument_group("options of single formats")
    special.add_argument("--points", type=int, help="icdar: corners a word, 0 for any number (default: 4)")
    special.add_argument("--scripts", nargs="+", help="mlt2017: scripts whose words count (default: Latin)")
    special.add_argument(
        "--negatives", type=float, help="mlt2017: share of images without such words that is kept (default: 0.1)"
    )
    special.add_argument("--characters", action="store_true", default=None, help="synthtext: keep characters' boxes")
    special.add_argument(
        "--min-size", type=float, help="synthtext: words with a side shorter than this are don't care (default: 6)"
    )
    special.add_argument("--split", choices=("train", "val"), help="cocotext: which part (default: train)")
    special.add_argument(
        "--text-field", choices=("label", "description"), help="labelme: where the word stands (default: label)"
    )
    return parser


def convert(args: argparse.Namespace) -> int:
    """Convert, and print what was found."""
    converter = CONVERTERS[args.format]
    options = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    foreign = sorted(options.keys() - inspect.signature(converter).parameters.keys())
    if foreign:
        raise ValueError(f"{args.format} has no option --{foreign[0].replace('_', '-')}.")
    if args.output.exists() and not is_text_json(args.output):
        raise ValueError(f"{args.output} is there already, and is no file in our format; give another --output.")
    problems = Problems(str(args.annotations), keep=args.examples)
    try:
        source = converter(args.images, args.annotations, problems, **options)
        info = {"source": args.format, "annotations": ascii(args.annotations.name)[1:-1], **options}
        with tqdm(source.samples, total=source.total, unit=" images") as samples:
            summary = write_samples(samples, args.output, info)
    finally:
        sys.stdout.write(problems.report())
    sys.stdout.write(f"{args.output}: {summary}\n")
    return int(problems.count("error") > 0)


def check(args: argparse.Namespace) -> int:
    """Check a file in our format, and print what was found."""
    charset = None if args.charset is None else Charset.load(args.charset)
    problems = Problems(str(args.check), keep=args.examples)
    for found in check_text_json(
        str(args.check),
        str(args.images),
        charset,
        args.max_length,
        read_images=not args.skip_images,
        progress=partial(tqdm, unit=" images"),
    ):
        problems.add(found.severity, found.kind, found.message, found.image, found.annotation)
    errors, warnings = problems.count("error"), problems.count("warning")
    sys.stdout.write(f"{problems.report()}{args.check}: {errors} errors, {warnings} warnings\n")
    return int(errors > 0)


if __name__ == "__main__":
    sys.exit(run_tool(main))
