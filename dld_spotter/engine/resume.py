"""Exact resume: a run that was killed at any moment and is resumed equals one that was not.

How it works:

* Weights, optimiser, schedule, loss scale and seed are in each checkpoint. A file is written whole or not at all
  (``weights_file.write_whole``), and ``last_checkpoint``, written in the same way, names the one that counts.
* The samples of a step depend on the seed and the iteration alone (``data.loader.SeededBatchSampler``), and so do the
  random numbers of the step and of what follows it (``SeedEachStep``).
* Each checkpoint holds the log, too: the scalars of which the next medians are taken, and how far ``metrics.json`` has
  come (``log_state``). What was written after it is cut off, since the resumed run writes it again.
* After its checkpoint an iteration goes on: evaluation, best checkpoint, writers. ``FinishedStep`` notes when that is
  done, with the log as it is then. Where no such note belongs to the checkpoint, ``finish_step`` does it before the
  first step. Training may end with an evaluation after its last checkpoint, for which the same holds.

Times are of the machine, not of the run, and are left out. PreciseBN reads images of its own and is not exact.
"""

import json
import logging
import os
import random
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.engine import HookBase
from detectron2.engine.hooks import EvalHook, PeriodicCheckpointer
from detectron2.engine.train_loop import TrainerBase
from detectron2.utils import comm
from detectron2.utils.events import EventStorage, EventWriter, JSONWriter, TensorboardXWriter

from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.engine.weights_file import UNFINISHED, write_whole

logger = logging.getLogger(__name__)

NOTE = "finished_step.json"
FINAL = "model_final"
_TIMES = ("time", "data_time", "rank_data_time", "eta_seconds")
# Detectron2's writers smooth over so many iterations.
_WINDOW = 20


class SeedEachStep(HookBase):
    """Seed Python, NumPy and torch before each step and after it, from the run's seed, iteration and process.

    The state of the random generators therefore need not be in a checkpoint: a step draws the same numbers whether the
    run was interrupted before it or not, and whatever an evaluation in between has drawn.
    """

    def before_step(self) -> None:
        self._seed()

    def after_step(self) -> None:
        self._seed(1)

    def after_train(self) -> None:
        self._seed(1)

    def _seed(self, *more: int) -> None:
        key = (self.trainer.cfg.SEED, self.trainer.iter, comm.get_rank(), *more)
        seeds = np.random.SeedSequence(key).generate_state(3)
        random.seed(int(seeds[0]))
        np.random.seed(seeds[1])  # noqa: NPY002 (Detectron2 draws from NumPy's global generator)
        torch.manual_seed(int(seeds[2]))  # of every GPU, too


