#!/usr/bin/env python
"""Make a trained model ready to be given away: one weights file without teacher and optimiser, one YAML file.

    python tools/export_model.py --config-file configs/DLD/DLD_R50.yaml --weights output/model_final.pth \\
        --output exported
    python tools/demo.py --config-file exported/model.yaml --input photos
"""

from __future__ import annotations

import argparse
import sys

from dld_spotter.command_line import ConfigArgumentParser
from dld_spotter.config import load_cfg
from dld_spotter.engine.export import export_model


def build_parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = ConfigArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_config_file(help="of the training")
    parser.add_argument("--weights", required=True, metavar="FILE", help="checkpoint of the training")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder for model.pth and model.yaml")
    parser.add_argument("--half", action="store_true", help="store float16: half the size, about three digits")
    parser.add_argument(
        "--fixed-scale", type=float, metavar="S", help="always read at this share of the full resolution; 0: selector"
    )
    parser.add_overrides()
    return parser


def main(argv: list[str] | None = None) -> int:
    """Export; returns 0, or 1 after a one-line error."""
    args = build_parser().parse_args(argv)
    try:
        # Whatever device the training ran on, nothing is computed here.
        cfg = load_cfg(args.config_file, [*args.opts, "MODEL.DEVICE", "cpu"])
        written = export_model(cfg, args.weights, args.output, half=args.half, fixed_scale=args.fixed_scale)
    except (KeyError, OSError, ValueError) as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    for path in written:
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
