#!/usr/bin/env python
"""Draw text scenes that look like photographs, to train and test spotters with.

Fonts and words come from tools/fetch_fonts.py, or are your own:

    python tools/fetch_fonts.py --output datasets/synthetic_sources
    python tools/make_synthetic.py --sources datasets/synthetic_sources --output datasets/synthetic/train --count 10000

Words of another language (one a line; for Chinese and Japanese, bring fonts with fetch_fonts.py --languages):

    python tools/make_synthetic.py --sources datasets/synthetic_sources --words greek.txt --output datasets/greek
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from dld_spotter.command_line import run_tool, says_mistakes
from dld_spotter.data.charset import Charset
from dld_spotter.data.synthetic.coverage import Coverage, characters_of, describe_characters, match_fonts
from dld_spotter.data.synthetic.fonts import FontFace, find_faces
from dld_spotter.data.synthetic.generate import SceneSource, generate_scenes
from dld_spotter.data.synthetic.style import STYLES
from dld_spotter.data.synthetic.vocabulary import SPLITS, read_any_words, read_word_list, unusable_reason

ASCII_CHARSET = "printable95"
LISTED = 10  # fonts or words named in a message


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults beside each option, and the commands of the epilogue as they are."""


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0],
        epilog=__doc__.split("\n", 2)[2],
        formatter_class=_HelpFormatter,
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
    parser.add_argument(
        "--fonts", type=Path, nargs="+", default=[], help="further folders of .ttf, .otf and .ttc files"
    )
    parser.add_argument(
        "--words",
        type=Path,
        nargs="+",
        default=[],
        help="your own word lists in any language, one word a line, in place of the English ones of --sources",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same scenes")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; 0: only this one")
    return parser


@says_mistakes
def main(argv: list[str] | None = None) -> int:
    """Command line; see ``--help``."""
    parser = get_parser()
    args = parser.parse_args(argv)
    if args.count < 1 or args.first < 0 or args.workers < 0:
        parser.error("--count must be at least 1; --first and --workers at least 0.")
    folders, english = font_folders(args), not args.words
    lists = args.words or (sorted((args.sources / "words").glob("*.txt")) if args.sources else [])
    if not folders or not lists:
        parser.error("no fonts or no words: give --sources (see tools/fetch_fonts.py), or --fonts and --words.")
    style = STYLES[args.style]
    style = style.resized(*args.size) if args.size else style
    words = read_lists(lists, english)
    faces = find_faces(folders, args.split, () if english else characters_of(words))
    if not english:
        coverage = match_fonts(faces, words)
        report(coverage)
        faces, words = coverage.faces, coverage.words
    source = SceneSource(faces, words, args.split, style, args.seed, english)
    print(f"{len(faces)} fonts, {len(words)} words (of both splits)")
    info = {"description": f"synthetic scenes, style {args.style}, split {args.split}", "seed": args.seed}
    path = generate_scenes(source, args.output, range(args.first, args.first + args.count), args.workers, info)
    print(f"{path}: images in {args.output / 'images'}")
    print(f"their characters: MODEL.TEXT.CHARSET {write_charset(args.output, words, faces)}")
    return 0


def font_folders(args: argparse.Namespace) -> list[Path]:
    """Where fonts are looked for; the fonts of languages belong to words of one's own."""
    folders = list(args.fonts)
    if args.sources:
        folders.append(args.sources / "fonts")
        languages = args.sources / "language_fonts"
        folders += [languages] if args.words and languages.is_dir() else []
    return folders


def read_lists(paths: Sequence[Path], english: bool) -> list[str]:
    """The words of all lists, each once; lines that cannot be drawn are counted and named."""
    words: dict[str, None] = {}
    for path in paths:
        if english:
            words |= dict.fromkeys(read_word_list(path))
            continue
        usable, others = read_any_words(path)
        words |= dict.fromkeys(usable)
        if others:
            named = "; ".join(f"'{line[:30]}' {unusable_reason(line)}" for line in others[:LISTED])
            print(f"{path}: left out {len(others)} of {len(usable) + len(others)} lines, e.g. {named}")
    return list(words)


def report(coverage: Coverage) -> None:
    """Say which fonts lack which characters, and which words no font draws."""
    for faces, what in (
        (coverage.left_out, "left out, since they draw fewer than a quarter of the words"),
        ([face for face in coverage.faces if face in coverage.lacking], "without some characters of the words"),
    ):
        if faces:
            print(f"fonts {what} ({len(faces)}):")
            for face in faces[:LISTED]:
                print(f"  {face.family} {face.style} lacks {describe_characters(coverage.lacking[face])}")
            if len(faces) > LISTED:
                print(f"  and {len(faces) - LISTED} more")
    if coverage.undrawable:
        total = len(coverage.undrawable) + len(coverage.words)
        named = ", ".join(coverage.undrawable[:LISTED])
        print(f"left out {len(coverage.undrawable)} of {total} words, since no font can draw them, e.g. {named}")


def write_charset(output: Path, words: Sequence[str], faces: Sequence[FontFace]) -> str:
    """The name of a charset with all characters that the scenes may have; one that is not built in is written."""
    built_in = Charset.load(ASCII_CHARSET).characters
    drawn = frozenset().union(*(face.characters for face in faces))
    others = sorted((characters_of(words) & drawn).difference(built_in))
    if not others:
        return ASCII_CHARSET
    path = output / "charset.txt"
    path.write_text("".join([*built_in, *others]) + "\n", encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
