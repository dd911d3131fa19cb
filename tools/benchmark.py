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
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from detectron2.modeling import build_model
from detectron2.structures import Instances, PolygonMasks
from detectron2.utils.events import EventStorage

from dld_spotter.config import load_cfg
from dld_spotter.data.charset import Charset
from dld_spotter.structures import WordPolygons

ROOT = Path(__file__).resolve().parents[1]


def take_turns(jobs: dict[str, Callable[[], object]], repeats: int) -> dict[str, np.ndarray]:
    """Seconds of each job, run one after the other ``repeats`` times after one warm-up round."""
    seconds = {name: [] for name in jobs}
    for round_index in range(repeats + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if round_index:
                seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def report(title: str, seconds: dict[str, np.ndarray], base: str, limits: dict[str, float]) -> None:
    """Print each job's median and quartiles, and the median of its ratio to the base, round by round."""
    print(f"\n{title}")
    for name, values in seconds.items():
        low, median, high = np.percentile(values, [25, 50, 75])
        ratios = values / seconds[base]
        r_low, ratio, r_high = np.percentile(ratios, [25, 50, 75])
        line = f"  {name:<34} {median:8.3f} s [{low:.3f}, {high:.3f}]   x{ratio:.2f} [{r_low:.2f}, {r_high:.2f}]"
        if name in limits:
            line += f"   limit x{limits[name]}: {'met' if ratio <= limits[name] else 'MISSED'}"
        print(line)


def drawn_words(count: int, size: tuple[int, int], charset: Charset, seed: int = 0) -> Instances:
    """Targets of ``count`` words of 4 to 10 characters, 60 to 160 pixels long, on an image of this size."""
    rng = np.random.default_rng(seed)
    width, height = rng.uniform(60, 160, count), rng.uniform(16, 44, count)
    x, y = rng.uniform(0, size[1] - width), rng.uniform(0, size[0] - height)
    outlines = np.stack([x, y, x + width, y, x + width, y + height, x, y + height], axis=1)
    words = Instances(size)
    words.gt_masks = WordPolygons.from_list(outlines)
    words.gt_boxes = words.gt_masks.get_bounding_boxes()
    words.gt_classes = torch.zeros(count, dtype=torch.long)
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789")
    words.gt_text = charset.encode_rows(["".join(rng.choice(letters, rng.integers(4, 11))) for _ in range(count)])
    words.gt_ignore = torch.zeros(count, dtype=torch.bool)
    return words


def training_step(model: torch.nn.Module, batch: list[dict]) -> Callable[[], None]:
    """Forward, backward and optimiser step of a model on one batch."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    model.train()

    def step() -> None:
        with EventStorage():
            loss = sum(model(batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def plain_mask_rcnn(cfg):
    """The same backbone and heads as Detectron2 ships them, without the reading branch."""
    plain = cfg.clone()
    plain.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
    plain.MODEL.PROPOSAL_GENERATOR.NAME = "RPN"
    plain.MODEL.ROI_HEADS.NAME = "StandardROIHeads"
    return plain


def benchmark_reading(args: argparse.Namespace) -> None:
    """A training step with and without the reading branch."""
    size = (448, 796)
    for name in ("MaskRCNNSpotter_R50", "MaskRCNNSpotter_Light"):
        cfg = load_cfg(str(ROOT / "configs" / f"{name}.yaml"), ["MODEL.DEVICE", args.device, "MODEL.WEIGHTS", ""])
        words = drawn_words(10, size, Charset.load(cfg.MODEL.TEXT.CHARSET))
        image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
        record = {"image": image, "height": size[0], "width": size[1], "instances": words}
        plain_words = Instances(size, gt_boxes=words.gt_boxes, gt_classes=words.gt_classes)
        plain_words.gt_masks = PolygonMasks([[p.flatten().numpy()] for p in words.gt_masks.tensor])
        jobs = {
            "plain Mask R-CNN": training_step(build_model(plain_mask_rcnn(cfg)), [record | {"instances": plain_words}]),
            "with the reading branch": training_step(build_model(cfg), [record]),
        }
        seconds = take_turns(jobs, args.repeats)
        report(
            f"Training step, {name}, S-448 (448 x 796), 10 words",
            seconds,
            "plain Mask R-CNN",
            {"with the reading branch": 1.35},
        )


def benchmark_decoding(args: argparse.Namespace) -> None:
    """Greedy decoding and beam search of 64 words of 10 characters at the paper's widths."""
    from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder
    from dld_spotter.modeling.recognition.beam_search import beam_search

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
    report("Decoding of 64 words", seconds, "greedy, 33 steps", limits)


def benchmark_scoring(args: argparse.Namespace) -> None:
    """Scoring of the ground truth, perturbed, against itself; and of 2,000 words with a lexicon."""
    from dld_spotter.evaluation.ground_truth import read_ground_truth
    from dld_spotter.evaluation.lexicon import load_lexicon
    from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord
    from dld_spotter.evaluation.scoring import evaluate_words

    rng = np.random.default_rng(0)
    left, images = 2000, []
    for image in read_ground_truth(args.ground_truth).images:
        shifted = [w.polygon + rng.normal(0, 2, (1, 2)) for w in image.words]
        reads = [ReadWord(p, _misspell(rng, w.text)) for p, w in zip(shifted, image.words, strict=True) if not w.ignore]
        images.append(ImageWords(image.key, image.words, reads[:left]))
        left -= len(images[-1].reads)
    words = sum(len(image.reads) for image in images)
    jobs = {"no lexicon": lambda: evaluate_words(images, Protocol(), {"none": None})}
    if args.lexicon:
        lexicon = load_lexicon(args.lexicon)
        jobs[f"lexicon of {len(lexicon)} words"] = lambda: evaluate_words(images, Protocol(), {"generic": lexicon})
    report(
        f"Scoring {len(images)} images, {words} read words", take_turns(jobs, min(args.repeats, 3)), "no lexicon", {}
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


BENCHMARKS = {
    "reading": benchmark_reading,
    "decoding": benchmark_decoding,
    "scoring": benchmark_scoring,
    "loader": benchmark_loader,
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=f"any of {', '.join(BENCHMARKS)}; default: reading decoding")
    parser.add_argument("--repeats", type=int, default=7, help="timed rounds after one warm-up round")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ground-truth", help="scoring: ground truth as a zip of text files or our JSON")
    parser.add_argument("--lexicon", help="scoring: a word list")
    parser.add_argument("--images", help="loader: folder of photos")
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
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    machine = platform.processor() or platform.machine()
    print(f"{machine}, torch {torch.__version__}, {args.threads} threads, {args.device}")
    for name in what:
        BENCHMARKS[name](args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
