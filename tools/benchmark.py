#!/usr/bin/env python
"""Times what the project promises, as ratios measured in one run, and prints medians with their spread.

    python tools/benchmark.py                      # everything that needs no data
    python tools/benchmark.py reading decoding --repeats 9
    python tools/benchmark.py loader --images DIR --annotations FILE.json

Compared things take turns, so that a slower minute of the machine slows all of them.
"""

import argparse
import copy
import platform
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from detectron2.modeling import build_model

from dld_spotter.analysis.benchmarking import (
    forced,
    plain_mask_rcnn,
    plain_record,
    report,
    take_turns,
    training_record,
    training_step,
)
from dld_spotter.config import load_cfg

ROOT = Path(__file__).resolve().parents[1]


def benchmark_reading(args: argparse.Namespace) -> None:
    """A training step with and without the reading branch."""
    size = (448, 796)
    for name in args.models:
        cfg = load_cfg(str(ROOT / "configs" / f"{name}.yaml"), ["MODEL.DEVICE", args.device, "MODEL.WEIGHTS", ""])
        record = training_record(cfg, size)
        jobs = {
            "plain Mask R-CNN": training_step(build_model(plain_mask_rcnn(cfg)), [plain_record(record)]),
            "with the reading branch": training_step(build_model(cfg), [record]),
        }
        seconds = take_turns(jobs, args.repeats)
        print(
            report(
                f"Training step, {name}, S-448 (448 x 796), 10 words",
                seconds,
                "plain Mask R-CNN",
                {"with the reading branch": 1.35},
            )
        )


def benchmark_dld(args: argparse.Namespace) -> None:
    """A DLD step with six candidates and with one, against U, a plain Mask R-CNN step at full size."""
    limits = {448: (1.25, 1.4), 896: (0.75, 1.65)}
    for name in args.models:
        for short_side in args.short_sides:
            size = (short_side, round(short_side * 16 / 9))
            base = load_cfg(str(ROOT / "configs" / f"{name}.yaml"), ["MODEL.DEVICE", args.device, "MODEL.WEIGHTS", ""])
            base.MODEL.META_ARCHITECTURE = "DLDSpotter"
            single = base.clone()
            single.MODEL.DLD.SCALES = (0.5,)
            record = training_record(base, size)
            six = forced(build_model(base), base.MODEL.DLD.SCALES.index(0.5))
            jobs = {
                "U: plain Mask R-CNN": training_step(build_model(plain_mask_rcnn(base)), [plain_record(record)]),
                "DLD, the single candidate 0.5": training_step(build_model(single), [record]),
                "DLD, six candidates, 0.5 chosen": training_step(six, [record]),
            }
            seconds = take_turns(jobs, args.repeats)
            to_unit, to_single = limits[short_side] if "R50" in name and short_side in limits else (None, None)
            six_name = "DLD, six candidates, 0.5 chosen"
            title = f"Training step, {name}, {size[0]} x {size[1]}, 10 words, batch 1"
            print(report(title, seconds, "U: plain Mask R-CNN", {six_name: to_unit} if to_unit else {}))
            del seconds["U: plain Mask R-CNN"]
            print(report("", seconds, "DLD, the single candidate 0.5", {six_name: to_single} if to_single else {}))


def benchmark_inference(args: argparse.Namespace) -> None:
    """Inference at a forced scale against full resolution, selector included."""
    for name in args.models:
        for short_side in args.short_sides:
            cfg = load_cfg(str(ROOT / "configs" / f"{name}.yaml"), ["MODEL.DEVICE", args.device, "MODEL.WEIGHTS", ""])
            cfg.MODEL.META_ARCHITECTURE = "DLDSpotter"
            cfg.MODEL.DLD.TEACHER = False
            cfg.MODEL.DLD.SCALES = (0.3, 0.5, 0.8, 1.0)
            model = build_model(cfg).eval()
            record = training_record(cfg, (short_side, round(short_side * 16 / 9)))
            jobs = {f"scale {s}": partial(_at_scale, model, i, record) for i, s in enumerate(cfg.MODEL.DLD.SCALES)}
            jobs["full resolution, no selector"] = partial(_without_selector, model, record)
            limits = {f"scale {s}": round(s**2 + 0.10, 2) for s in (0.3, 0.5, 0.8)}
            title = f"Inference, {name}, S-{short_side} (random weights, nothing found)"
            print(report(title, take_turns(jobs, args.repeats), "full resolution, no selector", limits))


