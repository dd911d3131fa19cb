"""A trained Mask R-CNN spotter as ONNX graphs, for ``dld_spotter.runtime``.

The graphs lie beside the model's config and weights, and take their weights from there (``graph_weights``).
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from detectron2.config import CfgNode
from detectron2.layers import ROIAlign
from detectron2.modeling import build_model
from detectron2.modeling.poolers import ROIPooler
from torch import Tensor, nn

from dld_spotter.config import load_cfg
from dld_spotter.data.charset import Charset
from dld_spotter.engine import graph_parts as parts
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.modeling import score_threshold
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.modeling.dld.selector.backbone_selector import BackboneSelector
from dld_spotter.modeling.dld.selector.regression import SHARPNESS
from dld_spotter.modeling.dld.selector.selector_network import ResidualSelector, ScaleClassifier
from dld_spotter.modeling.mask_rcnn.mask_rcnn_spotter import MaskRCNNSpotter
from dld_spotter.modeling.recognition import masked_pooler, word_rectifier
from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder
from dld_spotter.modeling.recognition.crop_recogniser import CropTextHead
from dld_spotter.modeling.recognition.ctc_decoder import CTCDecoder
from dld_spotter.modeling.recognition.roi_feature_recogniser import AttentionTextHead
from dld_spotter.runtime.settings import CHANGEABLE, FILE, VERSION

OPSET = 17
PREFIX = "model."  # of the weights' names in a graph


def export_graphs(config: str | os.PathLike) -> list[Path]:
    """Write the graphs of an exported model, and ``graphs.json``, beside its config.

    Args:
        config: ``model.yaml`` of ``export_model``, whose weights lie beside it.

    Returns:
        the paths of what was written.

    Raises:
        ImportError: the package onnx is not installed.
        ValueError: a model that cannot be exported, or weights elsewhere.
    """
    cfg = load_cfg(os.fspath(config), ["MODEL.DEVICE", "cpu"])
    folder, weights = Path(config).resolve().parent, Path(cfg.MODEL.WEIGHTS).resolve()
    if weights.parent != folder:
        raise ValueError(f"the weights {weights} do not lie beside {config}; export the model first.")
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ImportError("exporting graphs needs the package onnx: `pip install 'dld_spotter[export]'`.") from error
    model = build_model(cfg).eval()
    TextCheckpointer(model, on_charset_change="error").load(os.fspath(weights))
    spotter = model.student if isinstance(model, DLDSpotter) else model
    if not isinstance(spotter, MaskRCNNSpotter):
        raise ValueError(f"a {type(spotter).__name__} has no graphs yet; Mask R-CNN spotters have.")
    model.to(memory_format=torch.contiguous_format)
    written = {}
    with torch.no_grad():
        for name, part, inputs, outputs in _graphs(model, spotter):
            path = folder / f"{name}.onnx"
            _export(part, inputs, outputs, path, weights)
            written[name] = path
    settings = folder / FILE
    content = _settings(cfg, model, spotter) | {"graphs": {name: path.name for name, path in written.items()}}
    settings.write_text(json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return [*written.values(), settings]


Graph = tuple[str, nn.Module, dict[str, Tensor], list[str]]


def _graphs(model: nn.Module, spotter: MaskRCNNSpotter) -> list[Graph]:
    """Name, module, made-up inputs by their names, and names of the outputs of each graph."""
    heads, head = spotter.roi_heads, spotter.roi_heads.text_head
    detector = parts.Detector(model)
    image = torch.zeros(1, 3, 4 * spotter.backbone.size_divisibility, 6 * spotter.backbone.size_divisibility)
    channels = spotter.backbone.output_shape()[heads.box_in_features[0]].channels
    boxes, masks = (torch.zeros(2, *_pooled_size(p), channels) for p in (heads.box_pooler, heads.mask_pooler))
    graphs: list[Graph] = [
        ("detector", detector, {"image": image}, detector.output_names()),
        ("boxes", parts.BoxHead(model), {"features": boxes}, ["probabilities", "deltas"]),
        ("masks", parts.MaskHead(model), {"features": masks}, ["masks"]),
    ]
    if isinstance(head, CropTextHead):
        words = torch.zeros(2, 3, *head.pooler.rectifier.size)
    else:
        words = torch.zeros(2, head.pooler.out_channels, *head.pooler.output_size)
    if isinstance(head.decoder, CTCDecoder):
        graphs.append(("recogniser", parts.CTCRecogniser(model), {"words": words}, ["log_probs"]))
    elif isinstance(head.decoder, AttentionDecoder):
        graphs.append(("recogniser", parts.AttentionRecogniser(model), {"words": words}, ["tokens", "scores"]))
    else:
        raise ValueError(f"a recogniser with a {type(head.decoder).__name__} has no graph yet.")
    if isinstance(model, DLDSpotter) and model.selector is not None:
        graphs += _selector_graphs(model)
    return graphs


def _selector_graphs(model: DLDSpotter) -> list[Graph]:
    maps, selector = parts.SelectorMaps(model), cast(ScaleClassifier, model.selector)
    image = torch.zeros(1, 3, 128, 192)
    count = len(maps(image))
    statistics = torch.zeros(1, selector.classify.in_features)
    return [
        ("selector", maps, {"image": image}, [f"map{i}" for i in range(count)]),
        ("selector_classifier", parts.SelectorClassifier(model), {"statistics": statistics}, ["logits"]),
    ]


def _export(part: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str], path: Path, weights: Path) -> None:
    import onnx

    from dld_spotter.engine.graph_weights import leave_weights, plain_graph

    dynamic = {
        "image": {0: "images", 2: "image_rows", 3: "image_columns"},
        "features": {0: "regions"},
        "words": {0: "words"},
    }
    axes = {name: dynamic[name] for name in inputs if name in dynamic}
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, of numbers that it takes for constants, and so they are
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        file = Path(scratch, "graph.onnx")
        torch.onnx.export(
            part.eval(),
            tuple(inputs.values()),
            os.fspath(file),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
            # Weights keep the names and values that they have in the checkpoint; the runtimes fold constants.
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
        graph = onnx.load(os.fspath(file))
    leave_weights(graph, weights, PREFIX)
    plain_graph(graph)
    path.write_bytes(graph.SerializeToString(deterministic=True))


def _settings(cfg: CfgNode, model: nn.Module, spotter: MaskRCNNSpotter) -> dict[str, Any]:
    """``graphs.json`` without the names of the graphs."""
    return {
        "version": VERSION,
        "options": {key: _plain(_option(cfg, key)) for key in CHANGEABLE},
        "network": _network(cfg, spotter) | (_choice(cfg, model) if isinstance(model, DLDSpotter) else {}),
        "characters": "".join(Charset.load(cfg.MODEL.TEXT.CHARSET).characters),
    }


def _network(cfg: CfgNode, spotter: MaskRCNNSpotter) -> dict[str, Any]:
    rpn, heads = spotter.proposal_generator, spotter.roi_heads
    generator = rpn.anchor_generator
    sizes, ratios = cfg.MODEL.ANCHOR_GENERATOR.SIZES, cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS
    anchors = [
        {
            "stride": stride,
            "offset": generator.offset,
            "sizes": list(sizes[i] if len(sizes) > 1 else sizes[0]),
            "aspect_ratios": list(ratios[i] if len(ratios) > 1 else ratios[0]),
        }
        for i, stride in enumerate(generator.strides)
    ]
    return {
        "step": spotter.backbone.size_divisibility,
        "format": cfg.INPUT.FORMAT,
        "mean": list(cfg.MODEL.PIXEL_MEAN),
        "deviation": list(cfg.MODEL.PIXEL_STD),
        "anchors": anchors,
        "proposal_weights": list(cfg.MODEL.RPN.BBOX_REG_WEIGHTS),
        "box_weights": list(cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS),
        "pooled_levels": [int(name.removeprefix("p")) for name in heads.box_in_features],
        "pooled_sizes": {"boxes": _pooled_size(heads.box_pooler), "masks": _pooled_size(heads.mask_pooler)},
        "slack": score_threshold.SLACK,
        "max_length": heads.text_head.max_steps - 1,
        **_words(heads.text_head),
    }


def _pooled_size(pooler: ROIPooler) -> list[int]:
    """Rows and columns of what is pooled, if it is pooled as ``runtime.pooling`` does."""
    for level, align in enumerate(pooler.level_poolers, pooler.min_level):
        usual = isinstance(align, ROIAlign) and align.aligned and align.sampling_ratio == 0
        if not usual or align.spatial_scale != 2.0**-level:
            raise ValueError(f"features pooled by {align} have no graph yet; ROIAlignV2 with adaptive sampling has.")
    return list(pooler.output_size)


def _words(head: AttentionTextHead) -> dict[str, Any]:
    """How the recogniser sees words."""
    pooler = head.pooler
    if not isinstance(head, CropTextHead):
        return {
            "maps": {
                "size": list(pooler.output_size),
                "stride": pooler.stride,
                "margin": pooler.margin,
                "vertical_ratio": pooler.vertical_ratio,
                "samples": masked_pooler.MASK_SAMPLES,
            }
        }
    rectifier = pooler.rectifier
    return {
        "full_resolution": head.full_resolution,
        "pictures": {
            "size": list(rectifier.size),
            "vertical_ratio": rectifier.vertical_ratio,
            "heights": rectifier.heights,
            "mask_size": word_rectifier.MASK_SIZE,
            "halvings": word_rectifier.HALVINGS,
            "margin": word_rectifier.MARGIN,
            "level": word_rectifier.LEVEL,
            "telling": word_rectifier.TELLING,
            "steepest_rise": word_rectifier.STEEPEST_RISE,
        },
    }


def _choice(cfg: CfgNode, model: DLDSpotter) -> dict[str, Any]:
    """How the scale is chosen."""
    choice: dict[str, Any] = {
        "scales": list(model.scales),
        "costs": model.costs.tolist(),
        "gamma": cfg.MODEL.DLD.GAMMA,
        "sharpness": SHARPNESS,
    }
    selector = model.selector
    if isinstance(selector, BackboneSelector):
        choice["selector"] = {"kind": "backbone", "scale": selector.scale, "step": 1}
    elif isinstance(selector, ResidualSelector):
        choice["selector"] = {"kind": "residual", "scale": 1.0, "step": selector.fold}
    elif selector is not None:
        raise ValueError(f"a {type(selector).__name__} has no graph yet.")
    return choice


def _option(cfg: CfgNode, key: str) -> Any:
    node: Any = cfg
    for name in key.split("."):
        node = node[name]
    return node


def _plain(value: object) -> object:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
