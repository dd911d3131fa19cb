#!/usr/bin/env python
"""Compare the service with the plain predictor: photos a second, and how long clients wait.

    python tools/benchmark_service.py --model photos-dld --runtime openvino --clients 16 --seconds 20 --repeats 3

Both read the same photos in turns, the service in a process of its own and over the loopback interface. The processors'
seconds for a photo say what the service adds where other programs run on the machine.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from statistics import median
from threading import Lock, Thread
from time import monotonic, process_time
from typing import NamedTuple

import numpy as np

from dld_spotter.predictor import TextPredictor
from dld_spotter.pretrained import DEFAULT_MODEL
from dld_spotter.reader_choice import RUNTIMES
from dld_spotter.resources import resource

SAMPLES = "projects/DLD/samples"


class Turn(NamedTuple):
    """What one of the two did in its turn.

    Attributes:
        photos: that were read.
        elapsed: seconds.
        work: seconds of all processors.
        statuses: number of the service's answers by status.
        waits: seconds that clients waited for each photo.
    """

    photos: int
    elapsed: float
    work: float
    statuses: Counter[int]
    waits: list[float]


def build_parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder (default: %(default)s)")
    parser.add_argument("--runtime", choices=RUNTIMES, default="auto", help="what computes (default: %(default)s)")
    parser.add_argument("--input", nargs="+", metavar="FILE", help="photos (default: the sample scenes)")
    parser.add_argument("--clients", type=int, default=16, metavar="N", help="at once (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn (default: %(default)s)")
    parser.add_argument("--plain-seconds", type=float, help="of the plain predictor's turns (default: as --seconds)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="turns of each (default: %(default)s)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns 0, or 1 if an answer was none of 200 and 503."""
    args = build_parser().parse_args(argv)
    paths = [Path(path) for path in args.input or sorted(resource(SAMPLES).glob("*.jpg"))]
    photos = [path.read_bytes() for path in paths]
    command = [sys.executable, "-c", "from dld_spotter.cli import main; main()", "serve", "--port", "0"]
    command += ["--queue", str(2 * args.clients), "--model", args.model, "--runtime", args.runtime]
    predictor = TextPredictor(args.model, runtime=args.runtime)
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r":(\d+)/", service.stdout.readline())[1])
        read_plainly(predictor, photos, 3.0)  # warm
        turns = [
            (read_plainly(predictor, photos, args.plain_seconds or args.seconds), ask(service.pid, port, photos, args))
            for _ in range(args.repeats)
        ]
    finally:
        service.terminate()
        service.wait()
    return report(turns, args.clients)


def processor_seconds(process: int) -> float:
    """That a process and those which it has started have worked, by Linux's /proc."""
    folder = Path("/proc", str(process))
    worked = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]  # user, system
    children = [number for task in folder.glob("task/*/children") for number in task.read_text().split()]
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(map(int, worked)) / ticks + sum(processor_seconds(int(child)) for child in children)


def read_plainly(predictor: TextPredictor, photos: Sequence[bytes], seconds: float) -> Turn:
    """A turn of the predictor alone, with the bytes of photos' files."""
    started, worked = monotonic(), process_time()

    def until_the_end() -> Iterator[bytes]:
        for number in count():
            if monotonic() - started > seconds:
                return
            yield photos[number % len(photos)]

    read = sum(result.error is None for result in predictor.stream(until_the_end()))
    return Turn(read, monotonic() - started, process_time() - worked, Counter(), [])


def ask(process: int, port: int, photos: Sequence[bytes], args: argparse.Namespace) -> Turn:
    """A turn of the service, with clients of which each asks again as soon as it is answered."""
    lock, numbers, statuses, waits = Lock(), count(), Counter[int](), list[float]()
    started, worked = monotonic(), processor_seconds(process)

    def client() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        while monotonic() - started < args.seconds:
            asked = monotonic()
            connection.request("POST", "/v1/read", photos[next(numbers) % len(photos)])
            answer = connection.getresponse()
            answer.read()
            with lock:
                statuses[answer.status] += 1
                if answer.status == 200:
                    waits.append(monotonic() - asked)
        connection.close()

    threads = [Thread(target=client) for _ in range(args.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Turn(statuses[200], monotonic() - started, processor_seconds(process) - worked, statuses, waits)


def report(turns: Sequence[tuple[Turn, Turn]], clients: int) -> int:
    """Print what was measured; 1 if an answer was neither a record nor a stated refusal."""
    names = "plain predictor", f"service, {clients} clients"
    for name, own in zip(names, zip(*turns, strict=True), strict=True):
        rates = [turn.photos / turn.elapsed for turn in own]
        work = sum(turn.work for turn in own) / sum(turn.photos for turn in own)
        each = ", ".join(f"{rate:.2f}" for rate in rates)
        print(f"{name}: {median(rates):.2f} photos/s ({each}), {work:.3f} processor seconds a photo")
    ratios = [(served.photos / served.elapsed) / (plain.photos / plain.elapsed) for plain, served in turns]
    print(f"service / plain: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    waits = np.concatenate([served.waits for _, served in turns])
    print("seconds of a photo: " + ", ".join(f"p{p} {np.percentile(waits, p):.2f}" for p in (50, 90, 99)))
    statuses = sum((served.statuses for _, served in turns), Counter())
    print("answers: " + ", ".join(f"{number} of {status}" for status, number in sorted(statuses.items())))
    return int(bool(set(statuses) - {200, 503}))


if __name__ == "__main__":
    sys.exit(main())
