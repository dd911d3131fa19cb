#!/usr/bin/env python
"""The backbone of a PP-OCRv6 text detector, from its ONNX file to a checkpoint for MODEL.WEIGHTS.

The Python package rapidocr 3.10 brings the small detector's file along, in its folder models. Only this tool needs the
package onnx; what it writes needs none. FPN and heads, which are not in the checkpoint, start afresh.

    python tools/convert_pp_ocr.py PP-OCRv6_det_small.onnx pp_lcnet.pth --source "rapidocr 3.10.0"
    python projects/DLD/train_net.py --config-file configs/MaskRCNNSpotter_PPLCNet.yaml MODEL.WEIGHTS pp_lcnet.pth
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from detectron2.layers import ShapeSpec
from torch import nn

from dld_spotter.config import load_cfg
from dld_spotter.modeling import PPLCNetV4

PREFIX = "backbone.bottom_up."
NOTICE = (
    "Backbone of a PP-OCRv6 text detector, copyright its authors (Baidu, PaddleOCR), Apache License 2.0, "
    "https://www.apache.org/licenses/LICENSE-2.0. Changed: taken out of the detector and stored under other names."
)
# On outputs of up to about 20.
TOLERANCE = 1e-3


class Convolution(NamedTuple):
    """One convolution of a graph: the name of its input, its weight and its bias."""

    input: str
    weight: np.ndarray
    bias: np.ndarray | None


def build_parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("onnx", metavar="ONNX", type=Path, help="text detector of PP-OCRv6")
    parser.add_argument("output", metavar="OUTPUT", type=Path, help="checkpoint to write, .pth")
    parser.add_argument("--source", required=True, help="where the ONNX file is from, with its version; is noted")
    parser.add_argument("--half", action="store_true", help="store float16: half the size, about three digits")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="config options: MODEL.PP_LCNET.KEY VALUE")
    return parser


def fill_backbone(backbone: PPLCNetV4, convolutions: list[Convolution]) -> None:
    """Copy weights and biases, in the order in which both networks compute them; the detector's others follow.

    Raises:
        ValueError: the graph has no convolutions beyond the backbone's, or one of another shape.
    """
    own = [(name, module) for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)]
    if len(convolutions) <= len(own):
        raise ValueError(
            f"{len(convolutions)} convolutions, but the backbone alone has {len(own)}; is it a PP-OCRv6 detector?"
        )
    for index, ((name, module), found) in enumerate(zip(own, convolutions, strict=False)):
        shapes = [None if value is None else tuple(value.shape) for value in (found.weight, found.bias)]
        expected = [tuple(module.weight.shape), tuple(module.bias.shape)]
        if shapes != expected:
            raise ValueError(
                f"convolution {index} has weight and bias of shape {shapes}, our '{name}' has {expected}; is it a "
                "detector of another size? Set MODEL.PP_LCNET accordingly (--opts)."
            )
        with torch.no_grad():
            module.weight.copy_(torch.tensor(found.weight))
            module.bias.copy_(torch.tensor(found.bias))


def stage_tensors(backbone: PPLCNetV4, convolutions: list[Convolution]) -> list[str]:
    """The graph's names of the backbone's outputs: each is what the convolution after the stage takes."""
    last, names = 0, []
    for part in (backbone.stem, *backbone.stages.values()):
        last += sum(isinstance(module, nn.Conv2d) for module in part.modules())
        names.append(convolutions[last].input)
    return names[1:]


def read_convolutions(graph) -> list[Convolution]:
    """The convolutions of an ONNX graph in its order; a bias may be added by a node of its own."""
    from onnx.numpy_helper import to_array

    constants = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    addends = {node.input[0]: constants.get(node.input[1]) for node in graph.node if node.op_type == "Add"}
    found = []
    for node in graph.node:
        if node.op_type != "Conv" or node.input[1] not in constants:
            continue
        bias = constants.get(node.input[2]) if len(node.input) > 2 else addends.get(node.output[0])
        found.append(Convolution(node.input[0], constants[node.input[1]], None if bias is None else bias.ravel()))
    return found


def largest_difference(backbone: PPLCNetV4, model, tensors: Iterable[str], size: tuple[int, int]) -> float:
    """Between the backbone's outputs and the ONNX graph's ``tensors``, on noise of a size that 32 does not divide."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    (name,) = (value.name for value in model.graph.input)
    part = onnx.utils.Extractor(model).extract_model([name], list(tensors))
    expected = ReferenceEvaluator(part).run(None, {name: image.numpy()})
    with torch.no_grad():
        outputs = backbone.eval()(image).values()
    return max(
        np.abs(output.numpy() - value).max() if output.shape == value.shape else np.inf
        for output, value in zip(outputs, expected, strict=True)
    )


def convert(path: Path, source: str, opts: list[str], *, half: bool = False) -> tuple[dict, float]:
    """The content of the checkpoint, and the largest difference between the outputs of both networks.

    Raises:
        ImportError: the package onnx is missing.
        ValueError: the file is no ONNX graph that begins with this backbone.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError("reading an ONNX file needs the package onnx: run `pip install onnx`.") from error
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # the reader's own kinds of error are not public
        raise ValueError("cannot be read as ONNX; it may be damaged or not completely copied.") from error
    backbone = PPLCNetV4(load_cfg(None, [*opts, "MODEL.DEVICE", "cpu"]), ShapeSpec(channels=3))
    convolutions = read_convolutions(model.graph)
    fill_backbone(backbone, convolutions)
    difference = largest_difference(backbone, model, stage_tensors(backbone, convolutions), (75, 101))
    if not difference < TOLERANCE:
        raise ValueError(
            f"with these weights our outputs differ from the graph's by {difference:.2g}; nothing is written."
        )
    weights = {PREFIX + name: value.half() if half else value for name, value in backbone.state_dict().items()}
    origin = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "source": source, "notice": NOTICE}
    return {"model": weights, "origin": origin}, difference


def main(argv: list[str] | None = None) -> int:
    """Convert; returns 0, or 1 after a one-line error."""
    args = build_parser().parse_args(argv)
    try:
        checkpoint, difference = convert(args.onnx, args.source, args.opts, half=args.half)
        torch.save(checkpoint, args.output)
    except (ImportError, KeyError, OSError, ValueError) as error:
        where = f"{args.onnx}: " if isinstance(error, ValueError) else ""
        print(f"error: {where}{error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    size = args.output.stat().st_size / 1e6
    rounding = " before rounding" if args.half else ""
    print(f"{args.output}: {size:.1f} MB; outputs differ from the ONNX graph's by at most {difference:.1g}{rounding}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
