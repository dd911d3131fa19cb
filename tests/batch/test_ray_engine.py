"""What the engine makes of answers that come, fail, or stay away, without Ray."""

import threading

import numpy as np
import pytest

from dld_spotter.batch import ray_engine
from dld_spotter.batch.ray_engine import ActorOptions, RayEngine
from dld_spotter.batch.work_items import Item


class Executor:
    def __init__(self):
        self.ended = threading.Event()

    def shutdown(self, force):
        self.ended.set()


class Pipeline:
    """Answers some photos; the others stay away until it is ended."""

    def __init__(self, numbers, stays=False, error=None):
        self.numbers, self.stays, self.error = numbers, stays, error
        self._current_executor = Executor()

    def iter_batches(self, **options):
        if self.error is not None:
            raise self.error
        for number in self.numbers:
            yield {"number": np.array([number]), "records": np.array([f'[{{"n": {number}}}]'], dtype=object)}
        if self.stays:
            self._current_executor.ended.wait(60)


@pytest.fixture
def engine(monkeypatch):
    """Pipelines take turns; the cluster has room for three actors at first, and for two later."""
    monkeypatch.setattr(ray_engine, "_LOOK_AFTER", 0.01)

    def make(*pipelines, rooms=(3, 2)):
        made, waiting, left = [], list(pipelines), list(rooms)
        monkeypatch.setattr(RayEngine, "room", lambda self: left.pop(0) if len(left) > 1 else left[0])

        def begin(this, work, alone):
            made.append([number for number, _ in work])
            return waiting.pop(0)

        def end(this):
            ended.append(this)

        monkeypatch.setattr(ray_engine._Pass, "_pipeline", begin)
        monkeypatch.setattr(ray_engine._Pass, "_end_actors", end)
        return RayEngine(lambda: None, ActorOptions(patience=0.05)), made

    ended = []
    yield make
    assert ended


WORK = [(number, Item(f"{number}.jpg", f"/{number}.jpg")) for number in range(4)]


def test_what_is_left_is_read_with_fewer_actors(engine):
    """A node is gone, and an actor that waits for its place keeps photos 2 and 3."""
    stuck = Pipeline([0, 1], stays=True)
    reading, made = engine(stuck, Pipeline([2, 3]))
    assert [number for number, _ in reading.read(WORK, alone=False)] == [0, 1, 2, 3]
    assert made == [[0, 1, 2, 3], [2, 3]] and stuck._current_executor.ended.is_set()


def test_a_pipeline_without_an_answer_yet_is_waited_for(engine):
    slow = Pipeline([0, 1, 2, 3])
    ready, executor = threading.Event(), slow._current_executor
    slow._current_executor = None
    begin = slow.iter_batches

    def later(**options):
        ready.wait(0.3)
        slow._current_executor = executor
        yield from begin(**options)

    slow.iter_batches = later
    reading, made = engine(slow)
    assert len(list(reading.read(WORK, alone=False))) == 4 and len(made) == 1


def test_photos_that_a_pipeline_lost_are_left_to_the_job(engine):
    reading, made = engine(Pipeline([0, 3]))
    assert dict(reading.read(WORK, alone=False)) == {0: [{"n": 0}], 3: [{"n": 3}]} and len(made) == 1


def test_an_error_is_its_last_line(engine):
    reading, _ = engine(Pipeline([], error=ValueError("trace\n  more\nValueError: no such model")))
    with pytest.raises(RuntimeError, match="no such model$"):
        list(reading.read(WORK, alone=False))


@pytest.mark.parametrize(
    "options", [{"actors": -1}, {"cpus": 0}, {"gpus": -1}, {"batch_size": 0}], ids=lambda options: next(iter(options))
)
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError):
        ActorOptions(**options)


def test_tasks_are_small_enough_for_all_actors():
    assert ray_engine._task_size(120, 2, 1) == 7
    assert ray_engine._task_size(100_000, 2, 1) == 16
    assert ray_engine._task_size(3, 2, 1) == 1
    assert ray_engine._task_size(100_000, 2, 32) == 32
