"""A very small training in a process of its own, which kills itself at a chosen moment."""

import io
import json
import math
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import engine_toy
import torch
from detectron2.engine import HookBase
from detectron2.engine.hooks import PeriodicWriter
from detectron2.utils.logger import setup_logger

from dld_spotter.engine import weights_file

# Files of which every call is a moment at which a run may be killed.
_COUNTED = ("/dld_spotter/engine/", "/detectron2/engine/", "/detectron2/utils/events", "/fvcore/common/checkpoint")
_COUNTED = (*_COUNTED, "/torch/serialization", __file__)


class Killer:
    """A profiler that kills the process at the n-th call.

    Args:
        calls: n; of the functions called ``name``, or without a name of all that matter. 0: never.
    """

    def __init__(self, calls: int, name: str = ""):
        self.calls, self.name = calls, name
        self.count = 0
        self._counts: dict = {}

    def __call__(self, frame, event, argument) -> None:
        if event not in ("call", "c_call"):
            return
        code = frame.f_code
        if code not in self._counts:
            counted = any(part in code.co_filename for part in _COUNTED)
            self._counts[code] = code.co_qualname == self.name if self.name else counted
        if self._counts[code] and (event == "call" or not self.name):
            self.count += 1
            if self.count == self.calls:
                os.kill(os.getpid(), signal.SIGKILL)


class UnbufferedFile:
    """A file whose bytes are on the disk after each ``write``, so that a kill leaves a part of them."""

    def __init__(self, path, mode):
        self.file = io.FileIO(path, mode)

    def write(self, data):
        return self.file.write(data)

    def flush(self):
        self.file.flush()

    def fileno(self):
        return self.file.fileno()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


class Losses(HookBase):
    """Appends the losses of each iteration to a file."""

    def after_step(self):
        latest = self.trainer.storage.latest()
        row = [self.trainer.iter, {name: value for name, (value, _) in latest.items() if "loss" in name}]
        with open(Path(self.trainer.cfg.OUTPUT_DIR) / "losses.jsonl", "a") as stream:
            stream.write(json.dumps(row) + "\n")


class KilledTrainer(engine_toy.ToyTrainer):
    """Its evaluations depend on the weights and on random numbers, and its rows are written every three iterations."""

    @classmethod
    def test(cls, cfg, model, evaluators=None):
        total = sum(value.double().abs().sum().item() for value in model.state_dict().values())
        return {"e2e_none": {"hmean": math.modf(1e3 * total)[0] + torch.rand(1).item()}}

    def build_hooks(self):
        hooks = [*super().build_hooks(), Losses()]
        for hook in hooks:
            if isinstance(hook, PeriodicWriter):
                hook._period = 3
        return hooks


def run(cfg, resume: bool, killer: Killer) -> None:
    """Train; what a process does."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    setup_logger(name="detectron2", configure_stdout=False)
    weights_file.open = lambda path, mode: (UnbufferedFile if mode == "wb" else open)(path, mode)
    sys.setprofile(killer)
    trainer = KilledTrainer(cfg)
    trainer.resume_or_load(resume=resume)
    trainer.train()
    sys.setprofile(None)
    Path(cfg.OUTPUT_DIR, "calls").write_text(str(killer.count))


def start(cfg, resume: bool, calls: int = 0, name: str = "") -> bool:
    """Train in a process; returns whether it was killed, or else has ended well."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dld_spotter.engine", "torch.utils.tensorboard"])  # importing is what takes long
    process = context.Process(target=run, args=(cfg, resume, Killer(calls, name)))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0
