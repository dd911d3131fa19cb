"""A small model and trainer for the tests of the engine, and what processes of a distributed test run."""

import json

import torch
import toy
from detectron2.engine import HookBase
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.utils import comm
from torch import nn
from torch.nn import functional

from dld_spotter.data.charset import NUM_SPECIAL, Charset
from dld_spotter.engine import Trainer


class ToyTextHead(nn.Module):
    def __init__(self, charset):
        super().__init__()
        tokens = len(charset) + NUM_SPECIAL
        self.register_buffer("charset_code_points", charset.code_points())
        self.encode = nn.Linear(4, 6)
        self.embed = nn.Embedding(tokens, 6)
        self.classify = nn.Linear(6, tokens)


@META_ARCH_REGISTRY.register()
class ToySpotter(nn.Module):
    """Learns the mean of an image and the first characters of its words; drops features out, so that it is random."""

    def __init__(self, cfg):
        super().__init__()
        charset = Charset.load(cfg.MODEL.TEXT.CHARSET)
        self.input_format = cfg.INPUT.FORMAT
        self.conv = nn.Conv2d(3, 4, 3, stride=4)
        self.drop = nn.Dropout(0.5)
        self.mean = nn.Linear(4, 1)
        self.text_head = ToyTextHead(charset)

    def forward(self, batched_inputs):
        features = [self.conv(x["image"][None].float() / 255).relu().mean(dim=(2, 3)) for x in batched_inputs]
        features = self.drop(torch.cat(features))
        if not self.training:
            return [{"instances": None} for _ in batched_inputs]
        target = torch.stack([x["image"].float().mean() / 255 for x in batched_inputs])
        first = torch.stack([x["instances"].gt_text[0, 0] for x in batched_inputs])
        embedded = self.text_head.encode(features) + self.text_head.embed(first)
        return {
            "loss_mean": (self.mean(features)[:, 0] - target).square().mean(),
            "loss_text": nn.functional.cross_entropy(self.text_head.classify(embedded), first),
        }


class ToyTrainer(Trainer):
    """The trainer without a real evaluation."""

    @classmethod
    def test(cls, cfg, model, evaluators=None):
        torch.rand(7)  # an evaluation may draw random numbers
        return {}

    @classmethod
    def build_sample_hook(cls, cfg):
        return None


class LossRecorder(HookBase):
    """Keeps the losses of each iteration; stops the run like a kill before iteration ``stop``."""

    def __init__(self, stop=None):
        self.losses = {}
        self.stop = stop

    def before_step(self):
        if self.trainer.iter == self.stop:
            raise KeyboardInterrupt

    def after_step(self):
        if comm.is_main_process():
            latest = self.trainer.storage.latest()
            self.losses[self.trainer.iter] = {k: v for k, (v, _) in latest.items() if "loss" in k}


def toy_cfg(folder, *opts, model="ToySpotter", num_images=5, **drawing):
    """A config of a run of 6 iterations over drawn images in ``folder``."""
    json_file, image_root = toy.write_toy_dataset(folder, num_images, **drawing)
    name = f"toy_{folder}"
    return toy.tiny_cfg(
        *("MODEL.META_ARCHITECTURE", model),
        *("DATASETS.CUSTOM", [(name, image_root, json_file)]),
        *("DATASETS.TRAIN", (name,), "DATASETS.TEST", (name,)),
        *("OUTPUT_DIR", str(folder / "output")),
        *("SOLVER.MAX_ITER", 6, "SOLVER.STEPS", (4,), "SOLVER.WARMUP_ITERS", 2, "SOLVER.BASE_LR", 0.01),
        *("SOLVER.CHECKPOINT_PERIOD", 3, "TEST.EVAL_PERIOD", 2),
        *opts,
    )


def train(cfg, stop=None, resume=False, trainer_class=ToyTrainer):
    """Train; returns the trainer and {iteration: {name: loss}}."""
    torch.manual_seed(0)  # the same initial weights in every run
    trainer = trainer_class(cfg)
    recorder = LossRecorder(stop)
    trainer.register_hooks([recorder])
    trainer.resume_or_load(resume=resume)
    try:
        trainer.train()
    except KeyboardInterrupt:
        assert stop is not None
    return trainer, recorder.losses


def train_deterministically(runs):
    """Train each (config, result file) with the first candidates in place of random ones; write losses and results."""
    random_order, random_choice = torch.randperm, functional.gumbel_softmax
    torch.randperm = lambda n, **options: torch.arange(n, device=options.get("device"))
    functional.gumbel_softmax = likeliest_choice
    try:
        for cfg, result_file in runs:
            trainer, losses = train(cfg, trainer_class=Trainer)
            if comm.is_main_process():
                result_file.write_text(json.dumps({"losses": losses, "results": trainer._last_eval_results}))
    finally:
        torch.randperm, functional.gumbel_softmax = random_order, random_choice


def likeliest_choice(logits, tau, hard):
    """Gumbel-softmax without its noise."""
    soft = (logits / tau).softmax(dim=1)
    return functional.one_hot(soft.argmax(dim=1), soft.shape[1]) + soft - soft.detach()
