#!/usr/bin/env python
"""The figures and tables of the paper's appendix, one command each, from the rows of a comparison's YAML file.

    python projects/DLD/report/paper_figures.py scales PLAN --rows photos-dld --gammas -0.3 0.1 0.3
    python projects/DLD/report/paper_figures.py curve PLAN --rows photos-dld --gammas -0.3 0.1 0.3
    python projects/DLD/report/paper_figures.py failures PLAN --rows "Vanilla 1.0" photos-dld
    python projects/DLD/report/paper_figures.py features PLAN --teacher "Vanilla 1.0" --rows "Vanilla 0.5"
    python projects/DLD/report/paper_figures.py grouped PLAN --rows photos-dld
    python projects/DLD/report/paper_figures.py gallery PLAN --rows "Vanilla 0.5" "SKD-only 0.5" --show gained

scales is Table A1, failures Table A3; features is Table A2 with Figures A5 and A6; grouped is Figure A1. gallery draws
Figures A2 (Vanilla 0.5 and SKD-only), A3 (SKD-only and DLD), A4 (Vanilla 1.0, Vanilla 0.5 and DLD), and A7 (Vanilla 1.0
and DLD, --show lost). curve is accuracy against cost.

PLAN is the file of compare_methods.py, and its readings are used again: each row reads a data set once. A gamma of
"scales" and "curve" departs from MODEL.DLD.GAMMA of the row, for which its selector was fitted. Tables go to standard
output, pages and plots to --output.
"""

import argparse
import logging
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from comparison_plan import load_plan
from failure_shares import failure_shares
from feature_figures import draw_features, row_features
from figure_data import FigureData
from figure_tables import curve_table, failure_table, feature_table, gamma_table
from gallery import SHOWN, choose_by_scale, choose_images, read_images, write_comparison_page, write_scale_page
from matplotlib.figure import Figure
from scale_figures import curve_points, draw_curve, gamma_columns

