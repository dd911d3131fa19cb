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
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.structures import Instances
from detectron2.utils.events import EventStorage
from torch import Tensor, nn
from tqdm import tqdm, trange

from dld_spotter.config import load_cfg
from dld_spotter.data.charset import PAD, Charset
from dld_spotter.data.synthetic import draw_scene
from dld_spotter.engine.optimizer import build_optimizer
from dld_spotter.modeling.dld import DLDSpotter, cheapest_equal_scale, evaluating
from dld_spotter.modeling.rescale import rescale_images, rescale_words
from dld_spotter.modeling.spotter import Spotter, target_tokens
from dld_spotter.structures import WordPolygons

ROOT = Path(__file__).resolve().parents[1]
SIZE = (128, 192)
KINDS = ("large", "small")
# Font sizes as shares of the height. Capital letters are 32 to 38 pixels tall in the one kind, 9 to 11 in the other.
FONT_SHARE = {"large": (0.35, 0.42), "small": (0.102, 0.125)}
WORDS = 2  # in every image of the second part, so that their number says nothing
SMALL_WORDS_TO_READ = 6  # in an image for the reader, which needs more practice with these
LETTERS = "ACEHKLST"  # all of one height
BATCH = 8
# The paper trains for 50 epochs; its temperature falls once in each.
EPOCHS = 50

# What differs from the light config: widths and lengths, for a reader of eight letters.
CONFIG = {
    "MODEL.WEIGHTS": "",
    "MODEL.TEXT.MAX_LENGTH": 4,
    "MODEL.LIGHT_RESNET.STEM_CHANNELS": 16,
    "MODEL.LIGHT_RESNET.STAGE_CHANNELS": (32, 32, 64, 64),
    "MODEL.FPN.OUT_CHANNELS": 32,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 64,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 32,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 64,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 32,
    "MODEL.ROI_TEXT_HEAD.HIDDEN_SIZE": 64,
    "MODEL.RESOLUTION_SELECTOR.WIDTH": 16,
    # The selector is all that is trained: nothing to distil.
    "MODEL.DLD.LAMBDA_SKD": 0.0,
    "SOLVER.BASE_LR": 0.001,
}


def toy_cfg(*opts) -> CfgNode:
    """The light config at toy size; ``opts`` are KEY, VALUE, KEY, VALUE, ..."""
    pairs = [item for pair in CONFIG.items() for item in pair]
    return load_cfg(str(ROOT / "configs" / "MaskRCNNSpotter_Light.yaml"), [*pairs, *opts])


def draw_record(rng: np.random.Generator, kind: str, charset: Charset, number: int = WORDS) -> dict:
    """A training input with ``number`` random words of one kind."""
    texts = ["".join(rng.choice(list(LETTERS), rng.integers(3, 5))) for _ in range(number)]
    scene = draw_scene(rng, texts, SIZE, font_share=FONT_SHARE[kind])
    words = Instances(SIZE)
    words.gt_masks = WordPolygons.from_list(scene.polygons)
    words.gt_boxes = words.gt_masks.get_bounding_boxes()
    words.gt_classes = torch.zeros(number, dtype=torch.long)
    words.gt_text = charset.encode_rows(texts)
    words.gt_ignore = torch.zeros(number, dtype=torch.bool)
    image = torch.as_tensor(scene.image.transpose(2, 0, 1).copy())
    return {"image": image, "height": SIZE[0], "width": SIZE[1], "instances": words}


def train_reader(cfg: CfgNode, scales: Sequence[float], steps: int, seed: int) -> nn.Module:
    """A spotter whose reading branch has learnt both kinds at each of the scales; it cannot find words."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 1])
    charset = Charset.load(cfg.MODEL.TEXT.CHARSET)
    spotter = build_model(cfg).train()
    optimizer = build_optimizer(cfg, spotter)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, cfg.SOLVER.BASE_LR, max(steps, 2), pct_start=0.1)
    numbers = {"large": WORDS, "small": SMALL_WORDS_TO_READ}
    progress = trange(steps, desc="reader", unit="step")
    for step in progress:
        records = [draw_record(rng, KINDS[i % 2], charset, numbers[KINDS[i % 2]]) for i in range(BATCH)]
        with EventStorage(step):
            logits, target = read_at(spotter, records, scales[rng.integers(len(scales))])
            loss = spotter.roi_heads.text_head.losses  # placeholder
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
    return spotter
