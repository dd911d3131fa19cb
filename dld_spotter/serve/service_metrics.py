"""What Prometheus sees of a service: requests, times, batches, scales, what waits."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32)
_TENTHS = tuple(tenth / 10 for tenth in range(1, 11))


class ServiceMetrics:
    """The figures of one service, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "dld_spotter_requests", "Answers by route and status.", ["route", "status"], registry=registry
        )
        self._words = Counter("dld_spotter_words", "Words that were read.", registry=registry)
        self._waiting = Gauge("dld_spotter_photos_waiting", "Photos that wait or are read.", registry=registry)
        self._seconds = self._histogram("request_seconds", "From a photo's request to its answer.", _SECONDS)
        self._reading = self._histogram("reading_seconds", "Of the model, for each photo.", _SECONDS)
        self._batches = self._histogram("batch_photos", "Photos in a batch.", _SIZES)
        self._scales = self._histogram("scale", "At which a photo was read.", _TENTHS)

    def _histogram(self, name: str, what: str, bounds: Sequence[float]) -> Histogram:
        return Histogram(f"dld_spotter_{name}", what, buckets=bounds, registry=self._registry)

    def answer(self, route: str, status: int) -> None:
        """One request was answered."""
        self._requests.labels(route, str(status)).inc()

    def photo(self, seconds: float, scale: float, words: int) -> None:
        """One photo was read.

        Args:
            seconds: from its request to its answer.
            scale: at which it was read.
            words: that were found.
        """
        self._seconds.observe(seconds)
        self._scales.observe(scale)
        self._words.inc(words)

    def batch(self, photos: int, seconds: float) -> None:
        """One batch was read, in so many seconds a photo."""
        self._batches.observe(photos)
        for _ in range(photos):
            self._reading.observe(seconds)

    def waiting(self, photos: int) -> None:
        """So many photos wait or are read now."""
        self._waiting.set(photos)

    def text(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        return generate_latest(self._registry)
