#!/usr/bin/env python
"""Score saved predictions against a ground truth; no model is needed.

    python tools/evaluate_json.py --predictions text_results.json --ground-truth test.json
    python tools/evaluate_json.py --predictions submission.zip --ground-truth gt-icdar2015.zip \
        --lexicon none strong=strong_lexicon.zip generic=GenericVocabulary.txt

Predictions: our JSON, AdelaiDet's text_results.json, or an ICDAR submission (zip or folder of text files).
Ground truth: our JSON, the competitions' text files (zip or folder), or the name of a registered data set.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dld_spotter.command_line import run_tool, says_mistakes
from dld_spotter.evaluation.bootstrap import estimate, hmean_parts, resample_images
from dld_spotter.evaluation.calibration import JudgedWords, describe, fit_calibration, judge_words
from dld_spotter.evaluation.ground_truth import GroundTruth, read_ground_truth
from dld_spotter.evaluation.icdar import LAYOUTS
from dld_spotter.evaluation.lexicon import ImageLexicons, Lexicon, load_lexicon
from dld_spotter.evaluation.protocol import LEXICON_RULES, LIKELIHOOD_SCORE, Protocol
from dld_spotter.evaluation.reliability_plot import draw_reliability
from dld_spotter.evaluation.scoring import TASKS, count_images, evaluate_words
from dld_spotter.evaluation.submission import read_predictions
from dld_spotter.output_files import check_figure, check_report
from dld_spotter.pretrained import CONFIG
from dld_spotter.runtime.settings import FILE as GRAPHS
from dld_spotter.runtime.settings import GraphSettings


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", required=True, metavar="PATH", help="what a spotter read")
    parser.add_argument("--ground-truth", required=True, metavar="PATH_OR_NAME", help="what there is to read")
    parser.add_argument(
        "--lexicon",
        nargs="+",
        default=["none"],
        metavar="NAME_OR_PATH",
        help="'none', a word list, a folder or zip with a list for each image, NAME=PATH, or for a registered data "
        "set a NAME such as strong, weak, generic, full (default: none)",
    )
    parser.add_argument(
        "--lexicon-rule",
        default="nearest",
        choices=LEXICON_RULES,
        help="nearest: every word becomes the list's nearest; limited: only within --lexicon-max-distance; weighted: "
        "by the weighted edit distance of the Mask TextSpotter papers, which leaves out detections far from the list "
        "unless 'generic' is in its name; likelihood: the word that a CTC recogniser takes for likeliest, of "
        "predictions with 'columns' (default: %(default)s)",
    )
    parser.add_argument(
        "--lexicon-max-distance", type=int, default=1, metavar="EDITS", help="for 'limited' (default: %(default)s)"
    )
    parser.add_argument(
        "--lexicon-score-threshold",
        type=float,
        default=LIKELIHOOD_SCORE,
        metavar="S",
        help="for 'likelihood' (default: %(default)s)",
    )
    parser.add_argument("--iou", type=float, default=0.5, help="must be exceeded (default: %(default)s)")
    parser.add_argument("--word-spotting", action="store_true", help="only word spotting; else end-to-end as well")
    parser.add_argument("--case-sensitive", action="store_true")
    parser.add_argument(
        "--min-word-length", type=int, default=3, metavar="N", help="of word spotting (default: %(default)s)"
    )
    parser.add_argument("--score-threshold", type=float, default=0.0, help="(default: %(default)s)")
    parser.add_argument("--layout", choices=LAYOUTS, help="of lines in text files (default: found out)")
    parser.add_argument(
        "--intervals",
        action="store_true",
        help="add 95%% intervals of the harmonic means (bootstrap over the images)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="how far scores and confidences are shares of right words: print it, and write the reliability plot here",
    )
    parser.add_argument(
        "--fit-calibration",
        type=Path,
        metavar="FOLDER",
        help="fit the confidence to the scores of these predictions, "
        "and write it into the folder of the exported model that read them",
    )
    parser.add_argument("--json", metavar="FILE", help="write the numbers and the protocol here")
    return parser


@says_mistakes
def main(argv: Sequence[str] | None = None) -> int:
    """Print the scores; 0, or 1 after one sentence on what is wrong with the input."""
    args = get_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    evaluate(args)
    return 0


def evaluate(args: argparse.Namespace) -> None:
    check_report(args.json, ("predictions", "ground_truth"))
    if args.calibration:
        check_figure(args.calibration)
    protocol = Protocol(
        iou_threshold=args.iou,
        case_sensitive=args.case_sensitive,
        min_word_length=args.min_word_length,
        score_threshold=args.score_threshold,
        lexicon_rule=args.lexicon_rule,
        lexicon_max_distance=args.lexicon_max_distance,
        lexicon_score_threshold=args.lexicon_score_threshold,
    )
    truth, known_lexicons = find_ground_truth(args.ground_truth, args.layout)
    lexicons = dict(find_lexicon(entry, known_lexicons) for entry in args.lexicon)
    if len(lexicons) < len(args.lexicon):
        raise ValueError(f"two of the lexicons {args.lexicon} have one name; tell them apart with NAME=PATH.")
    images = truth.pair(read_predictions(args.predictions, args.layout))
    tasks = ["word_spotting"] if args.word_spotting else TASKS
    evaluation = evaluate_words(images, protocol, lexicons, tasks)
    print(f"{args.predictions} against {args.ground_truth}")
    print(evaluation.table())
    intervals = hmean_intervals(count_images(images, protocol, lexicons, tasks)) if args.intervals else {}
    for task, (low, high) in intervals.items():
        print(f"95% interval of the hmean of {task}: [{low:.4f}, {high:.4f}]")
    if args.calibration or args.fit_calibration:
        calibrate(judge_words(images, protocol), args.calibration, args.fit_calibration)
    for warning in evaluation.warnings():
        logging.warning(warning)
    if args.json:
        report = {"predictions": args.predictions, "ground_truth": args.ground_truth, **evaluation.to_dict()}
        report |= {"hmean_intervals": intervals} if intervals else {}
        Path(args.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def calibrate(words: JudgedWords, plot: Path | None, folder: Path | None) -> None:
    """Describe the calibration of words that were read, and fit one; what is None is left out."""
    print(f"calibration: {len(words.right)} words that count, {words.right.sum()} of them right")
    if plot:
        found = describe(words)
        for name, own in found.items():
            print(
                f"expected calibration error of the {name}: {own.error.value:.4f}, 95% interval "
                f"[{own.error.low:.4f}, {own.error.high:.4f}]"
            )
        draw_reliability(found, plot)
    if folder:
        print(f"fitted: {fit_calibration(words.scores, words.right, score_powers(folder)).write(folder)}")


def score_powers(folder: Path) -> Sequence[float]:
    """TEST.TEXT.SCORE_POWERS of an exported model.

    Raises:
        FileNotFoundError: it is no folder of one.
    """
    if (folder / GRAPHS).is_file():
        return GraphSettings.read(folder)["TEST.TEXT.SCORE_POWERS"]
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"--fit-calibration {folder} has no {CONFIG}; give the folder of an exported model.")
    from dld_spotter.config import load_cfg

    return load_cfg(os.fspath(folder / CONFIG)).TEST.TEXT.SCORE_POWERS


def hmean_intervals(counts: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """The 95% interval of each task's harmonic mean over 1,000 resamples of the images.

    Args:
        counts: as ``count_images`` gives them.
    """
    draws = resample_images(len(next(iter(counts.values()))))
    estimates = {task: estimate([hmean_parts(own)], draws) for task, own in counts.items()}
    return {task: (found.low, found.high) for task, found in estimates.items()}


def find_ground_truth(path_or_name: str, layout: str | None) -> tuple[GroundTruth, dict[str, str]]:
    """The annotated words, and the paths of the lexicons that are known for them."""
    if os.path.exists(path_or_name) or os.path.splitext(path_or_name)[1] or os.sep in path_or_name:
        return read_ground_truth(path_or_name, layout), {}
    from dld_spotter import registration  # noqa: F401 (first: says in one sentence when Detectron2 is missing)

    # isort: split
    from detectron2.data import MetadataCatalog

    from dld_spotter.data.text_json import require_dataset

    require_dataset(path_or_name)
    metadata = MetadataCatalog.get(path_or_name)
    return read_ground_truth(metadata.json_file, layout), dict(metadata.get("lexicons", {}))


def find_lexicon(entry: str, known: dict[str, str]) -> tuple[str, Lexicon | ImageLexicons | None]:
    """(name, word list) of one --lexicon: "none", a known name, NAME=PATH, or a path."""
    if entry == "none":
        return entry, None
    name, separator, path = entry.partition("=")
    if separator and not os.path.exists(entry):
        return name, load_lexicon(path)
    if entry in known:
        return entry, load_lexicon(known[entry])
    if not os.path.exists(entry):
        raise ValueError(
            f"the lexicon '{entry}' is neither a path nor known here ({', '.join(known) or 'no names'}); give "
            f"{entry}=PATH, the path of a word list or of a folder with one list an image."
        )
    return Path(entry).stem, load_lexicon(entry)


if __name__ == "__main__":
    sys.exit(run_tool(main))
