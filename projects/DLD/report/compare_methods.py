#!/usr/bin/env python
"""The paper's comparison of methods, from configs and weights to a Markdown table.

    python projects/DLD/report/compare_methods.py projects/DLD/report/synthetic.yaml --markdown results.md
    python projects/DLD/report/compare_methods.py projects/DLD/report/synthetic.yaml --limit 10 --output output/trial

The YAML file lists data sets, rows (a trained model each) and the orderings that the paper found; its format stands in
projects/DLD/report/comparison_plan.py. Each row is run once over each data set; what it read is kept under --output,
so that a second call goes on where the first one ended and measures only what is new or has changed. A row whose
weights are not there yet is reported as such. Times are of use only if nothing else runs beside.
"""

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from comparison import compare
from comparison_plan import load_plan
from comparison_table import format_comparison, read_place, write_comparison

from dld_spotter.analysis.readings import ReadingCache
from dld_spotter.command_line import says_mistakes
from dld_spotter.output_files import check_report


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", metavar="FILE", help="YAML file of data sets, rows and comparisons")
    parser.add_argument(
        "--output",
        default="output/comparison",
        metavar="FOLDER",
        help="of the readings; choose another after changes of the code (default: %(default)s)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images of each data set")
    parser.add_argument(
        "--no-inference", action="store_true", help="only what was measured before; print the table again"
    )
    parser.add_argument(
        "--resamples", type=int, default=1000, metavar="N", help="of the bootstrap (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (default: %(default)s)")
    parser.add_argument(
        "--markdown",
        metavar="FILE",
        help="write the tables into it, between the marks that bear the YAML file's name, or into a new one",
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures, intervals and differences there")
    return parser


@says_mistakes
def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; 0, or 1 with one sentence about what is wrong."""
    argv = sys.argv[1:] if argv is None else list(argv)
    args = get_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")  # standard output is for the tables
    command = f"python projects/DLD/report/compare_methods.py {shlex.join(argv)}"
    report = run(args, command)
    print(report, end="")
    return 0


def run(args: argparse.Namespace, command: str) -> str:
    """Compare, write the files that were asked for, and give the report."""
    if args.resamples < 1 or args.seed < 0 or (args.limit is not None and args.limit < 1):
        raise ValueError("--resamples and --limit must be 1 or more, --seed 0 or more.")
    check_report(args.json, ("command", "data_sets"))
    plan = load_plan(args.comparison)
    name = Path(args.comparison).stem
    if args.markdown:
        read_place(args.markdown, name)  # before hours of inference
    cache = ReadingCache(args.output)
    results = compare(plan, cache, args.limit, not args.no_inference, args.resamples, args.seed)
    report = format_comparison(results, plan.reference, command)
    if args.markdown:
        write_comparison(args.markdown, report, name)
    if args.json:
        content = {"command": command, "data_sets": [result.to_dict() for result in results]}
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return report


if __name__ == "__main__":
    sys.exit(main())
