"""Photos on their way through the service: they wait, are decoded, and are read in batches of those that wait."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from time import monotonic
from typing import Protocol

import numpy as np

from dld_spotter.results import TextResult
from dld_spotter.serve.limits import Limits, Refusal
from dld_spotter.serve.service_metrics import ServiceMetrics

logger = logging.getLogger(__name__)

DECODERS = 2  # so that a photo which takes long does not hold up the others


class Decoder(Protocol):
    """What makes pixels of bytes; for one thread."""

    def decode(self, data: bytes) -> np.ndarray:
        """(H, W, 3) uint8 in BGR order, or a Refusal is raised."""

    def close(self) -> None:
        """Give back what it holds."""


@dataclass(frozen=True)
class Reading:
    """What was read of one photo.

    Attributes:
        result: its words.
        seconds: that the model took for the photo's batch, over the photos of the batch.
    """

    result: TextResult
    seconds: float


def _no_image() -> np.ndarray:
    return np.zeros((0, 0, 3), np.uint8)


@dataclass(eq=False)
class Job:
    """One photo to read.

    Attributes:
        data: of its file; empty as soon as it is not needed any more.
        name: what it is called in its record.
        scale: to read it at; None lets the model choose.
        future: of the reading; cancelled when nobody waits for it any more.
        image: (H, W, 3) uint8 in BGR order, once it is decoded.
    """

    data: bytes
    name: str
    scale: float | None = None
    future: Future[Reading] = field(default_factory=Future)
    image: np.ndarray = field(default_factory=_no_image)

    def __post_init__(self) -> None:
        self.future.add_done_callback(lambda _: self._release())

    def _release(self) -> None:
        self.data, self.image = b"", _no_image()


class ReadingQueue:
    """Threads that decode and one that reads.

    How many jobs wait is bounded by who submits them; decoded photos are held for one batch and each decoder.

    Args:
        read: results of images at a scale (None lets the model choose), or refusals; called by one thread.
        make_decoder: called once for each thread that decodes.
        limits: ``batch_size`` is of ``read``.
        metrics: told of each batch.
    """

    def __init__(
        self,
        read: Callable[[Sequence[np.ndarray], float | None], list[TextResult | Refusal]],
        make_decoder: Callable[[], Decoder],
        limits: Limits,
        metrics: ServiceMetrics,
    ):
        self._read, self._metrics, self._batch_size = read, metrics, limits.batch_size
        self._posted: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._decoded: queue.Queue[Job | None] = queue.Queue(limits.batch_size)
        self._decoding = [
            Thread(target=self._decode_jobs, args=(make_decoder,), name=f"decoder-{number}", daemon=True)
            for number in range(DECODERS)
        ]
        self._reading = Thread(target=self._read_jobs, name="reader", daemon=True)

    def start(self) -> None:
        """Take jobs from now on."""
        for thread in (*self._decoding, self._reading):
            thread.start()

    def stop(self) -> None:
        """Finish what was submitted, and end the threads."""
        for _ in self._decoding:
            self._posted.put(None)
        for thread in self._decoding:
            thread.join()
        self._decoded.put(None)
        self._reading.join()

    @property
    def works(self) -> bool:
        """Whether every thread is there."""
        return all(thread.is_alive() for thread in (*self._decoding, self._reading))

    def submit(self, job: Job) -> None:
        """Let a job wait for its turn; its future tells of it."""
        self._posted.put(job)

    def _decode_jobs(self, make_decoder: Callable[[], Decoder]) -> None:
        decoder = make_decoder()
        try:
            while (job := self._posted.get()) is not None:
                data = job.data
                if job.future.cancelled():
                    continue
                try:
                    job.image, job.data = decoder.decode(data), b""
                except Exception as error:  # whatever it is, it costs one photo
                    _fail(job, error)
                else:
                    self._decoded.put(job)
                del job, data  # so that nothing is held while no photo comes
        finally:
            decoder.close()

    def _read_jobs(self) -> None:
        while (first := self._decoded.get()) is not None:
            batch: list[Job] = [first]
            last = False
            while len(batch) < self._batch_size and not last:
                try:
                    job = self._decoded.get_nowait()
                except queue.Empty:
                    break
                last = job is None
                batch += [job] if job is not None else []
            batch = [job for job in batch if job.future.set_running_or_notify_cancel()]
            for scale in dict.fromkeys(job.scale for job in batch):
                self._read_batch([job for job in batch if job.scale == scale], scale)
            del first, batch  # so that nothing is held while no photo comes
            if last:
                return

    def _read_batch(self, batch: list[Job], scale: float | None) -> None:
        started = monotonic()
        try:
            outcomes: list[TextResult | Refusal] = self._read([job.image for job in batch], scale)
        except Exception as error:  # of the model: the next batch may be better
            for job in batch:
                _fail(job, error)
            return
        seconds = (monotonic() - started) / len(batch)
        self._metrics.batch(len(batch), seconds)
        for job, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Refusal):
                _fail(job, outcome)
            else:
                job.future.set_result(Reading(outcome, seconds))


def _fail(job: Job, error: Exception) -> None:
    if not isinstance(error, Refusal):
        logger.error("reading a photo failed", exc_info=error)
        error = Refusal(500, f"reading the photo failed ({type(error).__name__}); the service's log says more.")
    with suppress(InvalidStateError):  # nobody waits any more
        job.future.set_exception(error)
