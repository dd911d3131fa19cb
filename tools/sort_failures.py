#!/usr/bin/env python
"""Sort the words that a model did not read right: not found, read at too low a resolution, or misread.

    python tools/sort_failures.py --config-file synthetic-dld --data-set drawn_test \\
        --output output/failures --limit 50 MODEL.WEIGHTS output/synthetic/7_dld_gamma0.1/model_final.pth

Writes failures.json with an entry for each word and failures.png with some of them. Kinds: "detection" (no detection
matched the word), "selection" (found and misread at the chosen scale, but read right in its true place at full
resolution by student or teacher), "recognition" (found and misread otherwise), "false detection". An exported DLD model
has no teacher; use the config and weights of its training to ask the teacher, too.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dld_spotter import load_cfg
from dld_spotter.analysis.failure_sheet import choose_failures, draw_sheet
from dld_spotter.analysis.failures import CHOSEN, FailureReport, find_failures
from dld_spotter.command_line import ConfigArgumentParser, run_tool, says_mistakes
from dld_spotter.output_files import OutputFiles, check_report
from dld_spotter.results import write_image


def get_parser() -> argparse.ArgumentParser:
    parser = ConfigArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_config_file()
    parser.add_argument("--data-set", required=True, metavar="NAME", help="registered, or in DATASETS.CUSTOM")
    parser.add_argument(
        "--output", required=True, type=Path, metavar="FOLDER", help="of failures.json and failures.png"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    parser.add_argument(
        "--drawn", type=int, default=40, metavar="N", help="failures drawn at most (default: %(default)s)"
    )
    parser.add_overrides()
    return parser


@says_mistakes
def main(argv: Sequence[str] | None = None) -> int:
    """Print the counts and write the files; 0, or 1 with one sentence about what is wrong."""
    args = get_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")  # standard output is for the counts
    if args.drawn < 0 or (args.limit is not None and args.limit < 1):
        raise ValueError("--limit must be 1 or more, --drawn 0 or more.")
    check_output(args.output)  # before the inference
    report = find_failures(load_cfg(args.config_file, args.opts), args.data_set, args.limit)
    write_report(report, args.output, args.drawn)
    print(format_report(report))
    return 0


def check_output(folder: Path) -> None:
    """Raise ValueError if the files would replace others than those of an earlier run."""
    check_report(folder / "failures.json", ("counts", "failures", "readers"))
    if not (folder / "failures.json").exists():
        OutputFiles().check(folder / "failures.png")


def write_report(report: FailureReport, folder: Path, drawn: int) -> None:
    """failures.json, and failures.png where there is something to draw."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"counts": report.counts(), **asdict(report)}, ensure_ascii=False, indent=1)
    (folder / "failures.json").write_bytes((text + "\n").encode("utf-8", "backslashreplace"))  # as JSON escapes
    chosen = choose_failures(report.failures, drawn)
    if chosen:
        write_image(folder / "failures.png", draw_sheet(chosen))


def format_report(report: FailureReport) -> str:
    """The counts, each as a share of the cared-for words."""
    counts = {"read right": report.right, **report.counts()}
    readers = ", ".join(report.readers)
    lines = [f"{report.images} images, {report.words} words; recognised at their ground-truth boxes by: {readers}"]
    lines += [f"{kind:<16}{count:>7}{count / max(1, report.words):>8.1%}" for kind, count in counts.items()]
    outlined = sum(CHOSEN in f.right_in_true_place for f in report.failures if f.kind in ("selection", "recognition"))
    lines.append(f"Of selection and recognition, {outlined} were read right at the chosen scale where they truly are.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_tool(main))
