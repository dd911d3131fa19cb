#!/usr/bin/env python
"""Curves of trainings, from the metrics.json that each writes into its OUTPUT_DIR.

python tools/plot_training.py output/3_reading output/4_teacher --figures loss_text total_loss --output curves.png
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from dld_spotter.output_files import check_figure

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="OUTPUT_DIR of a training")
    parser.add_argument("--figures", nargs="+", default=["total_loss"], metavar="NAME", help="(default: total_loss)")
    parser.add_argument("--smooth", type=int, default=5, metavar="N", help="mean of N entries (default: 5)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="picture to write")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Draw; 0, or 1 after one sentence on what is wrong."""
    args = get_parser().parse_args(argv)
    try:
        check_figure(args.output)
        names = [folder.name for folder in args.folders]
        curves = {
            folder.name if names.count(folder.name) == 1 else str(folder): read_metrics(folder)
            for folder in args.folders
        }
        for name in args.figures:
            if not any(name in entry for entries in curves.values() for entry in entries):
                known = sorted({key for entries in curves.values() for entry in entries for key in entry})
                raise ValueError(f"no training has the figure '{name}'; there are {', '.join(known)}.")
        draw(curves, args.figures, max(1, args.smooth), args.output)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def read_metrics(folder: Path) -> list[dict]:
    """The entries of a training by iteration; what was trained again after a restart stands once.

    Raises:
        ValueError: a line is no JSON; the last one may be cut off.
    """
    path = folder / "metrics.json"
    lines = path.read_text(encoding="utf-8").splitlines()
    entries: dict[int, dict] = {}
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except ValueError:
            if number == len(lines):
                break
            raise ValueError(f"{path}, line {number}: not an entry of a training.") from None
        if not isinstance(entry, dict) or type(entry.get("iteration")) is not int:
            raise ValueError(f"{path}, line {number}: not an entry of a training.")
        entries[entry["iteration"]] = entries.get(entry["iteration"], {}) | entry
    return [entries[iteration] for iteration in sorted(entries)]


def smoothed(values: Sequence[float], width: int) -> np.ndarray:
    """Running means of ``width`` values; at the ends of those that there are."""
    kernel = np.ones(min(width, len(values)))
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def draw(curves: dict[str, list[dict]], figures: Sequence[str], width: int, output: Path) -> None:
    """One plot a figure, side by side, a line a training."""
    canvas, axes = plt.subplots(1, len(figures), figsize=(5.5 * len(figures), 4), squeeze=False, layout="constrained")
    for axis, name in zip(axes[0], figures, strict=True):
        for title, entries in curves.items():
            points = [(entry["iteration"], entry[name]) for entry in entries if name in entry]
            if points:
                iterations, values = zip(*points, strict=True)
                axis.plot(iterations, smoothed(values, width), label=title)
        axis.set(title=name, xlabel="iteration")
        axis.legend()
        axis.grid(alpha=0.3)
    output.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(output, dpi=100)
    plt.close(canvas)


if __name__ == "__main__":
    sys.exit(main())
