#!/usr/bin/env python
"""What a spotter's inference costs: multiply-adds and parameters by part, time and memory, at each scale.

    python tools/analyze_cost.py --config-file configs/DLD/DLD_R50.yaml --size 720 1280 --short-side 1280
    python tools/analyze_cost.py --config-file configs/DLD/DLD_R50.yaml --data-set totaltext_test \\
        --json cost.json MODEL.WEIGHTS output/model_final.pth

Multiply-adds count as one; only convolutions and matrix products have any. They are those of an image with a given
number of proposals and words, so that they depend on its size alone. The paper's tables divide multiply-adds by
2**30 and hold what depends on the image alone (backbone, FPN, RPN): compare them with the row "nothing found".
The column "full" is the teacher, or the spotter itself, at full resolution; the others are student and selector.
Photos (not --size) also show which scales the selector chooses, and what that costs.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # the profiler, which measures memory, writes to the terminal

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.modeling import build_model
from detectron2.utils.logger import setup_logger
from torch import nn

from dld_spotter import load_cfg
from dld_spotter.analysis import CostModel, choose_scales, chosen_cost, mean_counts, relative_costs, scale_shares
from dld_spotter.analysis.flops import GIGA, PAPER_UNIT, SELECTOR
from dld_spotter.analysis.runtime import Job, peak_memory, take_turns
from dld_spotter.command_line import ConfigArgumentParser, run_tool, says_mistakes
from dld_spotter.data.dataset_mapper import TextDatasetMapper
from dld_spotter.data.loader import build_text_test_loader
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.modeling.dld.rescaling import rescale_images
from dld_spotter.modeling.spotter_parts import Workload
from dld_spotter.output_files import check_report

TIMED_IMAGES = 3  # the first ones of a data set
NOTHING = Workload(proposals=0, words=0, steps=0)
FULL = "full"


def get_parser() -> argparse.ArgumentParser:
    parser = ConfigArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_config_file()
    photos = parser.add_mutually_exclusive_group()
    photos.add_argument(
        "--size", type=int, nargs=2, default=(720, 1280), metavar=("H", "W"), help="of a photo (default: 720 1280)"
    )
    photos.add_argument("--data-set", metavar="NAME", help="all photos of a registered data set")
    photos.add_argument("--image", nargs="+", metavar="FILE", help="these photos")
    parser.add_argument(
        "--short-side", type=int, nargs="+", metavar="S", help="full resolutions (default: INPUT.MIN_SIZE_TEST)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N photos of the data set")
    parser.add_argument(
        "--proposals", type=int, metavar="N", help="default: 1000, the paper's, or RPN.POST_NMS_TOPK_TEST if it is less"
    )
    parser.add_argument("--words", type=int, default=Workload.words, metavar="N", help="(default: %(default)s)")
    parser.add_argument(
        "--steps", type=int, default=Workload.steps, metavar="N", help="of decoding a word (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, metavar="N", help="timed rounds after a warm-up; 0: no times, no memory"
    )
    parser.add_argument("--json", metavar="FILE", help="also write everything there")
    parser.add_overrides()
    return parser


@says_mistakes
def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; 0, or 1 with one sentence about what is wrong."""
    args = get_parser().parse_args(argv)
    setup_logger(name="dld_spotter")
    check_report(args.json, ("config_file", "resolutions"))
    report = analyze(args)
    print(format_report(report))
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps(report, indent=1), encoding="utf-8")
    return 0


def analyze(args: argparse.Namespace) -> dict:
    """Everything that is printed, ready for JSON; see ``analyze_size`` for an entry of "resolutions"."""
    cfg = load_cfg(args.config_file, args.opts)
    most = min(Workload.proposals, cfg.MODEL.RPN.POST_NMS_TOPK_TEST)
    work = Workload(most if args.proposals is None else args.proposals, args.words, args.steps)
    if min(*asdict(work).values(), args.repeats) < 0 or (work.words and not work.steps):
        raise ValueError("--proposals, --words, --steps and --repeats are counts; words need at least one step.")
    if min(args.size) < 1 or any(side < 0 for side in args.short_side or ()) or (args.limit or 1) < 1:
        raise ValueError("--size and --limit must be 1 or more, --short-side 0 (as it is) or more.")
    model = build_model(cfg).eval()
    TextCheckpointer(model).load(cfg.MODEL.WEIGHTS)
    costs = CostModel(model, work)
    resolutions = []
    for short_side in args.short_side or [cfg.INPUT.MIN_SIZE_TEST]:
        cfg.INPUT.MIN_SIZE_TEST = short_side
        resolutions.append(analyze_size(cfg, args, model, costs) | {"short_side": short_side})
    return {
        "config_file": " ".join(args.config_file),
        "weights": cfg.MODEL.WEIGHTS,
        "device": str(model.device),
        "threads": torch.get_num_threads(),
        "work": asdict(work),
        "parameters": costs.parameters(),
        "resolutions": resolutions,
    }


