#!/usr/bin/env python
"""Does the resolution selector learn? A drawn task in which the right scale is known by construction.

Half of the images hold large words only, the other half small ones. A very small spotter learns to read the words of
both in their given places at many scales; it is then frozen, as student and teacher, and DLDSpotter's own training step
trains a selector from scratch for each gamma. Stated beforehand: on images that training never saw, the choice is right
when it lies in the cheaper half of the candidate scales for large words, and in the dearer half for small ones.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.structures import ImageList, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor
from tqdm import tqdm, trange

from dld_spotter.config import load_cfg
from dld_spotter.data.charset import PAD, Charset
from dld_spotter.data.synthetic import draw_scene
from dld_spotter.engine.optimizer import build_optimizer
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.modeling.dld.losses.loss_weights import DistillationWeights
from dld_spotter.modeling.dld.rescaling import rescale_images, rescale_words
from dld_spotter.modeling.dld.selector.gumbel import accuracy_loss, cheapest_equal_scale
from dld_spotter.modeling.dld.selector.selector_network import build_resolution_selector
from dld_spotter.modeling.mask_rcnn.mask_rcnn_spotter import MaskRCNNSpotter
from dld_spotter.modeling.spotter import Reading, Spotter, target_tokens
from dld_spotter.structures import WordPolygons

ROOT = Path(__file__).resolve().parents[1]
SIZE = (128, 192)
KINDS = ("large", "small")
# Font sizes as shares of the height. Capital letters are 32 to 38 pixels tall in the one kind, 9 to 11 in the other.
FONT_SHARE = {"large": (0.35, 0.42), "small": (0.102, 0.125)}
SHORTEST = {"large": 33, "small": 10}  # outlines lie a pixel outside the letters
WORDS = 2  # in every image of the second part, so that their number says nothing
SMALL_WORDS_TO_READ = 4  # in an image for the reader, which needs more practice with these
# Letters of one height. Several words share each beginning, so that what was read does not tell what follows.
VOCABULARY = (
    *("SASH", "LETA", "HKH", "AAA", "TCL", "CEHE", "CTSS", "HLH"),
    *("LLAT", "TEET", "AEL", "SEC", "TTSE", "SLS", "AKE", "TCK"),
)
BATCH = 8
READER_RATE, SELECTOR_RATE = 0.002, 0.001
CHARSET = "alphanumeric36"
LONGEST = 4  # letters
# The paper trains for 50 epochs; its temperature falls once in each.
EPOCHS = 50

# What differs from the light config: widths and lengths, for a reader of sixteen words.
CONFIG = {
    "MODEL.DEVICE": "cpu",
    "MODEL.WEIGHTS": "",
    "MODEL.TEXT.CHARSET": CHARSET,
    "MODEL.TEXT.MAX_LENGTH": LONGEST,
    "MODEL.LIGHT_RESNET.STEM_CHANNELS": 16,
    "MODEL.LIGHT_RESNET.STAGE_CHANNELS": (32, 32, 64, 64),
    "MODEL.FPN.OUT_CHANNELS": 32,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 64,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 32,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 64,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 32,
    "MODEL.RESOLUTION_SELECTOR.WIDTH": 16,
    # The selector is all that is trained: nothing to distil.
    "MODEL.DLD.LAMBDA_SKD": 0.0,
}


def toy_cfg(*opts) -> CfgNode:
    """The light config at toy size; ``opts`` are KEY, VALUE, KEY, VALUE, ..."""
    pairs = [item for pair in CONFIG.items() for item in pair]
    return load_cfg(str(ROOT / "configs" / "MaskRCNNSpotter_Light.yaml"), [*pairs, *opts])


def draw_record(
    rng: np.random.Generator, kind: str, charset: Charset, number: int = WORDS, image_number: int = 0
) -> dict:
    """A training input with ``number`` words of one kind; ``image_number`` is what it is remembered by."""
    texts = [str(word) for word in rng.choice(VOCABULARY, number)]
    shortest = 0
    while shortest < SHORTEST[kind]:  # words that found no room shrank
        scene = draw_scene(rng, texts, SIZE, font_share=FONT_SHARE[kind])
        shortest = min(np.linalg.norm(polygon[3] - polygon[0]) for polygon in scene.polygons)
    words = Instances(SIZE)
    words.gt_masks = WordPolygons.from_list(scene.polygons)
    words.gt_boxes = words.gt_masks.get_bounding_boxes()
    words.gt_classes = torch.zeros(number, dtype=torch.long)
    words.gt_text = charset.encode_rows([*texts, "X" * LONGEST])[:number]  # as wide for every image
    words.gt_ignore = torch.zeros(number, dtype=torch.bool)
    words.image_number = torch.full((number,), image_number)
    image = torch.as_tensor(scene.image.transpose(2, 0, 1).copy())
    return {"image": image, "height": SIZE[0], "width": SIZE[1], "instances": words}


def draw_images(rng: np.random.Generator, count: int, first: int = 0) -> dict[str, list[dict]]:
    """``count`` images of each kind; of those with small words the numbers are negative, so that none is used twice."""
    charset = Charset.load(CHARSET)
    return {
        kind: [draw_record(rng, kind, charset, image_number=sign * (first + i + 1)) for i in range(count)]
        for kind, sign in zip(KINDS, (1, -1), strict=True)
    }


def read_at(spotter: Spotter, records: Sequence[dict], scale: float) -> Reading:
    """The words of some records read at a scale, their own characters fed in."""
    images = spotter.preprocess_image(records)
    words = [record["instances"].to(images.tensor.device) for record in records]
    rescaled = rescale_images(images, scale)
    return spotter.read(rescaled, rescale_words(words, images, rescaled, scale))


def train_reader(cfg: CfgNode, scales: Sequence[float], steps: int, seed: int) -> Spotter:
    """A spotter whose reading branch has learnt both kinds at each of the scales; it cannot find words."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 1])
    charset = Charset.load(CHARSET)
    spotter = build_model(cfg).train()
    optimizer = build_optimizer(cfg, spotter)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, cfg.SOLVER.BASE_LR, steps + 1, pct_start=0.1)
    numbers = {"large": WORDS, "small": SMALL_WORDS_TO_READ}
    progress = trange(steps, desc="reader", unit="step")
    for step in progress:
        records = [draw_record(rng, kind, charset, numbers[kind]) for kind in KINDS * (BATCH // 2)]
        with EventStorage(step):
            reading = read_at(spotter, records, scales[rng.integers(len(scales))])
            loss = sum(spotter.reading_losses(reading).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
    return spotter


class RememberingReader(MaskRCNNSpotter):
    """A frozen spotter that reads each image once at each size, its true words fed in, and remembers the logits.

    They stand for the word features, (R, T, V). That makes hundreds of the selector's training steps cheap, and gives
    the same numbers as reading again. Images are known by ``image_number`` among the fields of their words.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.memory: dict[tuple[int, tuple[int, int]], Tensor] = {}

    def train(self, mode: bool = True) -> "RememberingReader":
        """It never leaves evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def pool(self, images: ImageList, words: list[Instances]) -> Tensor:
        """See ``Spotter.pool``."""
        keys = [(int(w.image_number[0]), size) for w, size in zip(words, images.image_sizes, strict=True)]
        if not all(key in self.memory for key in keys):
            logits = super().recognize(super().pool(images, words), target_tokens(words)).logits
            self.memory.update(zip(keys, logits.split([len(w) for w in words]), strict=True))
        return torch.cat([self.memory[key] for key in keys])

    def recognize(self, roi: Tensor, target: Tensor) -> Reading:
        """See ``Spotter.recognize``."""
        return Reading(roi, roi, roi, target)

    def detection_losses(self, images: ImageList, targets: list[Instances]) -> tuple[dict[str, Tensor], Tensor]:
        """Nothing is trained here."""
        return {}, self.pool(images, targets)

    def reading_losses(self, reading: Reading) -> dict[str, Tensor]:
        """Nothing is trained here."""
        return {}


def train_selector(
    cfg: CfgNode, reader: RememberingReader, images: dict[str, list[dict]], gamma: float, steps: int, seed: int
) -> DLDSpotter:
    """A DLDSpotter around the frozen reader, its selector trained from scratch on the given images of each kind."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 2])
    dld = cfg.MODEL.DLD
    model = DLDSpotter(
        student=reader,
        teacher=reader,
        selector=build_resolution_selector(cfg),
        scales=dld.SCALES,
        costs=[scale**2 for scale in dld.SCALES],
        weights=DistillationWeights(gamma=gamma, lambda_skd=0.0),
    ).train()
    optimizer = build_optimizer(cfg, model)
    progress = trange(steps, desc=f"selector, gamma {gamma:g}", unit="step")
    for step in progress:
        model.temperature.fill_(dld.TEMPERATURE * dld.TEMPERATURE_DECAY ** (step * EPOCHS // steps))
        records = [records[i] for records in images.values() for i in rng.integers(len(records), size=BATCH // 2)]
        with EventStorage(step) as storage:
            loss = sum(model(records).values())
            figures = {name: storage.latest()[f"selector/{name}"][0] for name in ("mean_cost", "entropy")}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.set_postfix({name: f"{value:.2f}" for name, value in figures.items()}, refresh=False)
    return model.eval()


class Readings(NamedTuple):
    """What a frozen reader makes of images of one kind, at each of the k scales and, last, at full resolution.

    Attributes:
        right: (k + 1, images, WORDS) bool, whether a word is read right.
        divergence: (k,) mean of L_acc at each scale.
        cheapest: (images,) index of the cheapest scale at which all words are read as at full resolution.
    """

    right: Tensor
    divergence: Tensor
    cheapest: Tensor


@torch.no_grad()
def read_everything(reader: Spotter, records: list[dict], scales: Sequence[float]) -> Readings:
    """Read the words of images of one kind at every scale."""
    readings = [[read_at(reader, part, scale) for scale in (*scales, 1.0)] for part in in_batches(records)]
    target = torch.cat([row[0].target for row in readings])
    logits = torch.cat([torch.stack([reading.logits for reading in row]) for row in readings], dim=1)
    valid = target != PAD
    right = ((logits.argmax(dim=-1) == target) | ~valid).all(dim=2).unflatten(1, (-1, WORDS))
    image_of_word = torch.arange(len(records)).repeat_interleave(WORDS)
    always = torch.ones(len(records), 1)
    divergence = [accuracy_loss(always, row[None], logits[-1], valid, image_of_word) for row in logits[:-1]]
    costs = torch.tensor([scale**2 for scale in scales])
    cheapest = cheapest_equal_scale(logits[:-1], logits[-1], valid, image_of_word, len(records), costs)
    return Readings(right, torch.stack(divergence), cheapest)


def in_batches(records: Sequence[dict], size: int = 16) -> list[Sequence[dict]]:
    """The records in their order, ``size`` at a time."""
    return [records[start : start + size] for start in range(0, len(records), size)]


@torch.no_grad()
def judge(model: DLDSpotter, images: dict[str, list[dict]], read: dict[str, Readings]) -> dict:
    """What a trained selector chooses for held-out images, as inference asks it, and what that is worth."""
    scales, count = model.scales, len(model.scales)
    result: dict = {"share": {}, "right": {}, "words_read": {}, "cheapest_within_one": {}, "best_fixed_scale": {}}
    costs = []
    for kind, records in images.items():
        batches = [model.student.preprocess_image(part) for part in in_batches(records)]
        chosen = torch.tensor([scales.index(scale) for part in batches for scale in model.choose_scales(part)])
        right, divergence, cheapest = read[kind]
        result["share"][kind] = [(chosen == index).float().mean().item() for index in range(count)]
        is_right = chosen < count / 2 if kind == "large" else chosen >= count / 2
        result["right"][kind] = is_right.float().mean().item()
        result["words_read"][kind] = right[chosen, torch.arange(len(chosen))].float().mean().item()
        result["cheapest_within_one"][kind] = ((chosen - cheapest).abs() <= 1).float().mean().item()
        best = (divergence + model.weights.gamma * model.costs).argmin()
        result["best_fixed_scale"][kind] = scales[best]
        costs.append(model.costs[chosen].mean().item())
    result["mean_cost"] = float(np.mean(costs))
    result["right_choices"] = float(np.mean(list(result["right"].values())))
    return result


def report(scales: Sequence[float], read: dict[str, Readings], results: dict[float, dict]) -> None:
    """Print the reader's accuracy and the choices as tables."""
    header = "".join(f"{scale:8g}" for scale in scales)
    print(f"\nThe frozen reader on held-out images\n{'scale':<24}{header}       1")
    for kind, readings in read.items():
        share = readings.right.float().mean(dim=(1, 2)).tolist()
        print(f"{f'{kind}: words read right':<24}" + "".join(f"{100 * value:7.1f}%" for value in share))
        print(f"{f'{kind}: L_acc':<24}" + "".join(f"{value:8.3f}" for value in readings.divergence.tolist()))
    print("\nShare of held-out images for which each scale is chosen; the fixed scale of least L_acc + gamma L_flops")
    print(f"{'gamma, kind':<24}{header}   right  words read  best fixed")
    for gamma, result in results.items():
        for kind in KINDS:
            share = "".join(f"{100 * value:7.1f}%" for value in result["share"][kind])
            figures = f"{100 * result['right'][kind]:7.1f}%{100 * result['words_read'][kind]:11.1f}%"
            print(f"{f'{gamma:g}, {kind}':<24}{share}{figures}{result['best_fixed_scale'][kind]:12g}")
    print(f"\n{'gamma':<8}{'right choices':>14}{'mean cost':>11}{'within a step of the cheapest equal scale':>43}")
    for gamma, result in results.items():
        near = np.mean(list(result["cheapest_within_one"].values()))
        print(f"{gamma:<8g}{100 * result['right_choices']:13.1f}%{result['mean_cost']:11.3f}{100 * near:42.1f}%")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if 90% of the choices are right at the first gamma, and the mean cost falls as gamma rises; else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--gammas", type=float, nargs="+", default=[0.3, 0.03, 0.1, 1.0], help="the first is judged")
    parser.add_argument("--reader-steps", type=int, default=1000)
    parser.add_argument("--selector-steps", type=int, default=1000)
    parser.add_argument("--train-images", type=int, default=400, help="of each kind, for the selector")
    parser.add_argument("--images", type=int, default=128, help="held-out images of each kind")
    parser.add_argument("--reader", type=Path, help="weights of a reader that an earlier run left in its output folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("output") / "toy_selection", help="folder of the results")
    args = parser.parse_args(argv)
    logging.getLogger("torch.fx").setLevel(logging.ERROR)
    start = time.monotonic()

    cfg = toy_cfg("SOLVER.BASE_LR", SELECTOR_RATE)
    scales = tuple(cfg.MODEL.DLD.SCALES)
    args.output.mkdir(parents=True, exist_ok=True)
    weights = args.reader or args.output / "reader.pth"
    if args.reader is None:
        spotter = train_reader(toy_cfg("SOLVER.BASE_LR", READER_RATE), (*scales, 1.0), args.reader_steps, args.seed)
        torch.save(spotter.state_dict(), weights)
    reader = RememberingReader(cfg).eval()
    reader.load_state_dict(torch.load(weights, weights_only=True))

    rng = np.random.default_rng([args.seed, 3])
    train_images, held_out = draw_images(rng, args.train_images), draw_images(rng, args.images, args.train_images)
    read = {kind: read_everything(reader, records, scales) for kind, records in held_out.items()}
    for records in tqdm(train_images.values(), desc="reading the selector's images at all scales", unit="kind"):
        read_everything(reader, records, scales)
    results = {}
    for gamma in args.gammas:
        model = train_selector(cfg, reader, train_images, gamma, args.selector_steps, args.seed)
        results[gamma] = judge(model, held_out, read)
    report(scales, read, results)
    seconds = time.monotonic() - start
    costs = [results[gamma]["mean_cost"] for gamma in sorted(results)]
    falls = all(low > high for low, high in zip(costs[:-1], costs[1:], strict=True))
    judged = args.gammas[0]
    right = results[judged]["right_choices"]
    print(
        f"\nRight choices at gamma {judged:g}: {100 * right:.1f}% of {2 * args.images} held-out images; the mean cost "
        f"{'falls' if falls else 'DOES NOT FALL'} as gamma rises. {seconds / 60:.1f} minutes."
    )
    accuracy = {kind: readings.right.float().mean(dim=(1, 2)).tolist() for kind, readings in read.items()}
    record = {"scales": scales, "words_read_by_scale": accuracy, "gammas": results, "seconds": seconds}
    (args.output / "figures.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return int(right < 0.9 or not falls)


if __name__ == "__main__":
    sys.exit(main())
