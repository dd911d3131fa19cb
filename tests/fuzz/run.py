"""Damage files and read them: python -m tests.fuzz.run --count 100000 --seed 0

Each case has a number; the target, the seed and the number make it again (``--target NAME --seed S --case N``). A
reader must end within two seconds with nothing but ValueError or FileNotFoundError, whose message names the file.
"""

import argparse
import logging
import multiprocessing
import random
import signal
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.targets import TARGETS, Finding, Target, Workplace, workplace

SECONDS = 2.0  # of the processor
WAIT = 60.0  # seconds for what waits, as for another process on a busy machine


class Failure(NamedTuple):
    """What a reader did with a case that it must not do."""

    target: str
    seed: int
    case: int
    what: str

    def __str__(self) -> str:
        return f"--target {self.target} --seed {self.seed} --case {self.case}: {self.what}"


class TooLong(BaseException):
    """No Exception, so that no reader takes it for a fault of the file."""


def damaged(name: str, seed: int, case: int) -> tuple[str, bytes]:
    """Name and content of a damaged file."""
    target, rng = TARGETS[name], random.Random(f"{name} {seed} {case}")
    file = rng.choice(sorted(target.files))
    return file, target.mutate(rng, target.files[file])


def run_cases(
    name: str, seed: int, cases: Iterable[int], place: Workplace, keep: Path | None = None
) -> Iterator[Failure]:
    """The failures among some cases of a target.

    Args:
        keep: where the files of failures are kept.
    """
    folder = place.folder / "case"
    folder.mkdir(exist_ok=True)
    for case in cases:
        file, content = damaged(name, seed, case)
        path = folder / file
        path.write_bytes(content)
        what = _read(TARGETS[name], path, place)
        path.unlink()
        if what is not None:
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{name}-{seed}-{case}-{file}").write_bytes(content)
            yield Failure(name, seed, case, what)


def _read(target: Target, path: Path, place: Workplace) -> str | None:
    """What is wrong with the way in which a file is read."""
    signal.signal(signal.SIGPROF, _stop)
    signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAIT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read(path, place)
    except TooLong as error:
        return str(error)
    except Finding as error:
        return str(error)
    except (ValueError, FileNotFoundError) as error:
        if path.name not in str(error):
            return f"{type(error).__name__} without the name of the file: {error}"[:500]
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:500]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def _stop(number: int, frame: object) -> None:
    what = f"{SECONDS:g} s of the processor" if number == signal.SIGPROF else f"{WAIT:g} s"
    raise TooLong(f"takes more than {what}")


def _work(name: str, seed: int, first: int, count: int, keep: Path | None, current, queue) -> None:
    logging.disable()
    with workplace() as place:
        for case in range(first, count):
            current.value = case
            for failure in run_cases(name, seed, [case], place, keep):
                queue.put(failure)
        current.value = count


def run_target(name: str, seed: int, count: int, keep: Path | None = None) -> list[Failure]:
    """The failures among ``count`` cases, run by another process, which a case may end."""
    context = multiprocessing.get_context("fork")
    failures: list[Failure] = []
    first = 0
    while first < count:
        current, queue = context.Value("q", first), context.SimpleQueue()
        process = context.Process(target=_work, args=(name, seed, first, count, keep, current, queue))
        process.start()
        while process.is_alive() or not queue.empty():
            if queue.empty():
                process.join(0.2)
            else:
                failures.append(queue.get())
        if current.value < count:
            failures.append(Failure(name, seed, current.value, f"ends the process ({process.exitcode})"))
        first = current.value + 1
    return failures


def main(argv: list[str] | None = None) -> int:
    """Run the cases; 1 if there were failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="cases of all targets together (default: 10000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=list(TARGETS), help=", ".join(TARGETS))
    parser.add_argument("--case", type=int, help="run this case only, in this process")
    parser.add_argument("--keep", type=Path, help="keep the files of failures in this folder")
    args = parser.parse_args(argv)
    if args.case is not None:
        with workplace() as place:
            failures = [f for name in args.target for f in run_cases(name, args.seed, [args.case], place, args.keep)]
        sys.stdout.writelines(f"{failure}\n" for failure in failures)
        return int(bool(failures))
    weights = sum(TARGETS[name].weight for name in args.target)
    total = 0
    for name in args.target:
        start, count = time.monotonic(), round(args.count * TARGETS[name].weight / weights)
        failures = run_target(name, args.seed, count, args.keep)
        total += len(failures)
        report(name, count, failures, time.monotonic() - start)
    return int(total > 0)


def report(name: str, count: int, failures: list[Failure], seconds: float) -> None:
    """Print how many failures of each kind there were, with three of each."""
    kinds: dict[str, list[Failure]] = {}
    for failure in failures:
        kinds.setdefault(failure.what.split(":")[0][:80], []).append(failure)
    sys.stdout.write(f"{name}: {count} cases in {seconds:.0f} s, {len(failures)} failures\n")
    for kind, found in kinds.items():
        sys.stdout.write(f"  {kind}: {len(found)}\n")
        sys.stdout.writelines(f"    {ascii(str(failure))[1:-1]}\n" for failure in found[:3])
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
