"""Results that come in any order, put together into shards; each photo counts once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dld_spotter.batch.manifest import Manifest
from dld_spotter.batch.work_items import Item

Records = list[dict[str, Any]]


class ShardCollector:
    """Takes what is read of the photos of some shards.

    Args:
        manifest: of the job.
        shards: those that are due.
    """

    def __init__(self, manifest: Manifest, shards: Iterable[int]):
        self._manifest = manifest
        due = list(shards)
        self.waiting: dict[int, Item] = dict(manifest.work(due))
        self._rows: dict[int, dict[int, Records]] = {shard: {} for shard in due}

    def add(self, number: int, records: Records) -> tuple[int, Records] | None:
        """Take the records of a photo; a second answer for it is dropped.

        Args:
            number: of the photo.
            records: one, or one for each page.

        Returns:
            (number, rows) of the shard that this finishes, or None.
        """
        item = self.waiting.pop(number, None)
        if item is None:
            return None
        shard = number // self._manifest.shard_size
        self._rows[shard][number] = [_row(item, record) for record in records]
        if len(self._rows[shard]) < len(self._manifest.numbers(shard)):
            return None
        by_number = self._rows.pop(shard)
        return shard, [row for number in sorted(by_number) for row in by_number[number]]


def _row(item: Item, record: dict[str, Any]) -> dict[str, Any]:
    """A record, with where the photo lies behind its name."""
    name = record.get("file_name", item.file_name)
    return {"file_name": name, "path": item.place} | {key: record[key] for key in record if key != "file_name"}