from dld_spotter.analysis.readings import ReadingCache
from dld_spotter.command_line import says_mistakes
from dld_spotter.output_files import OutputFiles


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="FIGURE")
    gammas, rows = {"type": float, "nargs": "+", "metavar": "G"}, {"nargs": "+", "metavar": "TITLE", "required": True}
    for name, run, what in (
        ("scales", run_scales, "Table A1: the share of each scale by gamma"),
        ("curve", run_curve, "accuracy against cost, and the paper's points"),
        ("failures", run_failures, "Table A3: the words that two methods read right or wrong"),
        ("features", run_features, "Table A2, Figures A5 and A6: features at both resolutions"),
        ("grouped", run_grouped, "Figure A1: images by the scale that the first row chose"),
        ("gallery", run_gallery, "Figures A2, A3, A4 and A7: what methods read, side by side"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        command.set_defaults(run=run)
        command.add_argument("plan", metavar="PLAN", help="YAML file of data sets and rows (comparison_plan.py)")
        command.add_argument("--rows", **rows, help="titles of rows of PLAN")
        _add_common(command)
        if name in ("scales", "curve"):
            command.add_argument("--gammas", **gammas, required=name == "scales", default=[])
        if name == "curve":
            scales = "of rows without a selector (default: MODEL.DLD.SCALES)"
            command.add_argument("--scales", type=float, nargs="+", default=[], metavar="S", help=scales)
        if name == "features":
            command.add_argument("--teacher", metavar="TITLE", help="what is compared with (default: each row itself)")
            command.add_argument("--drawn", type=int, default=300, metavar="N", help="words drawn (default: 300)")
        if name in ("grouped", "gallery"):
            command.add_argument("--most", type=int, default=6, metavar="N", help="images shown (default: 6)")
            photos = "show the photos, not outlines alone: the page's folder then holds copies of them"
            command.add_argument("--photos", action="store_true", help=photos)
        if name == "gallery":
            shown = "images in which the last row reads more words than the one before it, fewer, or either"
            command.add_argument("--show", choices=SHOWN, default="changed", help=f"{shown} (default: changed)")
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    where = "of plots and pages (default: %(default)s)"
    command.add_argument("--output", type=Path, default=Path("output/figures"), metavar="FOLDER", help=where)
    command.add_argument("--overwrite", action="store_true", help="replace plots and pages that are there already")
    kept = "of what the rows read, as of compare_methods.py (default: %(default)s)"
    command.add_argument("--readings", default="output/comparison", metavar="FOLDER", help=kept)
    command.add_argument("--limit", type=int, metavar="N", help="only the first N images of each data set")
    resamples = "of the bootstrap (default: %(default)s)"
    command.add_argument("--resamples", type=int, default=1000, metavar="N", help=resamples)
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap and of what is drawn")


def run_scales(data: FigureData, args: argparse.Namespace) -> str:
    """Table A1 of each row."""
    tables = []
    for title in args.rows:
        sweep = data.sweep(data.row(title))
        tables.append(gamma_table(title, gamma_columns(data, sweep, args.gammas, args.resamples, args.seed)))
    return "\n\n".join(tables)


def run_curve(data: FigureData, args: argparse.Namespace) -> str:
    """The curve's plot and table."""
    path = _target(data, args, ".svg")
    points = curve_points(data, args.rows, args.gammas, args.scales, args.resamples, args.seed)
    _save(draw_curve(points, f"{data.data_set.name}, {_images(data)} images"), path)
    return f"{curve_table(points, data.plan.rows[0].title)}\n\nPlot: {path}"


def run_failures(data: FigureData, args: argparse.Namespace) -> str:
    """Table A3."""
    if len(args.rows) != 2:
        raise ValueError("--rows must name two rows: the one at full resolution, and the one to compare with it.")
    first, second = (data.measured(data.row(title)) for title in args.rows)
    return failure_table(*args.rows, failure_shares(first, second, data.protocol, args.resamples, args.seed))


def run_features(data: FigureData, args: argparse.Namespace) -> str:
    """Table A2, and the plots."""
    path = _target(data, args, ".png")
    rows = [
        row_features(data, data.row(title), data.row(args.teacher or title), args.drawn, args.seed)
        for title in args.rows
    ]
    _save(draw_features(rows, args.resamples, args.seed), path)
    return f"{feature_table(rows, args.resamples, args.seed)}\n\nPlot of {len(rows[0].high['RoI'])} words: {path}"


def run_grouped(data: FigureData, args: argparse.Namespace) -> str:
    """The page of Figure A1, of the first row."""
    path, images = _target(data, args, ".html"), _shown(data, args.rows[:1])
    groups = choose_by_scale(images, args.most, args.seed)
    heading = f"{data.data_set.name}: images by the scale that {args.rows[0]} chose"
    write_scale_page(path, heading, groups, len(images), args.photos)
    return f"Page: {path}"


def run_gallery(data: FigureData, args: argparse.Namespace) -> str:
    """The page of Figures A2, A3, A4 and A7."""
    if len(args.rows) < 2:
        raise ValueError("--rows must name two rows or more, to be shown side by side.")
    path = _target(data, args, f"_{args.show}.html")
    images = _shown(data, args.rows)
    chosen = choose_images(images, args.show, args.most)
    counted = [len(choose_images(images, shown, len(images))) for shown in SHOWN[:2]]
    said = f"Of {len(images)} images, {args.rows[-1]} reads a word more than {args.rows[-2]} in {counted[0]}, "
    said += f"and misses one that {args.rows[-2]} reads in {counted[1]}."
    write_comparison_page(path, f"{' | '.join(args.rows)} on {data.data_set.name}", said, chosen, args.photos)
    return f"{said}\n\nPage with {len(chosen)} of them: {path}"


@says_mistakes
def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables and write the plots and pages; 0, or 1 with one sentence about what is wrong."""
    argv = sys.argv[1:] if argv is None else list(argv)
    args = get_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")  # standard output is for the tables
    most = [getattr(args, name, 1) for name in ("most", "drawn")]
    if min(args.resamples, *most) < 1 or args.seed < 0 or (args.limit is not None and args.limit < 1):
        raise ValueError("--resamples, --limit, --most and --drawn must be 1 or more, --seed 0 or more.")
    plan, cache = load_plan(args.plan), ReadingCache(args.readings)
    run: Callable[[FigureData, argparse.Namespace], str] = args.run
    # Figures are without a lexicon: entries that differ in it alone are one.
    data_sets = {data_set.key: data_set for data_set in plan.data_sets}
    for data_set in data_sets.values():
        data = FigureData(plan, data_set, cache, args.limit)
        rules = f"{_images(data)} images, {_words(data)} words; {data.protocol.describe()}; seed {args.seed}"
        print(f"**{data_set.key}** ({rules})\n\n{run(data, args)}\n")
    print(f"```bash\npython projects/DLD/report/paper_figures.py {shlex.join(argv)}\n```")
    return 0


def _target(data: FigureData, args: argparse.Namespace, ending: str) -> Path:
    """Where a plot or page goes; it is checked before anything is read."""
    score = "" if data.data_set.min_score is None else f"{data.data_set.min_score:g}"
    named = [args.command, data.data_set.name, score, *(args.rows if ending.endswith(".html") else [])]
    path = args.output / re.sub(r"[^\w.-]+", "_", "_".join(filter(None, named)) + ending)
    OutputFiles(args.overwrite).check(path)
    return path


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _shown(data: FigureData, titles: Sequence[str]) -> list:
    methods = [data.measured(data.row(title)) for title in titles]
    files = data.files([reading.image_id for reading in methods[0].readings])
    return read_images(titles, methods, files, data.protocol)


def _images(data: FigureData) -> int:
    return len(data.truth.images[: data.limit])


def _words(data: FigureData) -> int:
    return sum(not word.ignore for image in data.truth.images[: data.limit] for word in image.words)


if __name__ == "__main__":
    sys.exit(main())
