#!/usr/bin/env python
"""The backbone of a PP-OCRv6 text detector or recogniser, from its ONNX file to a checkpoint for MODEL.WEIGHTS.

The Python package rapidocr 3.10 brings the small ones' files along, in its folder models. Only this tool needs the
packages onnx and onnxruntime; what it writes needs none. What is not in the checkpoint, such as FPN and heads, starts
afresh.

    python tools/convert_pp_ocr.py PP-OCRv6_det_small.onnx pp_lcnet.pth --source "rapidocr 3.10.0"
    python projects/DLD/train_net.py --config-file configs/MaskRCNNSpotter_PPLCNet.yaml MODEL.WEIGHTS pp_lcnet.pth

With --recogniser all of a text recogniser is converted, for ROI_TEXT_HEAD.NAME "CTCTextHead", with the rows of its
classifier that the charset names. It reads without any training:

    python tools/convert_pp_ocr.py PP-OCRv6_rec_small.onnx recogniser.pth --source "rapidocr 3.10.0" --recogniser \\
        MODEL.TEXT.CHARSET latin

With --reader its convolutions alone, for ROI_TEXT_HEAD.NAME "CropTextHead", whose recurrent layers start afresh:

    python tools/convert_pp_ocr.py PP-OCRv6_rec_small.onnx reader.pth --source "rapidocr 3.10.0" --reader \\
        --opts MODEL.PIXEL_MEAN "[123.675, 116.28, 103.53]" MODEL.PIXEL_STD "[58.395, 57.12, 57.375]"
    python tools/swap_reader.py dld_spotter/pretrained/synthetic/model.pth reader.pth spotter.pth
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from torch import nn

from dld_spotter.command_line import run_tool
from dld_spotter.config import load_cfg
from dld_spotter.data.charset import Charset
from dld_spotter.engine.pp_ocr import classifier_rows, fill_classifier, fill_neck, logits_name
from dld_spotter.engine.weights_file import write_whole
from dld_spotter.modeling import PPLCNetV4
from dld_spotter.modeling.recognition.crop_recogniser import CropPooler, CropTextHead
from dld_spotter.modeling.recognition.ctc_crop_recogniser import CTCTextHead
from dld_spotter.modeling.recognition.roi_feature_recogniser import build_text_head

PREFIX = "backbone.bottom_up."
READER_PREFIX = "roi_heads.text_head."
# The reader's recurrent layers, which the graph has not: training draws them.
FRESH = "encoder.context."
NOTICE = (
    "Backbone of a PP-OCRv6 text {kind}, copyright its authors (Baidu, PaddleOCR), Apache License 2.0, "
    "https://www.apache.org/licenses/LICENSE-2.0. Changed: taken out of the {kind} and stored under other names{more}."
)
# Width of the neck of PP-OCRv6's small recogniser.
NECK_SIZE = 120
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
    parser.add_argument("--reader", action="store_true", help="the file is a text recogniser's, for CropTextHead")
    parser.add_argument("--recogniser", action="store_true", help="convert all of a text recogniser, for CTCTextHead")
    parser.add_argument("--half", action="store_true", help="store float16: half the size, about three digits")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="config options: MODEL.PP_LCNET.KEY VALUE")
    return parser


class ReaderBackbone(nn.Module):
    """The parts of ``CropTextHead`` that come from a recogniser, as one network."""

    def __init__(self, pooler: CropPooler, encoder: nn.Module, decoder: nn.Module | None = None):
        super().__init__()
        self.pooler, self.encoder = pooler, encoder
        if decoder is not None:
            self.decoder = decoder

    @property
    def parts(self) -> list[nn.Module]:
        """Stem and stages in the order in which they compute."""
        return [self.pooler.stem, *self.pooler.stages, *self.encoder.stages]

    def forward(self, image: torch.Tensor) -> dict[int, torch.Tensor]:
        """What each stage hands on; in the graph, the last one's output is pooled first."""
        outputs = {}
        for index, part in enumerate(self.parts):
            image = outputs[index] = part(image)
        outputs[index] = nn.functional.avg_pool2d(image, (3, 2))
        del outputs[0]
        return outputs

    def take_our_pixels(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Make of a network that wants pixels / 127.5 - 1 one that wants (pixels - mean) / deviation.

        p / 127.5 - 1 = x deviation / 127.5 + (mean / 127.5 - 1); only at the border, whose zeros mean something else
        now, does the result change.
        """
        conv = self.pooler.stem.conv1
        with torch.no_grad():
            conv.bias += (conv.weight * (mean / 127.5 - 1)[:, None, None]).sum(dim=(1, 2, 3))
            conv.weight *= (deviation / 127.5)[:, None, None]


def fill_backbone(backbone: nn.Module, convolutions: list[Convolution]) -> None:
    """Copy weights and biases, in the order in which both networks compute them; the detector's others follow.

    Raises:
        ValueError: the graph has no convolutions beyond the backbone's, or one of another shape.
    """
    own = [(name, module) for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)]
    if len(convolutions) <= len(own):
        raise ValueError(f"{len(convolutions)} convolutions, but the backbone alone has {len(own)}; is it of PP-OCRv6?")
    for index, ((name, module), found) in enumerate(zip(own, convolutions, strict=False)):
        shapes = [None if value is None else tuple(value.shape) for value in (found.weight, found.bias)]
        expected = [tuple(module.weight.shape), tuple(module.bias.shape)]
        if shapes != expected:
            raise ValueError(
                f"convolution {index} has weight and bias of shape {shapes}, our '{name}' has {expected}; is it a "
                "network of another size? Set MODEL.PP_LCNET or PP_LCNET_READER accordingly (--opts)."
            )
        with torch.no_grad():
            module.weight.copy_(torch.tensor(found.weight))
            module.bias.copy_(torch.tensor(found.bias))


def stage_tensors(parts: Iterable[nn.Module], convolutions: list[Convolution]) -> list[str]:
    """The graph's names of the backbone's outputs: each is what the convolution after the stage takes."""
    last, names = 0, []
    for part in parts:
        last += sum(isinstance(module, nn.Conv2d) for module in part.modules())
        names.append(convolutions[last].input)
    return names[1:]


def read_convolutions(graph: Any) -> list[Convolution]:
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


def largest_difference(backbone: nn.Module, model: Any, tensors: Iterable[str], size: tuple[int, int]) -> float:
    """Between the backbone's outputs and the ONNX graph's ``tensors``, on noise of a size that 32 does not divide."""
    image = noise(size)
    expected = run_graph(model, tensors, image)
    with torch.no_grad():
        outputs = backbone.eval()(image).values()
    return max(
        np.abs(output.numpy() - value).max() if output.shape == value.shape else np.inf
        for output, value in zip(outputs, expected, strict=True)
    )


def noise(size: tuple[int, int]) -> torch.Tensor:
    """(1, 3, *size), always the same."""
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))


def run_graph(model: Any, tensors: Iterable[str], image: torch.Tensor) -> list[np.ndarray]:
    """The graph's ``tensors`` for an image, by ONNX Runtime."""
    import onnx
    import onnxruntime

    (name,) = (value.name for value in model.graph.input)
    part = onnx.utils.Extractor(model).extract_model([name], list(tensors))
    session = onnxruntime.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: image.numpy()})


