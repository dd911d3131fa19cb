"""What an actor does: it holds one model, fetches photos, and reads them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dld_spotter.batch.locations import fetch, is_url
from dld_spotter.batch.photo_tables import TableReader
from dld_spotter.batch.work_items import Item
from dld_spotter.photo_sources import Photo, to_photos

if TYPE_CHECKING:
    from dld_spotter.predictor import TextPredictor

MakePredictor = Callable[[], "TextPredictor"]


class PhotoReader:
    """Reads batches of items; the class that ``map_batches`` makes in each actor.

    Args:
        make_predictor: makes the model.
        batch_size: photos in a forward pass at most.
        stream: more arguments of ``TextPredictor.stream``.

    Raises:
        What making the model raises.
    """

    def __init__(self, make_predictor: MakePredictor, batch_size: int = 1, stream: Mapping[str, Any] | None = None):
        self._predictor = make_predictor()
        self._batch_size, self._stream = batch_size, dict(stream or {})
        self._tables = TableReader()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Read a batch.

        Args:
            batch: ``number`` (N,) int64 and ``item`` (N,), each an ``Item`` as JSON.

        Returns:
            ``number``, and ``records`` (N,): of each photo a JSON array of its records.
        """
        items = [Item.from_json(str(text)) for text in batch["item"]]
        answers = [json.dumps(records) for records in self.read(items)]
        return {"number": np.asarray(batch["number"]), "records": np.array(answers, dtype=object)}

    def read(self, items: Sequence[Item]) -> list[list[dict[str, Any]]]:
        """The records of each photo: one, or one for each page; of a bad photo one with ``error``."""
        found = [self._photos(item) for item in items]
        photos = [photo for of_item in found if isinstance(of_item, list) for photo in of_item]
        results = iter(self._predictor.stream(photos, self._batch_size, **self._stream))
        return [
            [next(results).to_dict() for _ in of_item] if isinstance(of_item, list) else [of_item] for of_item in found
        ]

    def _photos(self, item: Item) -> list[Photo] | dict[str, Any]:
        """The pages of an item, or the record of one that cannot be fetched."""
        name = item.file_name
        try:
            source: Path | bytes
            if item.row is not None:
                row = self._tables.read(item.path, item.row)
                name, source = row.file_name or name, row.data or b""
            elif is_url(item.path):
                source = fetch(item.path)
            else:
                source = Path(item.path)
                if os.path.isdir(source):
                    raise ValueError("it is a folder.")
            return [replace(photo, file_name=name) for photo in to_photos([source])]
        except Exception as error:  # each store has errors of its own
            return failure(name, f"fetching it failed ({type(error).__name__}: {_first_line(error)}).")


def failure(file_name: str, reason: str) -> dict[str, Any]:
    """The record of a photo that was not read."""
    return {"file_name": file_name, "error": f"{file_name}: {reason}"}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")