def analyze_size(cfg: CfgNode, args: argparse.Namespace, model: nn.Module, costs: CostModel) -> dict:
    """Costs at one full resolution. Multiply-adds are means over the images; times and bytes are an image's."""
    sizes, chosen, samples = [], [], []
    for batch in image_batches(cfg, args):
        samples += batch[: TIMED_IMAGES - len(samples)]
        for size, scale in choose_scales(model, batch):
            sizes.append(size)
            chosen.append(scale)
    if not sizes:
        raise ValueError(f"data set '{args.data_set}' has no images.")
    scales = candidate_scales(model)
    columns = {FULL: mean_counts(costs.teacher(size) for size in sizes)}
    empty = {FULL: mean_counts(costs.teacher(size, NOTHING) for size in sizes)}
    for scale in scales:
        columns[f"{scale:g}"] = mean_counts(costs.inference(size, scale) for size in sizes)
        empty[f"{scale:g}"] = mean_counts(costs.student(size, scale, NOTHING) for size in sizes)
    report = {
        "images": len(sizes),
        "first_size": sizes[0],
        "multiply_adds": columns,
        "nothing_found": {column: sum(parts.values()) for column, parts in empty.items()},
        "scales": list(scales),
        "costs": relative_costs(costs, sizes, scales),
    }
    if args.repeats:
        report |= measure(model, samples, scales, args.repeats)
    if scales and not is_drawn(args):
        cost = chosen_cost(costs, sizes, chosen)
        report["chosen"] = {
            "shares": {f"{scale:g}": share for scale, share in scale_shares(chosen, scales).items()},
            "multiply_adds": cost,
            "relative": cost / sum(columns[FULL].values()),
        }
    return report


def is_drawn(args: argparse.Namespace) -> bool:
    """Whether there is no photo, only a size."""
    return not (args.data_set or args.image)


def candidate_scales(model: nn.Module) -> tuple[float, ...]:
    """The scales at which a DLDSpotter may read; a plain spotter has none but its own."""
    if not isinstance(model, DLDSpotter):
        return ()
    return tuple(sorted({*model.scales, *([model.fixed_scale] if model.fixed_scale > 0 else [])}))


def image_batches(cfg: CfgNode, args: argparse.Namespace) -> Iterable[list[dict]]:
    """Model inputs, one a batch: the photos, or noise of the given size."""
    if args.data_set:
        return islice(build_text_test_loader(cfg, args.data_set), args.limit)
    if args.image:
        return _read_photos(cfg, args.image)
    height, width = args.size
    if cfg.INPUT.MIN_SIZE_TEST:
        height, width = ResizeShortestEdge.get_output_shape(
            *args.size, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST
        )
    noise = np.random.default_rng(0).integers(0, 256, (3, height, width), dtype=np.uint8)
    return [[{"image": torch.from_numpy(noise), "height": height, "width": width}]]


def _read_photos(cfg: CfgNode, files: Sequence[str]) -> Iterator[list[dict]]:
    mapper = TextDatasetMapper(cfg, is_train=False)
    return ([mapper({"file_name": file})] for file in files)