def _at_scale(model: torch.nn.Module, index: int, record: dict) -> list[dict]:
    return forced(model, index)([record])


def _without_selector(model: torch.nn.Module, record: dict) -> list[dict]:
    model.fixed_scale = 1.0
    try:
        return model([record])
    finally:
        model.fixed_scale = 0.0


def benchmark_memory(args: argparse.Namespace) -> None:
    """Peak resident memory of one DLD step against one of the same spotter at the teacher's resolution."""
    for name in args.models:
        for short_side in args.short_sides:
            peaks = {}
            for kind in ("spotter", "dld"):
                command = [sys.executable, __file__, "--peak", kind, "--models", name, "--short-sides", str(short_side)]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                peaks[kind] = float(output.split()[-1])
            ratio = peaks["dld"] / peaks["spotter"]
            print(
                f"\nPeak memory above the idle process, {name}, S-{short_side}: spotter {peaks['spotter']:.0f} MB, "
                f"DLD with six candidates {peaks['dld']:.0f} MB, x{ratio:.2f}   limit x1.25: "
                f"{'met' if ratio <= 1.25 else 'MISSED'}"
            )


def print_peak(args: argparse.Namespace) -> None:
    """In a process of its own: megabytes that two training steps need above the imported libraries."""
    name, short_side = args.models[0], args.short_sides[0]
    cfg = load_cfg(str(ROOT / "configs" / f"{name}.yaml"), ["MODEL.DEVICE", args.device, "MODEL.WEIGHTS", ""])
    record = training_record(cfg, (short_side, round(short_side * 16 / 9)))
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if args.peak == "dld":
        cfg.MODEL.META_ARCHITECTURE = "DLDSpotter"
        model = forced(build_model(cfg), cfg.MODEL.DLD.SCALES.index(0.5))
    else:
        model = build_model(cfg)
    step = training_step(model, [record])
    for _ in range(2):
        step()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) / 1024)


def benchmark_decoding(args: argparse.Namespace) -> None:
    """Greedy decoding and beam search of 64 words of 10 characters at the paper's widths."""
    from dld_spotter.modeling.recognition.attention_beam_search import beam_search
    from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder

    decoder = AttentionDecoder(97, 256, 256).to(args.device).eval()
    context = torch.randn(64, 33, 256, device=args.device)
    with torch.no_grad():
        early = copy.deepcopy(decoder)
        early.classify.bias[1] = 100.0  # every word ends at once
        decoder.classify.bias[1] = -100.0  # no word ends
    steps = 33
    seconds = take_turns(
        {
            "greedy, 33 steps": lambda: decoder.greedy(context, steps),
            "greedy, all words end at once": lambda: early.greedy(context, steps),
            "beam search of width 3, 33 steps": lambda: beam_search(decoder, context, 3, steps),
        },
        args.repeats,
    )
    limits = {"greedy, all words end at once": 0.2, "beam search of width 3, 33 steps": 3.0}
    print(report("Decoding of 64 words", seconds, "greedy, 33 steps", limits))


def benchmark_scoring(args: argparse.Namespace) -> None:
    """Scoring of the ground truth, perturbed, against itself; and of 2,000 words with a lexicon."""
    from dld_spotter.evaluation.ground_truth import read_ground_truth
    from dld_spotter.evaluation.lexicon import load_lexicon
    from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord
    from dld_spotter.evaluation.scoring import evaluate_words

    rng = np.random.default_rng(0)
    left, images = 2000, []
    for image in read_ground_truth(args.ground_truth).pair([]):
        words = image.truths
        shifted = [w.polygon + rng.normal(0, 2, (1, 2)) for w in words]
        reads = [ReadWord(p, _misspell(rng, w.text)) for p, w in zip(shifted, words, strict=True) if not w.ignore]
        images.append(ImageWords(image.key, words, reads[:left]))
        left -= len(images[-1].reads)
    words = sum(len(image.reads) for image in images)
    jobs = {"no lexicon": lambda: evaluate_words(images, Protocol(), {"none": None})}
    if args.lexicon:
        lexicon = load_lexicon(args.lexicon)
        jobs[f"lexicon of {len(lexicon)} words"] = lambda: evaluate_words(images, Protocol(), {"generic": lexicon})
    print(
        report(
            f"Scoring {len(images)} images, {words} read words",
            take_turns(jobs, min(args.repeats, 3)),
            "no lexicon",
            {},
        )
    )


