"""What a job has to read, cut into numbered shards and written before anything is read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dld_spotter.batch.atomic_files import whole_file
from dld_spotter.batch.work_items import Item

FOLDER = "job"
_SUMMARY = "job.json"
_VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """The shards of a job: ``job/job.json``, and a file with the photos of each shard.

    Attributes:
        output: the job's folder.
        photos: how many there are.
        shard_size: photos of each shard; the last one may have fewer.
        settings: what decides the result: the inputs, the model, the format.
    """

    output: Path
    photos: int
    shard_size: int
    settings: Mapping[str, Any]

    @staticmethod
    def write(output: Path, items: Iterable[Item], shard_size: int, settings: Mapping[str, Any]) -> Manifest:
        """Write a new one. Its summary comes last: without it, the manifest counts as not there.

        Args:
            output: the job's folder.
            items: taken one shard at a time.
            shard_size: photos of a shard.
            settings: plain values, ready for JSON.

        Raises:
            ValueError: there is no photo, or ``shard_size`` is less than 1.
            OSError: it cannot be written; and what taking an item raises.
        """
        if shard_size < 1:
            raise ValueError(f"--shard-size is {shard_size}; it must be 1 or more.")
        waiting, photos = iter(items), 0
        for shard, of_shard in enumerate(iter(lambda: list(islice(waiting, shard_size)), [])):
            lines = "".join(item.to_json() + "\n" for item in of_shard)
            with whole_file(_items_path(output, shard)) as path:
                path.write_text(lines, encoding="ascii")
            photos += len(of_shard)
        if not photos:
            raise ValueError("there is no photo to read.")
        manifest = Manifest(output, photos, shard_size, json.loads(json.dumps(settings)))
        summary = {"version": _VERSION} | {key: value for key, value in asdict(manifest).items() if key != "output"}
        with whole_file(output / FOLDER / _SUMMARY) as path:
            path.write_text(json.dumps(summary, indent=1) + "\n", encoding="ascii")
        return manifest

    @staticmethod
    def load(output: Path) -> Manifest | None:
        """The one of a folder; None if there is none, or only a part of one.

        Raises:
            ValueError: the file is something else.
        """
        path = output / FOLDER / _SUMMARY
        if not path.exists():
            return None
        try:
            summary = json.loads(path.read_bytes())
            if summary.pop("version") != _VERSION:
                raise ValueError(f"{path}: it is from another version of this program.")
            manifest = Manifest(output, **summary)
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: it is no manifest of a job ({error}).") from error
        return manifest

    def check(self, settings: Mapping[str, Any], shard_size: int) -> None:
        """Raise ValueError unless a job with these settings can go on here."""
        mine = {**self.settings, "shard_size": self.shard_size}
        given = {**json.loads(json.dumps(settings)), "shard_size": shard_size}
        if other := sorted(key for key in mine | given if mine.get(key) != given.get(key)):
            said = "; ".join(f"{key}: {mine.get(key)!r} there, {given.get(key)!r} here" for key in other)
            raise ValueError(f"{self.output} has a job with other options ({said}); give another --output.")

    @property
    def shards(self) -> int:
        """How many there are."""
        return -(-self.photos // self.shard_size)

    def numbers(self, shard: int) -> range:
        """The numbers of a shard's photos; those of a job count from 0."""
        start = shard * self.shard_size
        return range(start, min(start + self.shard_size, self.photos))

    def items(self, shard: int) -> list[Item]:
        """The photos of a shard.

        Raises:
            OSError, ValueError: its file is not there, or has been changed.
        """
        path = _items_path(self.output, shard)
        items = [Item.from_json(line) for line in path.read_text(encoding="ascii").splitlines()]
        if len(items) != len(self.numbers(shard)):
            raise ValueError(f"{path}: it has {len(items)} photos, and should have {len(self.numbers(shard))}.")
        return items

    def work(self, shards: Iterable[int]) -> Iterator[tuple[int, Item]]:
        """(number, photo) of the photos of some shards."""
        for shard in shards:
            yield from zip(self.numbers(shard), self.items(shard), strict=True)


def _items_path(output: Path, shard: int) -> Path:
    return Path(os.path.join(output, FOLDER, f"photos-{shard:05d}.jsonl"))
