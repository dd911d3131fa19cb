#!/usr/bin/env python
"""Draw a data set as it is annotated, or as the training loader really feeds it.

    python tools/visualize_data.py --source annotation --dataset icdar2015_train --output-dir drawn
    python tools/visualize_data.py --source dataloader --config-file configs/MaskRCNNSpotter_R50.yaml \
        --output-dir drawn --num 12 --sheet DATASETS.CUSTOM "[('mine', 'photos', 'mine.json')]"

With "dataloader" the images are cropped, rotated and coloured as the network gets them, and the words are decoded from
the targets' token ids. Don't-care regions are grey; a word without a label is found but not read.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from dld_spotter import registration  # noqa: F401 (first: says in one sentence when Detectron2 is missing)

# isort: split
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.utils.logger import setup_logger
from tqdm import tqdm

from dld_spotter import Charset, load_cfg
from dld_spotter.command_line import ConfigArgumentParser, run_tool, says_mistakes
from dld_spotter.data.loader import build_text_train_loader
from dld_spotter.data.text_json import register_custom, require_dataset
from dld_spotter.image_io import ImageError, read_image
from dld_spotter.output_files import OutputFiles
from dld_spotter.results import write_image
from dld_spotter.visualizer import TextVisualizer

BASE_CONFIG = Path(__file__).resolve().parents[1] / "configs" / "Base-TextSpotter.yaml"
CELL = (360, 480)  # height and width of a picture on the sheet
GAP = 6  # pixels between them


def get_parser() -> argparse.ArgumentParser:
    parser = ConfigArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, choices=("annotation", "dataloader"))
    parser.add_config_file(required=False, help=f"(default: {BASE_CONFIG.name})")
    parser.add_argument(
        "--dataset",
        action="append",
        metavar="NAME",
        help="a registered name; give it again for more (default: DATASETS.TRAIN, else DATASETS.CUSTOM)",
    )
    parser.add_argument("--output-dir", required=True, metavar="FOLDER")
    parser.add_argument("--num", type=int, default=16, metavar="N", help="pictures (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace pictures that are there, but never a photo")
    parser.add_argument("--sheet", action="store_true", help="also put them side by side into sheet.png")
    parser.add_overrides()
    return parser


@says_mistakes
def main(argv: Sequence[str] | None = None) -> int:
    """Write the pictures; 0, or 1 where something could not be drawn."""
    args = get_parser().parse_args(argv)
    setup_logger(name="dld_spotter")
    return visualize(args)


def visualize(args: argparse.Namespace) -> int:
    cfg = load_cfg(args.config_file or BASE_CONFIG, args.opts)
    register_custom(cfg)
    cfg.DATASETS.TRAIN = tuple(args.dataset or cfg.DATASETS.TRAIN or (entry[0] for entry in cfg.DATASETS.CUSTOM))
    if args.num < 1 or not cfg.DATASETS.TRAIN:
        raise ValueError(f"nothing to draw: --num is {args.num}, the data sets are {cfg.DATASETS.TRAIN} (--dataset).")
    output = Path(args.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    files = OutputFiles(args.overwrite, photos_of(cfg) if args.overwrite else ())
    if args.sheet:
        files.check(output / "sheet.png")
    drawn, failures = [], 0
    pictures = annotated_pictures(cfg) if args.source == "annotation" else loader_pictures(cfg)
    for number, (name, picture) in enumerate(tqdm(islice(pictures, args.num), unit="picture", disable=None)):
        if isinstance(picture, ImageError):
            print(f"error: {picture}", file=sys.stderr)
            failures += 1
            continue
        path = output / f"{number:04d}_{Path(name).stem}.jpg"
        files.check(path)
        write_image(path, picture[:, :, ::-1])
        if args.sheet:
            drawn.append(fit_into_cell(picture))
    if drawn:
        write_image(output / "sheet.png", contact_sheet(drawn)[:, :, ::-1])
    return int(failures > 0)


def photos_of(cfg: CfgNode) -> Iterator[str]:
    """The photos of the data sets."""
    for name in cfg.DATASETS.TRAIN:
        require_dataset(name)
        yield from (record["file_name"] for record in DatasetCatalog.get(name))


def annotated_pictures(cfg: CfgNode) -> Iterator[tuple[str, np.ndarray | ImageError]]:
    """File name and RGB drawing (or what is wrong with the image) of each annotated image."""
    for name in cfg.DATASETS.TRAIN:
        require_dataset(name)
        for record in DatasetCatalog.get(name):
            try:
                image = read_image(record["file_name"], format="RGB")
            except ImageError as error:
                yield record["file_name"], error
                continue
            yield record["file_name"], TextVisualizer(image).draw_dataset_dict(record).get_image()


def loader_pictures(cfg: CfgNode) -> Iterator[tuple[str, np.ndarray]]:
    """File name and RGB drawing of each sample of the training loader, without end."""
    charset = Charset.load(cfg.MODEL.TEXT.CHARSET)
    for batch in build_text_train_loader(cfg):
        for sample in batch:
            image = sample["image"].permute(1, 2, 0).numpy()
            image = image if cfg.INPUT.FORMAT == "RGB" else image[:, :, ::-1]
            drawing = TextVisualizer(image, charset=charset).draw_targets(sample["instances"])
            yield sample["file_name"], drawing.get_image()


def fit_into_cell(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> a cell of the sheet, with the picture as large as it fits, on grey."""
    cell = np.full((*CELL, 3), 64, np.uint8)
    factor = min(CELL[0] / picture.shape[0], CELL[1] / picture.shape[1])
    height, width = (max(1, int(side * factor)) for side in picture.shape[:2])
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    cell[:height, :width] = cv2.resize(picture, (width, height), interpolation=interpolation)
    return cell


def contact_sheet(cells: Sequence[np.ndarray]) -> np.ndarray:
    """Cells side by side, in a grid that is about as wide as it is high."""
    columns = math.ceil(math.sqrt(len(cells)))
    height, width = CELL[0] + GAP, CELL[1] + GAP
    sheet = np.full((math.ceil(len(cells) / columns) * height - GAP, columns * width - GAP, 3), 255, np.uint8)
    for number, cell in enumerate(cells):
        y, x = number // columns * height, number % columns * width
        sheet[y : y + CELL[0], x : x + CELL[1]] = cell
    return sheet


if __name__ == "__main__":
    sys.exit(run_tool(main))
