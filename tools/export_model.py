#!/usr/bin/env python
"""Make a trained model ready to be given away: one weights file without teacher and optimiser, one YAML file.

    python tools/export_model.py --config-file configs/DLD/DLD_R50.yaml --weights output/model_final.pth \\
        --output exported
    python tools/export_model.py photos-dld --format onnx --output exported
    python tools/demo.py --config-file exported/model.yaml --input photos

With --format onnx, graphs lie beside them that ONNX Runtime and OpenVINO read without PyTorch: give the folder as the
model. They take their weights from model.pth.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from dld_spotter.command_line import ConfigArgumentParser
from dld_spotter.config import load_cfg
from dld_spotter.engine.export import export_model
from dld_spotter.engine.graph_export import export_graphs
from dld_spotter.pretrained import CARD, pretrained_folder


def build_parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = ConfigArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_config_file(help="of the training; alone it may stand without the flag, as the first argument")
    parser.add_argument("--weights", metavar="FILE", help="checkpoint of the training (default: MODEL.WEIGHTS)")
    parser.add_argument("--format", choices=("pytorch", "onnx"), default="pytorch", help="onnx: write graphs, too")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder for model.pth and model.yaml")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that holds files")
    parser.add_argument("--half", action="store_true", help="store float16: half the size, about three digits")
    parser.add_argument(
        "--fixed-scale", type=float, metavar="S", help="always read at this share of the full resolution; 0: selector"
    )
    parser.add_overrides()
    return parser


def main(argv: list[str] | None = None) -> int:
    """Export; returns 0, or 1 after a one-line error."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and not arguments[0].startswith("-"):
        arguments.insert(0, "--config-file")
    args = build_parser().parse_args(arguments)
    try:
        written = _export(args)
    except (ImportError, KeyError, OSError, ValueError) as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    for path in written:
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _export(args: argparse.Namespace) -> list[Path]:
    # Whatever device the training ran on, nothing is computed here.
    cfg = load_cfg(args.config_file, [*args.opts, "MODEL.DEVICE", "cpu"])
    weights = args.weights or cfg.MODEL.WEIGHTS
    how = {"half": args.half, "fixed_scale": args.fixed_scale, "overwrite": args.overwrite}
    written = list(export_model(cfg, weights, args.output, **how))
    folder = pretrained_folder(args.config_file[-1])
    if folder is not None:
        written.append(Path(shutil.copy(folder / CARD, args.output)))
    return written + (export_graphs(Path(args.output, "model.yaml")) if args.format == "onnx" else [])


if __name__ == "__main__":
    sys.exit(main())