class MetricsFile(JSONWriter):
    """``metrics.json``, which can be brought back to an earlier state."""

    def __init__(self, path: str):
        super().__init__(path, _WINDOW)
        self.path = path

    def state_dict(self) -> dict[str, int]:
        """The file's length in bytes, and the last iteration in it."""
        return {"size": os.path.getsize(self.path), "last_write": self._last_write}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Cut off what was written since."""
        if os.path.getsize(self.path) > state["size"]:
            os.truncate(self.path, state["size"])
        self._last_write = state["last_write"]


class EventFile(TensorboardXWriter):
    """TensorBoard's events; those after an earlier state can be hidden."""

    def state_dict(self) -> dict[str, int]:
        """The last iteration that was written."""
        return {"last_write": self._last_write}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let TensorBoard ignore what earlier files hold of later iterations; before anything is written."""
        self._last_write = state["last_write"]
        self._writer_args["purge_step"] = state["last_write"] + 1


def log_state(storage: EventStorage, writers: Sequence[EventWriter]) -> dict[str, Any]:
    """What the next rows of the log depend on, as plain numbers and texts."""
    scalars = {}
    for name, history in storage.histories().items():
        if name in _TIMES:
            continue
        scalars[name] = {"smooth": storage.smoothing_hints()[name], "values": _recent(history.values())}
    states = {type(writer).__name__: writer.state_dict() for writer in writers if hasattr(writer, "state_dict")}
    return {"scalars": scalars, "writers": states}


def _recent(values: Sequence[tuple[float, int]]) -> list[list[float]]:
    """Pairs (value, iteration) of the last window."""
    first = values[-1][1] - _WINDOW
    return [list(pair) for pair in takewhile(lambda pair: pair[1] > first, reversed(values))][::-1]


def restore_log(storage: EventStorage, writers: Sequence[EventWriter], state: dict[str, Any]) -> None:
    """Bring storage and writers into a state of ``log_state``."""
    for name, scalar in state["scalars"].items():
        for value, iteration in scalar["values"]:
            storage.put_scalar(name, value, smoothing_hint=scalar["smooth"], cur_iter=iteration)
    for writer in writers:
        if type(writer).__name__ in state["writers"]:
            writer.load_state_dict(state["writers"][type(writer).__name__])


class FinishedStep(HookBase):
    """The last hook: notes that nothing of an iteration with a checkpoint is outstanding, and the log of then.

    Args:
        checkpointer: whose checkpoints are meant.
        period: iterations from one to the next.
        writers: of the log.
    """

    def __init__(self, checkpointer: TextCheckpointer, period: int, writers: Sequence[EventWriter]):
        self.checkpointer = checkpointer
        self.period = period
        self.writers = writers

    def after_step(self) -> None:
        following = self.trainer.iter + 1
        # The last iteration is finished when training is.
        if following % self.period == 0 and following < self.trainer.max_iter:
            self._note(self.trainer.iter)

    def after_train(self) -> None:
        if self.trainer.iter >= self.trainer.max_iter:  # not after a failure
            self._note(self.trainer.max_iter - 1)

    def _note(self, iteration: int) -> None:
        checkpoint = os.path.basename(self.checkpointer.get_checkpoint_file())
        log = log_state(self.trainer.storage, self.writers)
        note = json.dumps({"checkpoint": checkpoint, "iteration": iteration, "log": log})
        path = os.path.join(self.checkpointer.save_dir, NOTE)
        write_whole(path, lambda stream: stream.write(note.encode()))


def read_note(checkpoint: str, iteration: int) -> dict[str, Any] | None:
    """The note of ``FinishedStep`` for a checkpoint; None if its iteration was not finished.

    Args:
        checkpoint: its file.
        iteration: that was the last one before it.
    """
    path = Path(checkpoint).with_name(NOTE)
    try:
        note = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        fits = (note["checkpoint"], note["iteration"]) == (os.path.basename(checkpoint), iteration)
    except (ValueError, KeyError, TypeError):  # not written by FinishedStep
        return None
    return note if fits else None


def finish_step(trainer: TrainerBase, checkpointer: TextCheckpointer) -> None:
    """Do what an iteration had still to do when the run was killed after its checkpoint, before the first step."""
    start = trainer.start_iter
    trainer.iter = trainer.storage.iter = start - 1
    tagged = os.path.basename(checkpointer.get_checkpoint_file())
    if start == trainer.max_iter and tagged != f"{FINAL}.pth":
        checkpointer.save(FINAL, iteration=trainer.iter)
    kinds = [isinstance(hook, PeriodicCheckpointer | EvalHook) for hook in trainer._hooks]
    for place, hook in enumerate(trainer._hooks):
        outstanding = place >= kinds.index(True) and not isinstance(hook, PeriodicCheckpointer)
        if outstanding or isinstance(hook, SeedEachStep):
            hook.after_step()
    trainer.iter = trainer.storage.iter = start


def forget_earlier_run(folder: str) -> None:
    """Take away the note of an earlier run in a folder where a new one begins."""
    Path(folder, NOTE).unlink(missing_ok=True)


def tidy_checkpoints(folder: str, iteration: int, at_most: int) -> list[str]:
    """Take away what a kill has left: half-written files, and old checkpoints that were due to go.

    Args:
        folder: OUTPUT_DIR.
        iteration: of the checkpoint from which the run goes on.
        at_most: so many periodic checkpoints stay; 0: all.

    Returns:
        those that stay, the oldest first. Later ones, which the run will write again, are not among them.
    """
    for path in Path(folder).glob(f"*{UNFINISHED}"):
        path.unlink()
    found = sorted(path for path in Path(folder).iterdir() if re.fullmatch(r"model_\d{7,}\.pth", path.name))
    found = [path for path in found if int(path.stem.removeprefix("model_")) <= iteration]
    surplus = found[:-at_most] if at_most else []
    for path in surplus:
        path.unlink()
    return [str(path) for path in found[len(surplus) :]]