def measure(model: nn.Module, samples: list[dict], scales: Sequence[float], repeats: int) -> dict:
    """Median seconds an image, and the most bytes that one image's inference adds, by column.

    From the image in memory to words and soft masks: reading the file and pasting the masks into it are left out.
    """
    jobs = {FULL: lambda record: spot(model, record, None)}
    for scale in scales:
        jobs[f"{scale:g}"] = lambda record, scale=scale: spot(model, record, scale)

    def over_samples(job: Callable[[dict], object]) -> Job:
        return lambda: [job(record) for record in samples]

    seconds = take_turns({name: over_samples(job) for name, job in jobs.items()}, repeats, model.device)
    return {
        "seconds": {name: float(np.median(values)) / len(samples) for name, values in seconds.items()},
        "peak_bytes": {
            name: max(peak_memory(lambda r=record, j=job: j(r), model.device) for record in samples)
            for name, job in jobs.items()
        },
    }


@torch.no_grad()
def spot(model: nn.Module, record: dict, scale: float | None) -> None:
    """Spot one image as a model does at a scale, whatever its selector says; or the teacher's way with None."""
    if not isinstance(model, DLDSpotter):
        model.spot(model.preprocess_image([record]))
        return
    images = model.student.preprocess_image([record])
    if scale is None:
        (model.teacher or model.student).spot(images)
        return
    model.choose_scales(images)
    model.student.spot(rescale_images(images, scale))


def format_report(report: dict) -> str:
    """The report as text."""
    work = report["work"]
    lines = [
        f"{report['config_file']}, weights: {report['weights'] or 'none (untrained: times depend on what it finds)'}",
        f"An image holds {work['proposals']} proposals and {work['words']} words of {work['steps']} decoding steps.",
    ]
    for resolution in report["resolutions"]:
        lines += ["", *_format_resolution(resolution, report)]
    return "\n".join(lines)


def _format_resolution(found: dict, report: dict) -> list[str]:
    columns = found["multiply_adds"]
    size = " x ".join(map(str, found["first_size"]))
    photos = f"one image of {size}" if found["images"] == 1 else f"mean of {found['images']} images"
    lines = [f"Short side {found['short_side']}, {photos}: multiply-adds in 10**9 by part and scale"]
    lines.append(_row("", "parameters", columns))
    for part, parameters in report["parameters"].items():
        values = [counts.get(part, 0) / GIGA for counts in columns.values()]
        if parameters or any(values):
            lines.append(_row(part, f"{parameters:,}", [f"{value:.2f}" for value in values]))
    totals = [sum(counts.values()) for counts in columns.values()]
    parameters = f"{sum(report['parameters'].values()):,}"
    lines.append(_row("total", parameters, [f"{total / GIGA:.2f}" for total in totals]))
    lines.append(_row("total, paper's unit (2**30)", "", [f"{total / PAPER_UNIT:.2f}" for total in totals]))
    empty = found["nothing_found"].values()
    lines.append(_row("nothing found, paper's unit", "", [f"{value / PAPER_UNIT:.2f}" for value in empty]))
    lines.append(_row("share of full", "", [f"{total / totals[0]:.3f}" for total in totals]))
    if "seconds" in found:
        lines.append(_row("seconds", "", [f"{value:.3f}" for value in found["seconds"].values()]))
        lines.append(_row("peak memory, MiB", "", [f"{value / 2**20:.0f}" for value in found["peak_bytes"].values()]))
        lines.append(f"(medians and tensors on {report['device']}, {report['threads']} threads of torch)")
    if found["scales"]:
        largest = columns[f"{max(found['scales']):g}"]
        student = sum(largest.values()) - largest[SELECTOR]
        if largest[SELECTOR]:
            lines.append(f"selector: {largest[SELECTOR] / student:.2%} of the student at the largest candidate")
        lines.append(f"MODEL.DLD.COSTS: {tuple(round(cost, 4) for cost in found['costs'])}")
    if "chosen" in found:
        chosen = found["chosen"]
        lines.append("chosen: " + ", ".join(f"{scale}: {share:.1%}" for scale, share in chosen["shares"].items()))
        lines.append(
            f"mean cost: {chosen['multiply_adds'] / GIGA:.2f} x 10**9 multiply-adds, "
            f"{chosen['multiply_adds'] / PAPER_UNIT:.2f} in the paper's unit, {chosen['relative']:.3f} of full"
        )
    return lines


def _row(title: str, parameters: str, values: Iterable[str]) -> str:
    return f"{title:<28}{parameters:>13}" + "".join(f"{value:>9}" for value in values)


if __name__ == "__main__":
    sys.exit(run_tool(main))
