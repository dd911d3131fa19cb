"""Reading on a cluster: a Ray Data pipeline whose actors hold a model each."""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dld_spotter.batch.photo_reader import MakePredictor, PhotoReader
from dld_spotter.batch.shard_collector import Records
from dld_spotter.batch.work_items import Item

logger = logging.getLogger(__name__)

_TASKS_OF_AN_ACTOR = 8  # so that all actors end at about the same time
_PHOTOS_OF_A_TASK = 16
_RETRIES = 3  # of a task whose actor died; after that its photos are read one by one
_LOOK_AFTER = 1.0  # seconds
_OBJECT_STORE = 512 << 20  # bytes, for a cluster of this machine alone: photos do not go through it


@dataclass(frozen=True)
class ActorOptions:
    """Actors and what each of them gets.

    Attributes:
        actors: how many; 0 for as many as fit.
        cpus: cores of an actor.
        gpus: of an actor; a share where several actors use one GPU.
        batch_size: photos in a forward pass at most.
        patience: seconds without an answer after which it is looked whether the cluster has become too small for all
            actors.
    """

    actors: int = 0
    cpus: float = 1
    gpus: float = 0
    batch_size: int = 1
    patience: float = 60

    def __post_init__(self) -> None:
        """Raises:
        ValueError: a number that makes no sense.
        """
        if self.actors < 0 or self.cpus <= 0 or self.gpus < 0 or self.batch_size < 1:
            raise ValueError("actors, cores and GPUs are no negative numbers, and --batch-size is 1 or more.")


