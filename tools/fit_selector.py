#!/usr/bin/env python
"""Fit a resolution selector to a student that stays as it is: for a first selector, or for another gamma.

The images are read once at every scale, and one selector learns to foresee what each scale loses. For a gamma its
logits are shifted, so that many gammas cost no more than one.

    python tools/fit_selector.py --config-file configs/DLD/DLD_R50.yaml --data-set totaltext_train \\
        --gammas 0.1 0.3 --output output/selector MODEL.WEIGHTS output/model_final.pth

What a scale loses is how far the student's reading at ground-truth boxes is from the teacher's (L_acc of the paper),
or with --by spotting the share of words that it misses, misreads or makes up. The latter counts detection, too, needs
no teacher, and is the one for a student with MODEL.PP_LCNET_READER.FULL_RESOLUTION.

MODEL.WEIGHTS: a DLD checkpoint, whose student keeps its weights, or a plain spotter's, which serves as student and
teacher. MODEL.DLD.TEACHER_WEIGHTS: the teacher's own, for a student that was trained without one.
OUTPUT/gamma0.1.pth can be MODEL.WEIGHTS of a training, of an evaluation and of export_model.py.

Some hundreds of images are needed: the selector that comes with the project was fitted to 720, and judged by 80 more.
Where one scale for all would lose less on the held-out images than the selector's choice, a warning says so.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MapDataset
from detectron2.utils.env import seed_all_rng
from detectron2.utils.logger import setup_logger

from dld_spotter import Charset, load_cfg
from dld_spotter.command_line import ConfigArgumentParser, run_tool, says_mistakes
from dld_spotter.data.dataset_mapper import TextDatasetMapper
from dld_spotter.data.loader import build_record_loader
from dld_spotter.data.text_json import register_custom, require_dataset
from dld_spotter.engine import Trainer
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.engine.selector_fitting import (
    FitOptions,
    advise,
    chosen_scales,
    describe_choice,
    fit_selector,
    measure_scale_losses,
)
from dld_spotter.engine.spotting_errors import measure_spotting_errors
from dld_spotter.engine.weights_file import read_checkpoint, write_whole
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.evaluation.text_evaluator import registered_truth
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.modeling.dld.selector.backbone_selector import BackboneSelector
from dld_spotter.modeling.dld.selector.regression import ScaleLosses, choose_at
from dld_spotter.modeling.dld.selector.selector_network import build_resolution_selector

FEW = 200  # images; a fit to fewer is warned of


def get_parser() -> argparse.ArgumentParser:
    parser = ConfigArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_config_file(help="a DLDSpotter with several scales")
    parser.add_argument("--data-set", required=True, metavar="NAME", help="registered; its words are read")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--gammas", type=float, nargs="+", metavar="G", help="(default: MODEL.DLD.GAMMA)")
    parser.add_argument(
        "--among",
        type=float,
        nargs="+",
        action="append",
        default=[],
        metavar="S",
        help="another selector, of these scales only: OUTPUT/gammaG_S-...-S.pth, for MODEL.DLD.SCALES (S, ..., S) in "
        "this order; may be given more than once",
    )
    parser.add_argument(
        "--by", choices=("reading", "spotting"), default="reading", help="what a scale loses (default: reading)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    parser.add_argument("--held-out", type=float, default=0.1, metavar="SHARE", help="to judge by (default: 0.1)")
    parser.add_argument("--iterations", type=int, default=800, metavar="N", help="of 16 images (default: 800)")
    parser.add_argument("--batch-size", type=int, default=4, metavar="N", help="images read together (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_overrides()
    return parser


@says_mistakes
def main(argv: Sequence[str] | None = None) -> int:
    """Fit and save; 0, or 1 after one sentence on what is wrong."""
    args = get_parser().parse_args(argv)
    setup_logger(name="dld_spotter")
    fit(args)
    return 0


def fit(args: argparse.Namespace) -> None:
    """Everything of the command."""
    cfg = load_cfg(args.config_file, args.opts)
    register_custom(cfg)
    require_dataset(args.data_set)
    model = Trainer.build_model(cfg).eval()
    if not isinstance(model, DLDSpotter) or model.selector is None:
        raise ValueError(
            "there is no selector: MODEL.META_ARCHITECTURE must be DLDSpotter, MODEL.DLD.SCALES more "
            "than one scale, and MODEL.DLD.SELECTION 'selector'."
        )
    load_weights(cfg, args, model)
    records = DatasetCatalog.get(args.data_set)[: args.limit]
    held_out = max(1, round(args.held_out * len(records)))
    if len(records) < 2 or not 0 < args.held_out < 1:
        raise ValueError("--held-out must lie between 0 and 1, and the data set must have two images or more.")
    losses = load_or_measure(cfg, args, model, records)
    images, fitted = MapDataset(records, TextDatasetMapper(cfg, is_train=False)), len(records) - held_out
    if fitted < FEW:
        warn(f"a fit to {fitted} images: some hundreds are needed to learn which images need which scale.")
    seed_all_rng(args.seed)
    selector = build_resolution_selector(cfg).to(model.device)
    if isinstance(selector, BackboneSelector):
        selector.start_from(model.student)
    costs = model.costs.cpu()
    options = FitOptions(args.iterations, seed=args.seed, workers=cfg.DATALOADER.NUM_WORKERS)
    fit_selector(selector, images, losses.values(0.0, costs)[:fitted], model, options)
    judged = range(fitted, len(records))
    held_out_images, held_out_losses = [images[i] for i in judged], losses.select(judged)
    for among in [None, *(scale_indices(model.scales, scales) for scales in args.among)]:
        columns = list(among or range(len(model.scales)))
        scales = [model.scales[i] for i in columns]
        read = ScaleLosses(held_out_losses.lost[:, columns], held_out_losses.units)
        for gamma in args.gammas or [cfg.MODEL.DLD.GAMMA]:
            model.selector = choose_at(selector, gamma, model.costs, among)
            chosen = chosen_scales(model, held_out_images)
            print("Held out:", describe_choice(chosen, read, gamma, costs[columns], scales))
            if advice := advise(chosen, read, gamma, costs[columns], scales):
                warn(f"gamma {gamma:g}: {advice}")
            name = f"gamma{gamma:g}" + ("_" + "-".join(f"{scale:g}" for scale in scales) if among else "")
            TextCheckpointer(model, str(args.output)).save(name, tag=False)


def warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def load_weights(cfg: CfgNode, args: argparse.Namespace, model: DLDSpotter) -> None:
    """Give student and teacher their weights; the selector starts afresh.

    Raises:
        ValueError: there are none, or none for a part that is measured.
    """
    if not cfg.MODEL.WEIGHTS:
        raise ValueError("there is no student to measure: add MODEL.WEIGHTS FILE.")
    checkpointer = TextCheckpointer(model, fresh=("selector.",))
    checkpointer.load(cfg.MODEL.WEIGHTS)
    if model.teacher is None:
        return
    if cfg.MODEL.DLD.TEACHER_WEIGHTS:
        TextCheckpointer(model.teacher).load(cfg.MODEL.DLD.TEACHER_WEIGHTS)
    elif args.by == "reading" and any(name.startswith("teacher.") for name in checkpointer.untouched):
        raise ValueError(f"{cfg.MODEL.WEIGHTS} holds no teacher: set MODEL.DLD.TEACHER_WEIGHTS, or use --by spotting.")


def scale_indices(scales: Sequence[float], wanted: Sequence[float]) -> list[int]:
    """Where the wanted scales stand.

    Raises:
        ValueError: one of them is no candidate.
    """
    for scale in wanted:
        if scale not in scales:
            raise ValueError(f"--among: {scale:g} is none of MODEL.DLD.SCALES {tuple(scales)}; leave it out or add it.")
    return [scales.index(scale) for scale in wanted]


def load_or_measure(cfg: CfgNode, args: argparse.Namespace, model: DLDSpotter, records: Sequence[dict]) -> ScaleLosses:
    """The losses that an earlier run with the same weights and images has kept, or else measured ones."""
    files = [Path(file) for file in (cfg.MODEL.WEIGHTS, cfg.MODEL.DLD.TEACHER_WEIGHTS) if file]
    key = {
        "weights": [[str(file), file.stat().st_mtime_ns if file.is_file() else 0] for file in files],
        "data": [args.data_set, len(records), cfg.INPUT.MIN_SIZE_TEST],
        "scales": list(model.scales),
        "by": [args.by] if args.by == "reading" else [args.by, asdict(Protocol.from_cfg(cfg))],
    }
    path = args.output / "scale_losses.pth"
    if path.is_file():
        kept = read_checkpoint(path, mapped=False)  # the file may be written again below
        if kept.get("key") == key:
            return ScaleLosses(kept["lost"], kept["units"])
    mapped = MapDataset(records, TextDatasetMapper(cfg, is_train=False, keep_annotations=True))
    batches = [group.tolist() for group in torch.arange(len(records)).split(args.batch_size)]
    loader = build_record_loader(mapped, batches, cfg.DATALOADER.NUM_WORKERS)
    if args.by == "reading":
        losses = measure_scale_losses(model, loader, len(batches))
    else:
        spotting = Charset.load(cfg.MODEL.TEXT.CHARSET), Protocol.from_cfg(cfg)
        losses = measure_spotting_errors(model, loader, registered_truth(args.data_set), *spotting, len(batches))
    args.output.mkdir(parents=True, exist_ok=True)
    content = {"key": key, "lost": losses.lost, "units": losses.units}
    write_whole(path, lambda stream: torch.save(content, stream))
    return losses


if __name__ == "__main__":
    sys.exit(run_tool(main))
