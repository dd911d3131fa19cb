"""A job: the manifest, what is missing of it, and the passes over that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dld_spotter.batch.manifest import Manifest
from dld_spotter.batch.photo_reader import failure
from dld_spotter.batch.shard_collector import Records, ShardCollector
from dld_spotter.batch.shard_files import ShardFiles
from dld_spotter.batch.work_items import Item

logger = logging.getLogger(__name__)

ROUND = 100_000  # photos whose paths are held at once, about


class Engine(Protocol):
    """What reads photos, wherever."""

    def read(self, work: Sequence[tuple[int, Item]], alone: bool) -> Iterator[tuple[int, Records]]:
        """Read photos; each answer comes as soon as it is there, in any order.

        Args:
            work: (number, photo) of each.
            alone: give each photo to a process by itself, so that one that kills it takes no other along.

        Returns:
            (number, records). A photo without an answer is one whose process died each time.
        """


@dataclass(frozen=True)
class JobReport:
    """How a run went.

    Attributes:
        photos: of the whole job.
        done_before: those that earlier runs have read.
        failures: rows with an error, of the whole job.
        seconds: that reading took in this run.
    """

    photos: int
    done_before: int
    failures: int
    seconds: float


@dataclass(frozen=True)
class BatchJob:
    """A job in a folder. The same job, started again, goes on.

    Attributes:
        output: the folder.
        kind: format of the shards.
        shard_size: photos of a shard.
        settings: what decides the result; a job with others is not gone on with.
        on_progress: called with the numbers of read and of all photos after each shard.
    """

    output: Path
    kind: str
    shard_size: int
    settings: Mapping[str, Any]
    on_progress: Callable[[int, int], None] = lambda done, total: None

    def run(self, items: Callable[[], Iterable[Item]], engine: Callable[[], Engine]) -> JobReport:
        """Read what is missing.

        Args:
            items: gives the photos; called for a new job alone.
            engine: made when something is missing.

        Raises:
            ValueError: the folder has another job, or there is no photo.
            OSError: a file cannot be written; and what ``items`` and ``engine`` raise.
        """
        files = ShardFiles(self.output, self.kind)
        manifest = Manifest.load(self.output)
        if manifest is None:
            self._check_empty()
            manifest = Manifest.write(self.output, items(), self.shard_size, self.settings)
        else:
            manifest.check(self.settings, self.shard_size)
        files.tidy()
        missing = files.missing(manifest.shards)
        due = sum(len(manifest.numbers(shard)) for shard in missing)
        start = time.monotonic()
        if missing:
            self._read(manifest, files, missing, engine())
        seconds = time.monotonic() - start
        return JobReport(manifest.photos, manifest.photos - due, files.collect_failures(manifest.shards), seconds)

    def _check_empty(self) -> None:
        """A part of a manifest is written anew; anything else is left alone."""
        foreign = [path for path in self.output.glob("*") if path.name != "job"] if self.output.exists() else []
        if foreign:
            raise ValueError(f"{self.output} has other files ({foreign[0].name}), and no job; give another --output.")

    def _read(self, manifest: Manifest, files: ShardFiles, missing: Sequence[int], engine: Engine) -> None:
        left = sum(len(manifest.numbers(shard)) for shard in missing)
        for shards in _rounds(missing, max(1, ROUND // manifest.shard_size)):
            collector = ShardCollector(manifest, shards)
            answers = _read_all(engine, collector.waiting)
            for number, records in answers:
                finished = collector.add(number, records)
                if finished is not None:
                    files.write(*finished)
                    left -= len(manifest.numbers(finished[0]))
                    self.on_progress(manifest.photos - left, manifest.photos)


def _read_all(engine: Engine, waiting: Mapping[int, Item]) -> Iterator[tuple[int, Records]]:
    """An answer for each photo that waits; ``waiting`` shrinks as they are taken."""
    size = len(waiting)
    yield from engine.read(list(waiting.items()), alone=False)
    if waiting:
        logger.warning("%d photos are read once more, each by itself: the process that had them died.", len(waiting))
        yield from engine.read(list(waiting.items()), alone=True)
    if len(waiting) == size > 1:
        raise RuntimeError("no photo could be read: every process that should read died.")
    for number, item in list(waiting.items()):
        yield number, [failure(item.file_name, "reading it failed (each process that read it died).")]


def _rounds(shards: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (shards[start : start + size] for start in range(0, len(shards), size))
