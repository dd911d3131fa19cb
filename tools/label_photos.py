#!/usr/bin/env python
"""Label photos with a trained model, the teacher: a folder of photos in, our JSON with confidences out.

    python tools/label_photos.py --input photos/ --output labels.json
    python tools/label_photos.py --input photos/ --output labels.json --sure 0.9 --doubtful 0.2

A student learns from what the teacher is sure of: words whose score is --sure or more are words; those between
--doubtful and --sure are don't care, so that the student is neither rewarded nor punished; the rest is background.
Each annotation has "score", "det_score" and "text_score". Photos that cannot be read are left out and named.

OUTPUT names photos relative to the input folder; give that folder as the image folder in DATASETS.CUSTOM.
"""

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from dld_spotter.command_line import ConfigArgumentParser, run_tool, says_mistakes
from dld_spotter.data.annotation_checks import name_problem
from dld_spotter.data.text_writer import TextJsonWriter, is_text_json
from dld_spotter.photo_sources import Photo, to_photos
from dld_spotter.predictor import TextPredictor
from dld_spotter.pretrained import DEFAULT_MODEL
from dld_spotter.results import TextResult


def build_parser() -> ConfigArgumentParser:
    """The options of the command line."""
    parser = ConfigArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--input", type=Path, required=True, metavar="FOLDER", help="folder of photos")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="JSON file to write")
    parser.add_argument("--sure", type=float, default=0.8, metavar="S", help="least score of a word (default: 0.8)")
    parser.add_argument(
        "--doubtful", type=float, default=0.3, metavar="S", help="least score of a don't-care region (default: 0.3)"
    )
    parser.add_argument("--recursive", action="store_true", help="label the photos of subfolders, too")
    parser.add_config_file(required=False, help=f"the teacher (default: {DEFAULT_MODEL})")
    parser.add_overrides()
    return parser


@says_mistakes
def main(argv: list[str] | None = None) -> int:
    """Label; returns 0, or 1 if anything failed."""
    args = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    return int(label(args) > 0)


def label(args: argparse.Namespace) -> int:
    """Write the file; returns how many photos are not in it."""
    if not 0 <= args.doubtful <= args.sure <= 1:
        raise ValueError(f"--doubtful {args.doubtful} and --sure {args.sure} must lie in [0, 1], in this order.")
    if not args.input.is_dir():
        raise ValueError(f"--input {args.input} is no folder.")
    if args.output.exists() and not is_text_json(args.output):  # before hours of reading
        raise ValueError(f"{args.output} is there already, and is no file in our format; give another --output.")
    # What is doubtful must be found: the model's own threshold is for readers, not for students.
    opts = [*args.opts, "TEST.TEXT.SCORE_THRESHOLD", args.doubtful]
    predictor = TextPredictor(args.config_file or DEFAULT_MODEL, opts=opts)
    found = list(to_photos(args.input, args.recursive))
    photos = list(usable(found, args.input))
    labelled = words = doubtful = 0
    with TextJsonWriter(args.output, {"teacher": args.config_file or DEFAULT_MODEL, "sure": args.sure}) as writer:
        try:
            results = tqdm(predictor.stream(photos), total=len(photos), unit="photo")
            for photo, result in zip(photos, results, strict=True):
                if result.error is not None:
                    print(f"error: {result.error}", file=sys.stderr)
                    continue
                sure = add(writer, relative_name(photo, args.input), result, args.sure)
                labelled, words, doubtful = labelled + 1, words + sure, doubtful + len(result.words) - sure
        except KeyboardInterrupt:
            print("error: interrupted; what was labelled until then is kept.", file=sys.stderr)
    print(f"{args.output}: {words} words and {doubtful} don't-care regions in {labelled} photos")
    return len({photo.source for photo in found}) - labelled


def usable(photos: Iterable[Photo], folder: Path) -> Iterator[Photo]:
    """The photos that our JSON can name: of several pages the first, which is what training reads."""
    for photo in photos:
        problem = name_problem(relative_name(photo, folder))
        if problem is not None:
            print(f"error: {photo.file_name!a}: {problem[1]} Left out.", file=sys.stderr)
        elif photo.page in (None, 1):
            yield photo
        elif photo.page == 2:
            print(f"warning: {photo.file_name}: only the first of its pages is labelled.", file=sys.stderr)


def relative_name(photo: Photo, folder: Path) -> str:
    return Path(photo.source).relative_to(folder).as_posix()


def add(writer: TextJsonWriter, name: str, result: TextResult, sure: float) -> int:
    """Append a photo; returns how many words the teacher is sure of."""
    image_id = writer.add_image({"file_name": name, "height": result.height, "width": result.width})
    for word in result.words:
        writer.add_annotation(
            {
                "image_id": image_id,
                "segmentation": [[value for point in word.polygon for value in point]],
                "text": word.text if word.score >= sure else "",
                "ignore": int(word.score < sure),
                "score": word.score,
                "det_score": word.det_score,
                "text_score": word.text_score,
            }
        )
    return sum(word.score >= sure for word in result.words)


if __name__ == "__main__":
    sys.exit(run_tool(main))
