#!/usr/bin/env python
"""Draw text scenes that look like photographs, to train and test spotters with.

Fonts and words come from tools/fetch_fonts.py, or are your own:

    python tools/fetch_fonts.py --output datasets/synthetic_sources
    python tools/make_synthetic.py --sources datasets/synthetic_sources --output datasets/synthetic/train --count 10000
"""

import argparse
import os
from pathlib import Path

from dld_spotter.data.synthetic.fonts import find_faces
from dld_spotter.data.synthetic.generate import SceneSource, generate_scenes
from dld_spotter.data.synthetic.style import STYLES
from dld_spotter.data.synthetic.vocabulary import SPLITS, read_word_list


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for images/ and scenes.json")
    parser.add_argument("--count", type=int, default=1000, help="number of scenes")
    parser.add_argument("--first", type=int, default=0, help="number of the first scene; others follow it")
    parser.add_argument(
        "--style", choices=sorted(STYLES), default="scenes", help="photo-like scenes, or pages of words"
    )
    parser.add_argument("--split", choices=SPLITS, default="train", help="whose words and font families")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="pixels; the style's if not given"
    )
    parser.add_argument("--sources", type=Path, help="folder that tools/fetch_fonts.py made: fonts/ and words/")
    parser.add_argument("--fonts", type=Path, nargs="+", default=[], help="further folders of .ttf and .otf files")
    parser.add_argument("--words", type=Path, nargs="+", default=[], help="further word lists, one word a line")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same scenes")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; 0: only this one")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Command line; see ``--help``."""
    parser = get_parser()
    args = parser.parse_args(argv)
    if args.count < 1 or args.first < 0 or args.workers < 0:
        parser.error("--count must be at least 1; --first and --workers at least 0.")
    fonts, lists = list(args.fonts), list(args.words)
    if args.sources:
        fonts.append(args.sources / "fonts")
        lists += sorted((args.sources / "words").glob("*.txt"))
    if not fonts or not lists:
        parser.error("no fonts or no words: give --sources (see tools/fetch_fonts.py), or --fonts and --words.")
    style = STYLES[args.style]
    style = style.resized(*args.size) if args.size else style
    words = list(dict.fromkeys(word for path in lists for word in read_word_list(path)))
    faces = find_faces(fonts, args.split)
    print(f"{len(faces)} fonts, {len(words)} words (of both splits)")
    source = SceneSource(faces, words, args.split, style, args.seed)
    info = {"description": f"drawn scenes, style {args.style}, split {args.split}", "seed": args.seed}
    path = generate_scenes(source, args.output, range(args.first, args.first + args.count), args.workers, info)
    print(f"{path}: images in {args.output / 'images'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
