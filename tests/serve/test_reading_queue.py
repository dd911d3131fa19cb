"""The queue itself: what it does when decoders and models fail, and when it ends."""

import threading
from concurrent.futures import wait

import numpy as np
import pytest

from dld_spotter.results import TextResult
from dld_spotter.serve.limits import Limits, Refusal
from dld_spotter.serve.reading_queue import Job, ReadingQueue
from dld_spotter.serve.service_metrics import ServiceMetrics


class Decoder:
    """Makes an image whose first pixel is the first byte; of "!" an error."""

    def decode(self, data):
        if data == b"!":
            raise MemoryError("too much")
        return np.full((2, 2, 3), data[0], np.uint8)

    def close(self):
        pass


def read(images, scale):
    if any(image[0, 0, 0] == ord("x") for image in images):
        raise RuntimeError("x")
    return [TextResult(chr(image[0, 0, 0]), 2, 2, scale) for image in images]


@pytest.fixture
def queue():
    return ReadingQueue(read, Decoder, Limits(batch_size=1), ServiceMetrics())


def test_each_job_gets_its_own_result(queue):
    jobs = [Job(letter.encode(), letter, scale) for letter, scale in (("a", None), ("b", 0.5), ("c", 0.25))]
    queue.start()
    for job in jobs:
        queue.submit(job)
    found = [job.future.result(10).result for job in jobs]
    assert [(result.file_name, result.scale) for result in found] == [("a", None), ("b", 0.5), ("c", 0.25)]
    assert all(job.data == b"" and job.image.size == 0 for job in jobs)
    queue.stop()


@pytest.mark.parametrize("letter", ["!", "x"])
def test_whatever_fails_costs_one_job(queue, letter):
    queue.start()
    bad, good = Job(letter.encode(), "bad"), Job(b"a", "good")
    queue.submit(bad)
    queue.submit(good)
    with pytest.raises(Refusal) as refused:
        bad.future.result(10)
    assert refused.value.status == 500
    assert good.future.result(10).result.file_name == "a" and queue.works
    queue.stop()


def test_stopping_finishes_what_was_submitted(queue):
    jobs = [Job(b"a", "a") for _ in range(20)]
    for job in jobs:
        queue.submit(job)
    queue.start()
    queue.stop()
    assert all(job.future.done() for job in jobs) and not queue.works


def test_cancelled_jobs_are_not_read():
    seen, hold = [], threading.Event()

    def slow(images, scale):
        hold.wait(10)
        seen.extend(chr(image[0, 0, 0]) for image in images)
        return read(images, scale)

    queue = ReadingQueue(slow, Decoder, Limits(batch_size=1), ServiceMetrics())
    queue.start()
    jobs = [Job(letter.encode(), letter) for letter in "abcdefgh"]
    for job in jobs:
        queue.submit(job)
    for job in jobs[4:]:
        assert job.future.cancel()
    hold.set()
    wait([job.future for job in jobs[:4]], 10)
    queue.stop()
    assert sorted(seen) == list("abcd")
