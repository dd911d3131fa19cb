"""Seconds and memory of computations, as measured."""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

CPU = torch.device("cpu")

Job = Callable[[], object]
Result = TypeVar("Result")


def take_turns(jobs: Mapping[str, Job], repeats: int, device: torch.device = CPU) -> dict[str, np.ndarray]:
    """The (repeats,) seconds of each job after a warm-up; they take turns, so that a slow minute slows all of them."""
    rounds = [[timed(job, device)[1] for job in jobs.values()] for _ in range(repeats + 1)]
    return dict(zip(jobs, np.array(rounds[1:]).reshape(repeats, -1).T, strict=True))


def timed(job: Callable[[], Result], device: torch.device) -> tuple[Result, float]:
    """What a job returns and the seconds it took; work that a GPU has yet to do is waited for."""
    _wait(device)
    start = time.perf_counter()
    result = job()
    _wait(device)
    return result, time.perf_counter() - start


def peak_memory(job: Job, device: torch.device) -> int:
    """Bytes that a job's tensors take at its worst moment, beyond what was there before it.

    On the CPU the allocations that torch's profiler records are added up; memory that libraries reserve by other ways
    is not seen.
    """
    if device.type == "cuda":
        _wait(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        job()
        _wait(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        job()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    taken = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        taken += event.nbytes()
        peak = max(peak, taken)
    return peak


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
