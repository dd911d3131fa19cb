"""A run over photos: what an earlier one left is finished, the rest is read, and everything goes to its files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from dld_spotter.drawing_files import Drawings
from dld_spotter.photo_sources import Photo, to_photos
from dld_spotter.predictor import TextPredictor
from dld_spotter.reading.earlier_records import EarlierRecords, Record
from dld_spotter.reading.outputs import OutputPaths, Outputs
from dld_spotter.reading.photo_paths import STANDARD_INPUT, expand_patterns, paths_as_they_come
from dld_spotter.reading.reading_progress import ReadingProgress
from dld_spotter.reading.worker_pool import WorkerPool
from dld_spotter.record_files import read_records
from dld_spotter.results import TextResult


@dataclass(frozen=True)
class ReadRun:
    """What a run reads, with what, and where it writes.

    Attributes:
        inputs: paths, patterns, and "-" for those that come on standard input, one a line.
        predictor: arguments of the ``TextPredictor``.
        paths: files for the words.
        recursive: read subfolders, too.
        drawings: a folder, or a file for a single photo.
        show: open each drawing in a window.
        show_scores: write the scores behind the words.
        resume: go on with the records that are there.
        overwrite: replace files that are there.
        lexicon: a path; see ``TextPredictor.stream``.
        batch_size: photos in a forward pass at most.
        workers: processes; 0 reads in this one.
        needs_scales: whether the model must be one that chooses scales.
        columns: the records tell the words' ``columns``.
    """

    inputs: Sequence[str]
    predictor: Mapping[str, Any] = field(default_factory=dict)
    paths: OutputPaths = field(default_factory=OutputPaths)
    recursive: bool = False
    drawings: str | None = None
    show: bool = False
    show_scores: bool = False
    resume: bool = False
    overwrite: bool = False
    lexicon: str | None = None
    batch_size: int = 1
    workers: int = 0
    needs_scales: bool = False
    columns: bool = False

    def __post_init__(self) -> None:
        """Raises:
        ValueError: options that do not go together.
        """
        if self.workers < 0:
            raise ValueError(f"--workers is {self.workers}; it must be 0 or more.")
        if self.workers and self.batch_size != 1:
            raise ValueError("each of several --workers reads one photo at a time; leave --batch-size away.")
        if STANDARD_INPUT in self.inputs and self.drawings and self.overwrite:
            raise ValueError(
                "--overwrite with drawings needs to know all photos beforehand, so that it replaces none; "
                "name them instead of '-', or give a new --output."
            )

    def run(self) -> bool:
        """Read; whether all succeeded.

        Raises:
            KeyError, OSError, ValueError, ImportError: what keeps it from reading or writing at all.
        """
        photos = self._photos()
        known = photos if isinstance(photos, list) else []
        drawings = Drawings(self.drawings, known, self.show_scores, self.show, self.overwrite)
        if drawings.is_file and photos is not known:
            raise ValueError(f"--output {self.drawings} is one file; give a folder for photos that come one by one.")
        self.paths.check(drawings, self.resume, self.overwrite)
        earlier = self._earlier()
        done, waiting = _partition(known, earlier)
        drawings.check(waiting)
        if self.resume and photos is known:
            print(f"{len(done)} of {len(known)} photos were read before; going on.", file=sys.stderr)
        with self._reader() as reader:
            finisher = _Finisher(drawings, reader.chooses_scale)
            for record, photo in done:
                finisher.finish(record, photo)
            streamed = photos is not known
            results = reader.stream(_without_done(photos, earlier, finisher) if streamed else waiting)
            with Outputs(self.paths, drawings, self.resume, self.overwrite, self.columns) as outputs:
                failed = _give(results, outputs, None if streamed else len(waiting))
        return not (failed or finisher.failed)

    def _photos(self) -> list[Photo] | Iterator[Photo]:
        """A list, or an iterator of those that come one by one."""
        exclude = [self.drawings] if self.drawings else []
        if STANDARD_INPUT in self.inputs:
            return to_photos(paths_as_they_come(self.inputs), self.recursive, exclude)
        return list(to_photos(expand_patterns(self.inputs), self.recursive, exclude))

    def _earlier(self) -> EarlierRecords:
        path = self.paths.records
        if not (self.resume and path is not None and path.exists()):
            return EarlierRecords()
        return EarlierRecords(read_records(path), with_words=self.drawings is not None)

    @contextmanager
    def _reader(self) -> Iterator[_Reader]:
        if self.workers:
            with WorkerPool(self.workers, self.predictor, self.lexicon) as pool:
                self._check_scales(pool)
                yield pool
            return
        reader = _OneProcess(TextPredictor(**self.predictor), self.batch_size, self.lexicon)
        self._check_scales(reader)
        yield reader

    def _check_scales(self, reader: _Reader) -> None:
        if self.needs_scales and not reader.chooses_scale:
            raise ValueError(
                "--scale, --max-loss and --budget need a DLDSpotter, and this model is none; its input size is "
                "set with INPUT.MIN_SIZE_TEST PIXELS at the end."
            )


class _Reader(Protocol):
    """What reads, in one process or several."""

    @property
    def chooses_scale(self) -> bool: ...

    def stream(self, photos: Iterable[Photo]) -> Iterator[TextResult]: ...


@dataclass(frozen=True)
class _OneProcess:
    predictor: TextPredictor
    batch_size: int
    lexicon: str | None

    @property
    def chooses_scale(self) -> bool:
        return self.predictor.chooses_scale

    def stream(self, photos: Iterable[Photo]) -> Iterator[TextResult]:
        return self.predictor.stream(photos, self.batch_size, lexicon=self.lexicon)


class _Finisher:
    """Draws what an interrupted run has read but not drawn.

    Attributes:
        failed: whether any of its photos failed, then or now.
    """

    def __init__(self, drawings: Drawings, chooses_scale: bool):
        self._drawings, self._chooses_scale = drawings, chooses_scale
        self.failed = False

    def finish(self, record: Record, photo: Photo) -> None:
        """See the class."""
        if record.get("error") is not None:
            self.failed = True
        elif self._drawings.path is not None and not self._drawings.target(photo).exists():
            result = TextResult.from_dict(record, photo)
            self.failed |= not self._drawings.write(result if self._chooses_scale else replace(result, scale=None))


def _partition(photos: Sequence[Photo], earlier: EarlierRecords) -> tuple[list[tuple[Record, Photo]], list[Photo]]:
    """Those that were read before, with their records, and the others."""
    done, waiting = [], []
    for photo in photos:
        record = earlier.take(photo)
        if record is None:
            waiting.append(photo)
        else:
            done.append((record, photo))
    return done, waiting


def _without_done(photos: Iterable[Photo], earlier: EarlierRecords, finisher: _Finisher) -> Iterator[Photo]:
    """Those that were not read before; the others are finished as they come."""
    for photo in photos:
        record = earlier.take(photo)
        if record is None:
            yield photo
        else:
            finisher.finish(record, photo)


def _give(results: Iterable[TextResult], outputs: Outputs, total: int | None) -> bool:
    """Write and print what is read of each photo; whether any failed."""
    any_failed = False
    with ReadingProgress(total) as progress:
        for result in results:
            drawn = outputs.write(result)
            if result.error is not None:
                progress.complain(f"error: {result.error}")
            else:
                words = " ".join(word.text for word in result.words) or "(no words)"
                page = "" if result.page is None else f" (page {result.page})"
                progress.say(f"{result.file_name}{page}: {words}")
            failed = result.error is not None or not drawn
            progress.note(failed)
            any_failed |= failed
    return any_failed
