"""Working through a stream in batches: results in order, little held at a time, one bad item costs one item."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

LOOK_AHEAD = 3  # batches among whose items those of one kind are sought


@dataclass(eq=False)
class _Waiting(Generic[Item]):
    position: int
    item: Item
    kind: Hashable


def in_batches(
    items: Iterable[Item],
    process: Callable[[list[Item]], Sequence[Outcome]],
    kind: Callable[[Item], Hashable],
    batch_size: int,
) -> Iterator[tuple[Item, Outcome]]:
    """Process items in batches of one kind, and give each with its outcome as soon as those before it have theirs.

    Args:
        items: taken as they are needed; ``LOOK_AHEAD`` batches at most are held.
        process: gives one outcome an item, in their order.
        kind: which items may go together; not asked for with a batch size of 1.
        batch_size: items of a batch at most.
    """
    held = batch_size * LOOK_AHEAD if batch_size > 1 else 1
    incoming = enumerate(items)
    waiting: list[_Waiting[Item]] = []
    done: dict[int, tuple[Item, Outcome]] = {}
    due = 0
    while True:
        for position, item in islice(incoming, held - len(waiting) - len(done)):
            waiting.append(_Waiting(position, item, kind(item) if batch_size > 1 else None))
        if not waiting:
            return
        # The oldest is always among them, so that no item waits for long.
        batch = [entry for entry in waiting if entry.kind == waiting[0].kind][:batch_size]
        for entry, outcome in zip(batch, process([entry.item for entry in batch]), strict=True):
            waiting.remove(entry)
            done[entry.position] = entry.item, outcome
        del batch, entry, outcome  # so that nothing is held while the caller works
        while due in done:
            yield done.pop(due)
            due += 1


def each_or_error(
    process: Callable[[Sequence[Item]], Sequence[Outcome]], items: Sequence[Item]
) -> list[Outcome | Exception]:
    """The outcome of each item; where a batch fails, its halves are tried, down to the items that fail alone."""
    try:
        return list(process(items))
    except Exception as error:  # whatever a model makes of one item costs that item
        logger.debug("a batch of %d failed", len(items), exc_info=True)
        failure = error.with_traceback(None)  # its frames hold the batch's memory
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(items) == 1:
        return [failure]
    middle = len(items) // 2
    return each_or_error(process, items[:middle]) + each_or_error(process, items[middle:])
