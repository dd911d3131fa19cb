#!/usr/bin/env python
"""Train or evaluate a text spotter.

    python projects/DLD/train_net.py --config-file configs/MaskRCNNSpotter_R50.yaml --num-gpus 8
    python projects/DLD/train_net.py --config-file configs/MaskRCNNSpotter_R50.yaml --num-gpus 8 --resume
    python projects/DLD/train_net.py --config-file configs/MaskRCNNSpotter_R50.yaml configs/Light.yaml
    python projects/DLD/train_net.py --config-file configs/MaskRCNNSpotter_R50.yaml --eval-only \\
        MODEL.WEIGHTS output/model_best.pth

On a machine without GPUs, --num-gpus N starts N processes on the CPU, which talk through gloo.

The terminal shows progress and results; OUTPUT_DIR/log.txt has everything. The exit code is 0, or 1 after one sentence
on what is wrong.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from dld_spotter import registration  # noqa: F401 (first: says in one sentence when Detectron2 is missing)

# isort: split
from detectron2.config import CfgNode
from detectron2.engine import default_argument_parser, default_setup, launch
from detectron2.utils import comm

from dld_spotter.command_line import ConfigArgumentParser
from dld_spotter.config import load_cfg
from dld_spotter.data.text_json import register_custom
from dld_spotter.engine import TextCheckpointer, Trainer
from dld_spotter.engine.recipe import require_recipe
from dld_spotter.engine.terminal import describe_mistake, set_up_loggers

logger = logging.getLogger("dld_spotter.train_net")


def setup(args: argparse.Namespace) -> CfgNode:
    """The frozen config of the command line; data sets, loggers and OUTPUT_DIR are ready afterwards."""
    cfg = load_cfg(args.config_file, args.opts)
    if not args.eval_only:
        require_recipe(args.config_file, args.opts)
    register_custom(cfg)
    cfg.freeze()
    set_up_loggers(cfg.OUTPUT_DIR, comm.get_rank())
    # Without the file: Detectron2 would write it into the log, where the whole config follows anyway.
    default_setup(cfg, argparse.Namespace(**{**vars(args), "config_file": ""}))
    logger.info("Config files: %s", " ".join(args.config_file or ["(none)"]))
    logger.info("Config, model and details are in %s/log.txt.", cfg.OUTPUT_DIR)
    return cfg


def evaluate(cfg: CfgNode, resume: bool) -> dict:
    """Results of MODEL.WEIGHTS, or with ``resume`` of OUTPUT_DIR's latest checkpoint, on DATASETS.TEST."""
    model = Trainer.build_model(cfg)
    checkpointer = TextCheckpointer(model, cfg.OUTPUT_DIR, complete=True)
    if not cfg.MODEL.WEIGHTS and not (resume and checkpointer.has_checkpoint()):
        raise ValueError(
            f"--eval-only needs weights: add MODEL.WEIGHTS FILE, or --resume for the latest in {cfg.OUTPUT_DIR}."
        )
    checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=resume)
    return Trainer.test(cfg, model)


def main(args: argparse.Namespace) -> dict | None:
    """What each process does; returns the last results, if there are any."""
    cfg = setup(args)
    try:
        if args.eval_only:
            return evaluate(cfg, args.resume)
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        return trainer.train()
    except Exception:
        logger.exception("Stopped:")  # into the log file
        raise


def get_parser() -> ConfigArgumentParser:
    """Detectron2's arguments; ``--config-file`` takes several files."""
    parser = ConfigArgumentParser(
        parents=[default_argument_parser()],
        add_help=False,
        conflict_handler="resolve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_config_file(required=False)
    return parser


def run(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and start the processes; 0, or 1 after one sentence on what is wrong."""
    args = get_parser().parse_args(argv)
    try:
        launch(
            main,
            args.num_gpus,
            num_machines=args.num_machines,
            machine_rank=args.machine_rank,
            dist_url=args.dist_url,
            args=(args,),
        )
    except Exception as error:
        mistake = describe_mistake(error)
        if mistake is None:
            raise
        print(f"error: {mistake}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run())
