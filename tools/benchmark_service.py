#!/usr/bin/env python
"""Compare the service with the plain predictor: photos a second, and how long clients wait.

    python tools/benchmark_service.py --model photos-dld --runtime openvino --clients 16 --seconds 20 --repeats 3

Both read the same photos in turns, the service in a process of its own and over the loopback interface.
"""

from __future__ import annotations

import argparse
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
from time import monotonic
from typing import NamedTuple

import numpy as np

from dld_spotter.predictor import RUNTIMES, TextPredictor
from dld_spotter.pretrained import DEFAULT_MODEL
from dld_spotter.resources import resource

SAMPLES = "projects/DLD/samples"


class Round(NamedTuple):
    """What clients saw in one round.

    Attributes:
        statuses: number of answers by status.
        seconds: that each photo took which was read.
    """

    statuses: Counter[int]
    seconds: list[float]


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
        plain_rate(predictor, photos, 3.0)  # warm
        plain, rounds = [], []
        for _ in range(args.repeats):
            plain.append(plain_rate(predictor, photos, args.seconds))
            rounds.append(ask(port, photos, args.clients, args.seconds))
    finally:
        service.terminate()
        service.wait()
    return report(plain, rounds, args)


def plain_rate(predictor: TextPredictor, photos: Sequence[bytes], seconds: float) -> float:
    """Photos a second of the predictor alone, from the bytes of their files."""
    started = monotonic()

    def until_the_end() -> Iterator[bytes]:
        for number in count():
            if monotonic() - started > seconds:
                return
            yield photos[number % len(photos)]

    read = sum(result.error is None for result in predictor.stream(until_the_end()))
    return read / (monotonic() - started)


def ask(port: int, photos: Sequence[bytes], clients: int, seconds: float) -> tuple[float, Round]:
    """Photos a second of the service, and what its clients saw."""
    seen, lock, numbers = Round(Counter(), []), Lock(), count()
    started = monotonic()

    def client() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        while monotonic() - started < seconds:
            asked = monotonic()
            connection.request("POST", "/v1/read", photos[next(numbers) % len(photos)])
            answer = connection.getresponse()
            answer.read()
            with lock:
                seen.statuses[answer.status] += 1
                if answer.status == 200:
                    seen.seconds.append(monotonic() - asked)
        connection.close()

    threads = [Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen.statuses[200] / (monotonic() - started), seen


def report(plain: Sequence[float], rounds: Sequence[tuple[float, Round]], args: argparse.Namespace) -> int:
    """Print what was measured; 1 if an answer was neither a record nor a stated refusal."""
    served = [rate for rate, _ in rounds]
    statuses = sum((seen.statuses for _, seen in rounds), Counter())
    waits = np.concatenate([seen.seconds for _, seen in rounds])
    ratios = [ours / alone for ours, alone in zip(served, plain, strict=True)]
    print(f"plain predictor: {median(plain):.2f} photos/s ({', '.join(f'{rate:.2f}' for rate in plain)})")
    print(f"service, {args.clients} clients: {median(served):.2f} photos/s ({', '.join(f'{r:.2f}' for r in served)})")
    print(f"service / plain: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print("seconds of a photo: " + ", ".join(f"p{p} {np.percentile(waits, p):.2f}" for p in (50, 90, 99)))
    print("answers: " + ", ".join(f"{number} of {status}" for status, number in sorted(statuses.items())))
    return int(bool(set(statuses) - {200, 503}))


if __name__ == "__main__":
    sys.exit(main())
