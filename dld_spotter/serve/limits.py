"""What the service takes, and how it refuses what it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

FORM_BYTES = 16_384  # what a form may have around its photo
LONGEST_DECODING = 10.0  # seconds; a photo of 50 million pixels takes about one
MOST_TILES = 12  # of a panorama


@dataclass(frozen=True)
class Limits:
    """Of one request, and of all together.

    Attributes:
        max_bytes: of a photo's file.
        max_pixels: of a photo; its header is asked before anything is decoded.
        timeout: seconds from a request's first byte to its answer.
        queue: requests that are received, wait or are read at once.
        batch_size: photos that are given to the model together, at most.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    timeout: float = 30.0
    queue: int = 32
    batch_size: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{field.name.replace('_', '-')} is {value}; it must be above 0.")

    @property
    def decoding_seconds(self) -> float:
        """Time to decode one photo; within the time limit, so that its sender hears of it."""
        return min(LONGEST_DECODING, self.timeout / 2)


class Refusal(Exception):
    """A request that is answered with a sentence instead of words.

    Args:
        status: of the answer.
        sentence: what is wrong, and what to do.
        retry: whether the same request can succeed a little later.
    """

    def __init__(self, status: int, sentence: str, retry: bool = False):
        super().__init__(sentence)
        self.status, self.sentence, self.retry = status, sentence, retry


def from_another_page() -> Refusal:
    """The answer to a browser that shows a page of somebody else, who would let this machine work for them."""
    return Refusal(403, "this service answers its own page alone; a page from elsewhere cannot use it.")


def too_many_bytes(limits: Limits) -> Refusal:
    """The answer to a file that is too large."""
    return Refusal(413, f"the photo has more than the {limits.max_bytes:,} bytes allowed; save it smaller.")


def too_slow_body(limits: Limits) -> Refusal:
    """The answer to a body that does not arrive."""
    return Refusal(408, f"the photo did not arrive within {limits.timeout:g} seconds; send it again.", retry=True)


def too_late(limits: Limits) -> Refusal:
    """The answer to a photo whose turn did not come."""
    return Refusal(503, f"the photo was not read within {limits.timeout:g} seconds; try again later.", retry=True)


def queue_is_full(limits: Limits) -> Refusal:
    """The answer while others wait."""
    return Refusal(503, f"{limits.queue} photos are being read or wait already; try again later.", retry=True)


def stopping() -> Refusal:
    """The answer to what comes after the service was told to stop."""
    return Refusal(503, "the service is stopping; try again later.", retry=True)
