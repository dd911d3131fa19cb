#!/usr/bin/env python
"""Read sample photos with a model that chooses its resolution, and again at full resolution beside it.

    python tools/read_samples.py --model NAME --input photos --output output/samples

Prints each photo's words, the chosen scale and what it costs, and writes both readings side by side into OUTPUT.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dld_spotter.analysis import CostModel
from dld_spotter.image_io import list_images
from dld_spotter.modeling.spotter_parts import Workload
from dld_spotter.predictor import TextPredictor
from dld_spotter.pretrained import pretrained_models
from dld_spotter.results import TextResult, write_image

ROOT = Path(__file__).resolve().parents[1]
GAP = 8  # white columns between the two drawings


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--model", default="synthetic-dld", help=f"one of {', '.join(pretrained_models())}, or an exported model.yaml"
    )
    parser.add_argument("--input", type=Path, default=ROOT / "projects" / "DLD" / "samples", help="folder of photos")
    parser.add_argument("--output", type=Path, default=Path("output") / "samples", help="folder for the drawings")
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, ...")
    return parser


class Reader:
    """A model at the scales that it chooses and at full resolution.

    Args:
        model: name of a model that comes with the project, or path of a YAML file.
        device: see TextPredictor.
    """

    def __init__(self, model: str, device: str):
        self.chosen = TextPredictor(model, device=device)
        self.full = TextPredictor(model, device=device, opts=["MODEL.DLD.FIXED_SCALE", 1.0])
        most = self.chosen.cfg.MODEL.RPN.POST_NMS_TOPK_TEST
        self.costs = CostModel(self.chosen.model, Workload(proposals=most))

    def read(self, path: Path) -> tuple[TextResult, TextResult, float, tuple[float, float]]:
        """The words at the chosen scale and at full resolution, the cost as a share of the latter's, and seconds."""
        start = time.perf_counter()
        (result,) = self.chosen([path], on_error="raise")
        middle = time.perf_counter()
        (at_full,) = self.full([path], on_error="raise")
        seconds = middle - start, time.perf_counter() - middle
        size = self.chosen.network_size(result.height, result.width)
        cost = sum(self.costs.inference(size, result.scale).values()) / sum(self.costs.teacher(size).values())
        return result, at_full, cost, seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Read the samples; 0, or 1 with one sentence about what is wrong."""
    args = get_parser().parse_args(argv)
    # Detectron2 calls something that new versions of torch warn of; it would stand among the words.
    logging.getLogger("torch.fx").setLevel(logging.ERROR)
    try:
        read_all(args)
    except (KeyError, OSError, ValueError) as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    return 0


def read_all(args: argparse.Namespace) -> None:
    """Print and draw what is read in each photo."""
    reader = Reader(args.model, args.device)
    paths = list_images(args.input)
    reader.read(paths[0])  # the first pass of a network is slow, whatever it reads
    costs, times = [], []
    for path in paths:
        result, at_full, cost, seconds = reader.read(path)
        costs.append(cost)
        times.append(seconds)
        print(f"{result.file_name}: scale {result.scale:g}, {cost:.2f} of the cost, {seconds[0]:.2f} s")
        print(f"   chosen scale:    {_words(result)}")
        print(f"   full resolution: {_words(at_full)}")
        drawings = [result.draw(), at_full.draw()]
        gap = np.full((drawings[0].shape[0], GAP, 3), 255, np.uint8)
        write_image(args.output / f"{result.name}.jpg", np.hstack([drawings[0], gap, drawings[1]]))
    seconds = np.mean(times, axis=0)
    print(
        f"Mean cost {np.mean(costs):.2f} of full resolution, {seconds[0]:.2f} s an image instead of {seconds[1]:.2f} s."
        f"\nDrawings, chosen scale on the left: {args.output}"
    )


def _words(result: TextResult) -> str:
    return " ".join(word.text for word in result.words) or "(no words)"


if __name__ == "__main__":
    sys.exit(main())
