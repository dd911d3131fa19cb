"""Reading with several processes: each has its own predictor and one thread, and results come in order.

A process that dies costs the photo that it was reading, and is replaced.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from dld_spotter.photo_sources import Photo
from dld_spotter.results import TextResult

AHEAD = 4  # photos for each process that may be read before the one that is due
# What the libraries below read when they are loaded.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_SPAWN = multiprocessing.get_context("spawn")  # a fork would take over half of the parent's threads and locks


class WorkerPool:
    """Several processes that read.

    Args:
        number: of processes.
        settings: arguments of their ``TextPredictor``.
        lexicon: a path; see ``TextPredictor.stream``.

    Attributes:
        chooses_scale: whether the model does.

    Raises:
        ValueError, ImportError: what the predictor or the lexicon raises, of whatever kind, as one sentence.
    """

    def __init__(self, number: int, settings: Mapping[str, Any], lexicon: str | os.PathLike | None = None):
        self._arguments = dict(settings), lexicon
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()
        self._closed = False
        try:
            self._workers += [_Worker(*self._arguments) for _ in range(number)]
            ready = [worker.wait_until_ready() for worker in self._workers]
            self.chooses_scale = ready[0]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        with self._lock:
            self._closed = True
        for worker in self._workers:
            worker.kill()

    def stream(self, photos: Iterable[Photo]) -> Iterator[TextResult]:
        """Read photos, once; each result is given as soon as it and those before it are there.

        Args:
            photos: taken as they are needed, ``AHEAD`` for each process at most; waiting for one holds no result back.

        Raises:
            What taking a photo raises, and RuntimeError of a process that cannot be replaced.
        """
        return _Pass(self, photos, len(self._workers)).results()

    def read(self, place: int, photo: Photo) -> TextResult:
        """Read a photo with the process at a place, which is replaced if it dies of it."""
        try:
            return self._workers[place].read(photo)
        except _Died as death:
            error = f"{photo.file_name}: reading it failed (its process ended {death})."
        with self._lock:
            if not self._closed:
                self._workers[place] = _Worker(*self._arguments)
        if not self._closed:
            self._workers[place].wait_until_ready()
        return TextResult(photo.file_name, name=photo.name, source=photo.source, page=photo.page, error=error)


class _Pass:
    """Photos on their way through the processes: a thread for each process takes them, this one gives the results.

    Args:
        pool: of the processes.
        photos: to read.
        number: of the processes.
    """

    def __init__(self, pool: WorkerPool, photos: Iterable[Photo], number: int):
        self._pool, self._incoming = pool, enumerate(photos)
        self._ahead = AHEAD * number
        self._taking = threading.Lock()
        self._changed = threading.Condition()
        # Below, what the condition guards.
        self._done: dict[int, TextResult] = {}
        self._taken = self._due = 0
        self._ended = False
        self._failure: BaseException | None = None
        # Daemons: one may wait for a line of standard input for good.
        self._threads = [threading.Thread(target=self._serve, args=(place,), daemon=True) for place in range(number)]
        self._running = number

    def results(self) -> Iterator[TextResult]:
        """In the order of the photos.

        Raises:
            What taking a photo or replacing a process raised, after the results before it.
        """
        for thread in self._threads:
            thread.start()
        try:
            while (result := self._next()) is not None:
                yield result
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _next(self) -> TextResult | None:
        with self._changed:
            self._changed.wait_for(lambda: self._due in self._done or not self._running or self._failure is not None)
            if self._due in self._done:
                self._due += 1
                self._changed.notify_all()
                return self._done.pop(self._due - 1)
            if self._failure is not None:
                raise self._failure
            return None

    def _serve(self, place: int) -> None:
        try:
            while (job := self._take()) is not None:
                result = self._pool.read(place, job[1])
                with self._changed:
                    self._done[job[0]] = result
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._failure = self._failure or error
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _take(self) -> tuple[int, Photo] | None:
        """The next photo with its number, once there is room for it; None at the end."""
        with self._taking:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._ended or self._failure is not None or self._taken - self._due < self._ahead
                )
                if self._ended or self._failure is not None:
                    return None
            job = next(self._incoming, None)
            self._taken += job is not None
            return job


class _Died(Exception):
    """How a process ended."""


class _Worker:
    """A process that reads one photo after the other."""

    def __init__(self, settings: Mapping[str, Any], lexicon: str | os.PathLike | None):
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(theirs, settings, lexicon), daemon=True)
        before = {name: os.environ.get(name) for name in _ONE_THREAD}
        resource_tracker.ensure_running()  # at its own start it would take the mask away
        # Ctrl-C goes to all processes of a terminal; only the parent shall answer it. A mask is handed down.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            os.environ.update(_ONE_THREAD)
            self._process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()  # so that the end of the process ends the connection

    def wait_until_ready(self) -> bool:
        """Whether the model chooses scales."""
        try:
            return self._receive()
        except _Died as death:
            raise RuntimeError(f"a process that should read ended {death} before it read anything.") from death

    def read(self, photo: Photo) -> TextResult:
        """Raises:
        _Died: the process ended.
        """
        try:
            self._connection.send(photo)
        except OSError as error:
            raise self._death() from error
        return replace(self._receive(), source=photo.source)

    def kill(self) -> None:
        """End it now; it writes no files."""
        self._process.kill()
        self._process.join()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise self._death() from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _death(self) -> _Died:
        self._process.join()
        code = self._process.exitcode or 0
        return _Died(f"with signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}")


def _work(connection: Connection, settings: Mapping[str, Any], lexicon: str | os.PathLike | None) -> None:
    """What a process does: answer each photo with its result, until the parent ends."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        import cv2

        from dld_spotter.predictor import TextPredictor
        from dld_spotter.word_correction import as_lexicon

        cv2.setNumThreads(1)
        predictor = TextPredictor(**settings, threads=1)
        words = as_lexicon(lexicon)
        connection.send(predictor.chooses_scale)
        while True:
            try:
                photo = connection.recv()
            except EOFError:
                return
            (result,) = predictor.stream([photo], lexicon=words)
            connection.send(replace(result, source=None))
    except BrokenPipeError:  # the parent has ended
        return
    except Exception as error:
        connection.send(_portable(error))


def _portable(error: Exception) -> Exception:
    """An error that can be sent: those that say what to do as one sentence, others with where they came from."""
    if isinstance(error, ImportError):
        return ImportError(str(error))
    if isinstance(error, (KeyError, OSError, ValueError)):
        return ValueError(str(error.args[0] if isinstance(error, KeyError) else error))
    return RuntimeError(traceback.format_exc())
