#!/usr/bin/env python
"""Find and read the words in photos.

    python tools/demo.py --config-file configs/MaskRCNNSpotter_R50.yaml --weights model_final.pth \\
        --input photos/*.jpg --output drawn --json words.json
"""

from __future__ import annotations

import argparse
import logging
import sys
from glob import glob
from pathlib import Path

import numpy as np
from PIL import Image

from dld_spotter.command_line import ConfigArgumentParser
from dld_spotter.evaluation.submission import write_results
from dld_spotter.image_io import IMAGE_SUFFIXES
from dld_spotter.modeling import DLDSpotter
from dld_spotter.predictor import TextPredictor
from dld_spotter.results import TextResult, write_image


def build_parser() -> argparse.ArgumentParser:
    """Detectron2's demo flags, and ours."""
    parser = ConfigArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_config_file()
    parser.add_argument("--weights", metavar="FILE", help="checkpoint; by default the config's MODEL.WEIGHTS")
    parser.add_argument(
        "--input", nargs="+", required=True, metavar="PATH", help="images, folders, or patterns such as 'photos/*.jpg'"
    )
    parser.add_argument("--output", metavar="PATH", help="folder for the drawings, or a file for a single image")
    parser.add_argument("--json", metavar="FILE", help="file for the words, outlines and scores")
    parser.add_argument("--show", action="store_true", help="show each drawing in a window")
    parser.add_argument("--show-scores", action="store_true", help="write the scores behind the words")
    parser.add_argument("--confidence-threshold", type=float, metavar="T", help="leave out less certain detections")
    parser.add_argument("--scale", type=float, metavar="S", help="share of the full resolution at which DLD shall read")
    parser.add_argument("--lexicon", metavar="PATH", help="list of the words that may occur, one a line")
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1, ...")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="images a forward pass at most")
    parser.add_overrides()
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the demo.

    Returns:
        0, or 1 if anything failed: each unreadable image is reported in one line, the others are done.
    """
    args = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")  # standard output is for words
    try:
        results = _run(args)
    except (KeyError, OSError, ValueError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"error: {message}", file=sys.stderr)
        return 1
    return int(any(result.error is not None for result in results))


def _run(args: argparse.Namespace) -> list[TextResult]:
    paths = _expand_patterns(args.input)
    output = _prepare_output(args.output, paths)
    opts = args.opts if args.scale is None else [*args.opts, "MODEL.DLD.FIXED_SCALE", args.scale]
    predictor = TextPredictor(args.config_file, args.weights, args.device, opts, args.confidence_threshold)
    if args.scale is not None and not isinstance(predictor.model, DLDSpotter):
        raise ValueError(
            f"--scale needs a DLDSpotter, and {args.config_file[-1]} is a {predictor.cfg.MODEL.META_ARCHITECTURE}; "
            "its input size is set with INPUT.MIN_SIZE_TEST PIXELS at the end."
        )
    results = predictor(paths, args.batch_size, lexicon=args.lexicon)
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        write_results(args.json, [result.to_dict() for result in results])
    for result in results:
        if result.error is not None:
            print(f"error: {result.error}", file=sys.stderr)
            continue
        print(f"{result.file_name}: {' '.join(word.text for word in result.words) or '(no words)'}")
        if output or args.show:
            image = result.draw(show_scores=args.show_scores)
        if output:
            _write_drawing(output / f"{result.name}.jpg" if output.is_dir() else output, image, result)
        if args.show:
            Image.fromarray(image[:, :, ::-1]).show(title=result.file_name)
    return results


def _prepare_output(output: str | None, inputs: list[str]) -> Path | None:
    """The folder for the drawings, made if need be; or a file, if it is named like an image."""
    if output is None:
        return None
    path = Path(output)
    if path.suffix.lower() not in IMAGE_SUFFIXES or path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
    elif len(inputs) > 1 or Path(inputs[0]).is_dir():
        raise ValueError(f"--output {path} is one file, but there may be several drawings; give a folder.")
    return path


def _write_drawing(path: Path, image: np.ndarray, result: TextResult) -> None:
    if path.exists() and path.samefile(result.source):
        raise ValueError(f"the drawing would replace the photo {path}; give another --output.")
    write_image(path, image)


def _expand_patterns(inputs: list[str]) -> list[str]:
    """Patterns (which the shell leaves alone when quoted) to files; one without a match stays, to be reported."""
    paths = []
    for given in inputs:
        paths += [given] if Path(given).exists() else sorted(glob(given, recursive=True)) or [given]
    return paths


if __name__ == "__main__":
    sys.exit(main())
