"""What an earlier run has read: which photos need not be read again."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from dld_spotter.photo_sources import Photo

Record = Mapping[str, Any]


class EarlierRecords:
    """Records by their photos.

    Args:
        records: in the order in which they were written.
        with_words: keep the words, too; else only what tells whether a photo failed.
    """

    def __init__(self, records: Iterable[Record] = (), with_words: bool = True):
        self.count = 0
        self._waiting: dict[tuple[str, int | None], deque[Record]] = defaultdict(deque)
        for record in records:
            self.count += 1
            kept = record if with_words else {"file_name": record["file_name"], "error": record.get("error")}
            self._waiting[record["file_name"], record.get("page")].append(kept)

    def take(self, photo: Photo) -> Record | None:
        """The record of a photo, if there is one; the next photo of that name gets the next one."""
        records = self._waiting.get((photo.file_name, photo.page))
        return records.popleft() if records else None
