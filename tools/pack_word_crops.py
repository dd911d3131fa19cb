#!/usr/bin/env python
"""Pages of word crops (ICDAR's word-recognition sets), for a spotter to learn reading from real words.

    python tools/pack_word_crops.py --images words/images --annotations words/gt.txt --coordinates words/coords.txt \\
        --output datasets/word_pages

Lines and pictures that cannot be used are left out and reported.
Train on the pages with MODEL.TEXT.READING_ONLY True; for detection they are too unlike photos.
"""

import argparse
import sys
from pathlib import Path

from dld_spotter.command_line import run_tool
from dld_spotter.data.problems import Problems
from dld_spotter.data.word_crops import read_word_crops, write_pages


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of the pictures of words")
    parser.add_argument("--annotations", type=Path, required=True, help='NAME, "TEXT" a line')
    parser.add_argument("--coordinates", type=Path, help="NAME,x1,y1,...,x4,y4 a line (default: the whole pictures)")
    parser.add_argument("--output", type=Path, required=True, help="folder for images/ and pages.json")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(288, 448), metavar=("H", "W"), help="of a page (default: 288 448)"
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often every word is shown (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same pages (default: 0)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Write the pages; 0, or 1 if there was an error in the input."""
    parser = get_parser()
    args = parser.parse_args(argv)
    if args.rounds < 1 or min(args.size) < 1:
        parser.error("--rounds and --size must be 1 or more.")
    problems = Problems(str(args.annotations), keep=3)
    try:
        crops = read_word_crops(args.images, args.annotations, problems, args.coordinates)
        path = write_pages(crops, args.output, size=tuple(args.size), rounds=args.rounds, seed=args.seed)
    except (OSError, ValueError) as error:
        print(f"{problems.report()}error: {error}", file=sys.stderr)
        return 1
    print(f"{problems.report()}{path}: {len(crops)} words, {args.rounds} times each")
    return int(problems.count("error") > 0)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