def convert(
    path: Path, source: str, opts: list[str], *, half: bool = False, reader: bool = False, recogniser: bool = False
) -> tuple[dict, float]:
    """The content of the checkpoint, and the largest difference between the outputs of both networks.

    Raises:
        ImportError: the package onnx is missing.
        ValueError: the file is no ONNX graph that begins with this backbone.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError("reading an ONNX file needs two packages: run `pip install onnx onnxruntime`.") from error
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # the reader's own kinds of error are not public
        raise ValueError("cannot be read as ONNX; it may be damaged or not completely copied.") from error
    cfg = load_cfg(None, [*opts, "MODEL.DEVICE", "cpu"])
    reader = reader or recogniser
    backbone, parts, size = build_reader(cfg, ctc=recogniser) if reader else build_backbone(cfg)
    convolutions = read_convolutions(model.graph)
    fill_backbone(nn.ModuleList(parts), convolutions)
    difference = largest_difference(backbone, model, stage_tensors(parts, convolutions), size)
    if recogniser:
        difference = max(difference, fill_ctc(backbone, model, Charset.load(cfg.MODEL.TEXT.CHARSET), size))
    if not difference < TOLERANCE:
        raise ValueError(
            f"with these weights our outputs differ from the graph's by {difference:.2g}; nothing is written."
        )
    if reader:
        backbone.take_our_pixels(torch.tensor(cfg.MODEL.PIXEL_MEAN), torch.tensor(cfg.MODEL.PIXEL_STD))
    prefix = READER_PREFIX if reader else PREFIX
    fresh = () if recogniser else FRESH
    state = {name: value for name, value in backbone.state_dict().items() if not name.startswith(fresh)}
    weights = {prefix + name: value.half() if half else value for name, value in state.items()}
    more = ", and made to take pixels of another normalisation" if reader else ""
    notice = NOTICE.format(kind="recogniser" if reader else "detector", more=more)
    origin = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "source": source, "notice": notice}
    return {"model": weights, "origin": origin}, difference


def build_backbone(cfg: CfgNode) -> tuple[nn.Module, list[nn.Module], tuple[int, int]]:
    """A detector's backbone, its parts, and the size of an image that both networks take; 32 does not divide it."""
    backbone = PPLCNetV4(cfg, ShapeSpec(channels=3))
    return backbone, [backbone.stem, *backbone.stages.values()], (75, 101)


