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
from dld_spotter.command_line import run_tool, says_mistakes
from dld_spotter.drawing_files import Drawings
from dld_spotter.image_io import ImageError
from dld_spotter.modeling.spotter_parts import Workload
from dld_spotter.photo_sources import Photo, to_photos
from dld_spotter.predictor import TextPredictor
from dld_spotter.pretrained import DEFAULT_MODEL, pretrained_models
from dld_spotter.results import TextResult, write_image

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = Path("output") / "samples"  # this tool's own: what is there is replaced
GAP = 8  # white columns between the two drawings


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help=f"one of {', '.join(pretrained_models())}, or an exported model.yaml"
    )
    parser.add_argument("--input", type=Path, default=ROOT / "projects" / "DLD" / "samples", help="folder of photos")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for the drawings")
    parser.add_argument("--overwrite", action="store_true", help="replace drawings, but never a photo")
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, ...")
    return parser


class Reader:
    """A model at the scales that it chooses and at full resolution.

    Args:
        model: name of a model that comes with the project, or path of a YAML file.
        device: see TextPredictor.
    """

    def __init__(self, model: str, device: str):
        # Whole images alone: the cost model knows one size an image.
        self.chosen = TextPredictor(model, device=device, tiles=False)
        self.full = TextPredictor(model, device=device, opts=["MODEL.DLD.FIXED_SCALE", 1.0], tiles=False)
        most = self.chosen.cfg.MODEL.RPN.POST_NMS_TOPK_TEST
        self.costs = CostModel(self.chosen.model, Workload(proposals=most))

    def read(self, photo: Photo) -> tuple[TextResult, TextResult, float, tuple[float, float]]:
        """The words at the chosen scale and at full resolution, the cost as a share of the latter's, and seconds."""
        start = time.perf_counter()
        (result,) = self.chosen([photo], on_error="raise")
        middle = time.perf_counter()
        (at_full,) = self.full([photo], on_error="raise")
        seconds = middle - start, time.perf_counter() - middle
        size = self.chosen.reader.size.resized(result.height, result.width)
        cost = sum(self.costs.inference(size, result.scale).values()) / sum(self.costs.teacher(size).values())
        return result, at_full, cost, seconds


@says_mistakes
def main(argv: Sequence[str] | None = None) -> int:
    """Read the samples; 0, or 1 with one sentence about each thing that is wrong."""
    args = get_parser().parse_args(argv)
    # Detectron2 calls something that new versions of torch warn of; it would stand among the words.
    logging.getLogger("torch.fx").setLevel(logging.ERROR)
    return int(not read_all(args))


def read_all(args: argparse.Namespace) -> bool:
    """Print and draw what is read in each photo; whether all could be read."""
    photos = list(to_photos(args.input))
    drawings = Drawings(args.output, photos, overwrite=args.overwrite or args.output == OUTPUT)
    drawings.check(photos)
    reader = Reader(args.model, args.device)
    warm = False
    costs, times = [], []
    for photo in photos:
        try:
            if not warm:  # the first pass of a network is slow, whatever it reads
                reader.read(photo)
                warm = True
            result, at_full, cost, seconds = reader.read(photo)
        except ImageError as error:
            print(f"error: {error}", file=sys.stderr)
            continue
        costs.append(cost)
        times.append(seconds)
        print(f"{result.file_name}: scale {result.scale:g}, {cost:.2f} of the cost, {seconds[0]:.2f} s")
        print(f"   chosen scale:    {_words(result)}")
        print(f"   full resolution: {_words(at_full)}")
        pair = [result.draw(), at_full.draw()]
        gap = np.full((pair[0].shape[0], GAP, 3), 255, np.uint8)
        write_image(drawings.target(photo), np.hstack([pair[0], gap, pair[1]]))
    if times:
        chosen, full = np.mean(times, axis=0)
        print(
            f"Mean cost {np.mean(costs):.2f} of full resolution, {chosen:.2f} s an image instead of {full:.2f} s."
            f"\nDrawings, chosen scale on the left: {args.output}"
        )
    return len(times) == len(photos)


def _words(result: TextResult) -> str:
    return " ".join(word.text for word in result.words) or "(no words)"


if __name__ == "__main__":
    sys.exit(run_tool(main))