def _misspell(rng: np.random.Generator, word: str) -> str:
    place = rng.integers(len(word))
    return word[:place] + rng.choice(list("abcdefgh")) + word[place + 1 :]


def benchmark_loader(args: argparse.Namespace) -> None:
    """Photos a second through the training mapper, on one core."""
    import cv2

    from dld_spotter.data.dataset_mapper import TextDatasetMapper
    from dld_spotter.data.text_json import load_text_json

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    cfg = load_cfg(str(ROOT / "configs/MaskRCNNSpotter_R50.yaml"), ["INPUT.MIN_SIZE_TRAIN", (448,)])
    mapper, records = TextDatasetMapper(cfg, is_train=True), load_text_json(args.annotations, args.images)[:64]
    seconds = take_turns({"64 photos": lambda: [mapper(record) for record in records]}, args.repeats)["64 photos"]
    low, median, high = np.percentile(len(records) / seconds, [25, 50, 75])
    print(f"\nLoader, all augmentation, S-448, one core: {median:.1f} photos/s [{low:.1f}, {high:.1f}]")


def benchmark_runtimes(args: argparse.Namespace) -> None:
    """Seconds a photo of the photos models with each runtime, beside RapidOCR where it is installed."""
    from dld_spotter.analysis.runtime_benchmark import readers, seconds_a_photo
    from dld_spotter.photo_sources import to_photos

    images = [photo.read() for photo in to_photos(args.images)]
    seconds = seconds_a_photo(readers(["photos", "photos-dld"]), images, args.repeats)
    baseline = next((name for name in seconds if name == "RapidOCR, openvino"), next(iter(seconds)))
    print(report(f"Reading {len(images)} photos of {args.images}, seconds a photo", seconds, baseline, {}))


BENCHMARKS = {
    "reading": benchmark_reading,
    "decoding": benchmark_decoding,
    "dld": benchmark_dld,
    "inference": benchmark_inference,
    "memory": benchmark_memory,
    "scoring": benchmark_scoring,
    "loader": benchmark_loader,
    "runtimes": benchmark_runtimes,
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=f"any of {', '.join(BENCHMARKS)}; default: reading decoding")
    parser.add_argument("--repeats", type=int, default=7, help="timed rounds after one warm-up round")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", nargs="+", default=["MaskRCNNSpotter_R50", "MaskRCNNSpotter_Light"])
    parser.add_argument("--short-sides", nargs="+", type=int, default=[448, 896], help="dld, inference, memory")
    parser.add_argument("--peak", choices=["spotter", "dld"], help=argparse.SUPPRESS)
    parser.add_argument("--ground-truth", help="scoring: ground truth as a zip of text files or our JSON")
    parser.add_argument("--lexicon", help="scoring: a word list")
    parser.add_argument("--images", help="loader, runtimes: folder of photos")
    parser.add_argument("--annotations", help="loader: their annotations in our JSON")
    args = parser.parse_args(argv)
    what = args.what or ["reading", "decoding"]
    for name in what:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark '{name}'; choose from {', '.join(BENCHMARKS)}")
    if "scoring" in what and not args.ground_truth:
        parser.error("scoring needs --ground-truth")
    if "loader" in what and not (args.images and args.annotations):
        parser.error("loader needs --images and --annotations")
    if "runtimes" in what and not args.images:
        parser.error("runtimes needs --images")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.peak:
        print_peak(args)
        return 0
    machine = platform.processor() or platform.machine()
    print(f"{machine}, torch {torch.__version__}, {args.threads} threads, {args.device}")
    for name in what:
        BENCHMARKS[name](args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