def connect(address: str | None = None, cpus: int | None = None) -> None:
    """Connect to a cluster, or start one of this machine; a program that is connected stays so.

    Ray's usage statistics are turned off, unless RAY_USAGE_STATS_ENABLED says otherwise.

    Args:
        address: of a cluster's head, or "auto"; None starts one here.
        cpus: of the one that is started; by default all cores.

    Raises:
        ImportError: Ray is not installed.
        OSError: there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of each actor it says how it could be lost
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(f"batches need Ray ({error}): `pip install 'dld_spotter[batch]'`.") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:  # lost tasks are told below; all goes to Ray's log files
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.CRITICAL)
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"address": address} if address else {"address": "local", "num_cpus": cpus}
    if not address:
        options |= {"object_store_memory": _OBJECT_STORE, "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise OSError(f"Ray does not start, or there is no cluster at {address or 'this machine'}: {error}") from error


@dataclass
class RayEngine:
    """Reads with actors on the cluster that ``connect`` gave.

    An actor that dies is replaced by Ray, and its photos are read again. Where a node is gone for good and the actors
    that are left have nothing to do, the rest is read with as many actors as the cluster has room for.

    Attributes:
        make_predictor: makes the model of an actor, there.
        options: of the actors.
        stream: more arguments of ``TextPredictor.stream``.
    """

    make_predictor: MakePredictor
    options: ActorOptions = field(default_factory=ActorOptions)
    stream: Mapping[str, Any] = field(default_factory=dict)

    def read(self, work: Sequence[tuple[int, Item]], alone: bool) -> Iterator[tuple[int, Records]]:
        """See ``batch_job.Engine``.

        Raises:
            RuntimeError: the actors cannot make their model, or the cluster has no room for one.
        """
        waiting = dict(work)
        while waiting:
            dataset_pass = _Pass(self, list(waiting.items()), alone)
            for number, records in dataset_pass.answers():
                waiting.pop(number, None)
                yield number, records
            if not dataset_pass.given_up:
                return

    def room(self) -> int:
        """How many actors the nodes that are alive have room for, at most as many as asked for.

        Raises:
            RuntimeError: for none.
        """
        import ray

        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus, gpus = self.options.cpus, self.options.gpus
        fitting = sum(
            int(min(node.get("CPU", 0) / cpus, node.get("GPU", 0) / gpus if gpus else float("inf"))) for node in alive
        )
        if not fitting:
            raise RuntimeError(f"no node of the cluster has {cpus:g} CPUs and {gpus:g} GPUs for an actor.")
        return min(fitting, self.options.actors or fitting)


class _Pass:
    """One run of a pipeline over some photos.

    Attributes:
        given_up: whether it was ended because the cluster has become too small for its actors.
    """

    def __init__(self, engine: RayEngine, work: Sequence[tuple[int, Item]], alone: bool):
        self.given_up = False
        self._name = f"dld_spotter-{uuid.uuid4().hex}"
        self._engine = engine
        self._actors = min(engine.room(), len(work))
        self._dataset = self._pipeline(work, alone)
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def answers(self) -> Iterator[tuple[int, Records]]:
        """See ``RayEngine.read``."""
        # A thread, because waiting for Ray cannot be ended from within.
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        last = time.monotonic()
        try:
            while True:
                try:
                    answer = self._queue.get(timeout=_LOOK_AFTER)
                except queue.Empty:
                    # Before the first answer, actors may still be starting: none of them holds photos back.
                    waited = time.monotonic() - last
                    if waited > self._engine.options.patience and self._executor is not None and self._too_many():
                        self.given_up = True
                        logger.warning("the cluster has room for %d actors now.", self._engine.room())
                        return
                    continue
                last = time.monotonic()
                if answer is None:
                    return
                if isinstance(answer, BaseException):
                    raise RuntimeError(f"Ray cannot read: {_cause(answer)}") from answer
                for number, records in zip(answer["number"], answer["records"], strict=True):
                    yield int(number), json.loads(str(records))
        finally:
            if thread.is_alive() and self._executor is not None:
                self._executor.shutdown(force=True)
            self._end_actors()

    def _pipeline(self, work: Sequence[tuple[int, Item]], alone: bool) -> Any:
        import ray.data

        # Ray 2.60 advises against this argument, and has no other way to bound the retries and to name the actors.
        warnings.filterwarnings("ignore", r"`ray_remote_args_fn` is deprecated")
        options = self._engine.options
        size = 1 if alone else _task_size(len(work), self._actors, options.batch_size)
        rows = [{"number": number, "item": item.to_json()} for number, item in work]
        ray.data.DataContext.get_current().max_errored_blocks = -1  # what a task has lost is read once more
        return ray.data.from_items(rows, override_num_blocks=-(-len(rows) // size)).map_batches(
            PhotoReader,
            fn_constructor_args=(self._engine.make_predictor, options.batch_size, dict(self._engine.stream)),
            batch_size=size,
            compute=ray.data.ActorPoolStrategy(size=self._actors, max_tasks_in_flight_per_actor=1 if alone else 2),
            num_cpus=options.cpus,
            num_gpus=options.gpus or None,
            ray_remote_args_fn=partial(_actor_arguments, self._name, 1 if alone else _RETRIES),
        )

    def _run(self) -> None:
        try:
            for batch in self._dataset.iter_batches(batch_size=None, prefetch_batches=0):
                self._queue.put(batch)
            self._queue.put(None)
        except BaseException as error:
            self._queue.put(error)

    def _too_many(self) -> bool:
        try:
            return self._engine.room() < self._actors
        except RuntimeError:  # all nodes are gone; they may come back
            return False

    def _end_actors(self) -> None:
        """End those of this pass: where tasks were lost, Ray keeps them, and with them the cores of the next pass."""
        import ray
        from ray.util import list_named_actors

        for name in list_named_actors():
            if name.startswith(self._name):
                with suppress(ValueError):  # it has ended meanwhile
                    ray.kill(ray.get_actor(name))

    @property
    def _executor(self) -> Any:
        """What runs the pipeline, to end it; Ray has it from the first answer on, and no public name for it."""
        return getattr(self._dataset, "_current_executor", None)


def make_predictor(settings: Mapping[str, Any]) -> MakePredictor:
    """A function that makes a ``TextPredictor`` in an actor.

    Args:
        settings: its arguments.
    """
    given = dict(settings)

    def make() -> Any:
        import cv2

        from dld_spotter.predictor import TextPredictor

        cv2.setNumThreads(given.get("threads") or 1)
        return TextPredictor(**given)

    return make


def _actor_arguments(name: str, retries: int) -> dict[str, Any]:
    """Of one actor: its own name, and what comes of its death."""
    return {"name": f"{name}-{uuid.uuid4().hex[:8]}", "max_restarts": -1, "max_task_retries": retries}


def _task_size(photos: int, actors: int, batch_size: int) -> int:
    """Photos of a task: as many as make sense for one, and few enough that the actors end together."""
    fair = photos // (actors * _TASKS_OF_AN_ACTOR)
    return max(batch_size, min(_PHOTOS_OF_A_TASK, fair), 1)


def _cause(error: BaseException) -> str:
    """The last line that says something: Ray's errors hold the whole trace of an actor."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