def build_reader(cfg: CfgNode, *, ctc: bool) -> tuple[nn.Module, list[nn.Module], tuple[int, int]]:
    """A recogniser's: as ``build_backbone``; with ``ctc`` neck and classifier, too."""
    name = CTCTextHead.__name__ if ctc else CropTextHead.__name__
    cfg.merge_from_list(["MODEL.ROI_TEXT_HEAD.NAME", name, "MODEL.ROI_TEXT_HEAD.IN_FEATURE", "image"])
    if ctc:
        cfg.merge_from_list(["MODEL.ROI_TEXT_HEAD.HIDDEN_SIZE", NECK_SIZE])
    head = build_text_head(cfg, ShapeSpec(channels=3, stride=1))
    backbone = ReaderBackbone(head.pooler, head.encoder, head.decoder if ctc else None)
    if ctc:
        backbone.register_buffer("charset_code_points", head.charset_code_points)
    return backbone, backbone.parts, (48, 101)


def fill_ctc(reader: ReaderBackbone, model: Any, charset: Charset, size: tuple[int, int]) -> float:
    """Copy neck and classifier; returns the largest difference between both networks' logits on noise."""
    fill_neck(reader.encoder.context, model)
    fill_classifier(reader.decoder, model, charset)
    image = noise(size)
    expected = run_graph(model, [logits_name(model)], image)[0]
    rows = classifier_rows(model, charset, expected.shape[2])
    with torch.no_grad():
        found = reader.decoder(reader.encoder.eval()(reader.pooler.see(image))).numpy()
    return float(np.abs(found - expected[..., rows]).max())


def main(argv: list[str] | None = None) -> int:
    """Convert; returns 0, or 1 after a one-line error."""
    args = build_parser().parse_args(argv)
    try:
        checkpoint, difference = convert(
            args.onnx, args.source, args.opts, half=args.half, reader=args.reader, recogniser=args.recogniser
        )
        write_whole(args.output, lambda stream: torch.save(checkpoint, stream))
    except (ImportError, KeyError, OSError, ValueError) as error:
        where = f"{args.onnx}: " if isinstance(error, ValueError) else ""
        print(f"error: {where}{error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    size = args.output.stat().st_size / 1e6
    rounding = " before rounding" if args.half else ""
    print(f"{args.output}: {size:.1f} MB; outputs differ from the ONNX graph's by at most {difference:.1g}{rounding}")
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
