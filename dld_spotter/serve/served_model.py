"""The model that a service reads with, and what the service says of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dld_spotter.predictor import TextPredictor
from dld_spotter.results import TextResult
from dld_spotter.serve.limits import MOST_TILES, Limits, Refusal
from dld_spotter.tiling import plan_tiles

_WARM_UP = (96, 128)  # pixels


class ServedModel:
    """Reads arrays; for one thread.

    Args:
        predictor: reads.
        name: what the service calls the model.
    """

    def __init__(self, predictor: TextPredictor, name: str):
        self.predictor, self.name, self.runtime = predictor, name, predictor.runtime
        self.costs = predictor.reader.costs

    @classmethod
    def load(cls, model: str, runtime: str = "auto", threads: int = 0) -> ServedModel:
        """A model by its name or folder.

        Args:
            model: as ``TextPredictor`` takes it.
            runtime: likewise.
            threads: that compute; 0 for as many as the machine has.

        Raises:
            As ``TextPredictor``.
        """
        predictor = TextPredictor(model, runtime=runtime, threads=0 if runtime == "torch" else threads)
        if threads and predictor.runtime == "torch":
            import torch

            torch.set_num_threads(threads)
        path = Path(model)
        name = (path.parent if path.name == "model.yaml" else path).name if os.sep in model else model
        return cls(predictor, name)

    def warm_up(self) -> None:
        """Read nothing, so that the first photo does not wait for what happens only once."""
        self.read([np.zeros((*_WARM_UP, 3), np.uint8)], None)

    def least_scale(self) -> float | None:
        """The smallest scale that can be asked for; None of a model that reads at full resolution alone."""
        return None if self.costs is None else min(self.costs.scales)

    def check_scale(self, scale: float | None) -> None:
        """Refuse a scale whose cost nobody knows.

        Raises:
            Refusal: the model chooses no scale, or the scale is not between its smallest and 1.
        """
        least = self.least_scale()
        if scale is None:
            return
        if least is None:
            raise Refusal(422, f"the model {self.name} reads at full resolution alone; leave the scale out.")
        if not least <= scale <= 1:
            raise Refusal(422, f"the scale must be between {least:g} and 1; leave it out to let the model choose.")

    def read(self, images: Sequence[np.ndarray], scale: float | None) -> list[TextResult | Refusal]:
        """What came of each image.

        Args:
            images: (H, W, 3) uint8 in BGR order.
            scale: to read them at; None lets the model choose.
        """
        refused = [self._refusal(*image.shape[:2]) for image in images]
        fit = [image for image, refusal in zip(images, refused, strict=True) if refusal is None]
        read = self.predictor.stream(fit, max(1, len(fit)), scale=scale)
        return [_outcome(next(read)) if refusal is None else refusal for refusal in refused]

    def share_of_cost(self, scale: float | None) -> float:
        """Of the full resolution; see ``ScaleCosts.share``."""
        return 1.0 if self.costs is None or scale is None else self.costs.share(scale)

    def describe(self, limits: Limits) -> dict:
        """What the page and other clients need to know before they post."""
        costs = {} if self.costs is None else {"scales": list(self.costs.scales), "costs": list(self.costs.costs)}
        return {
            "name": self.name,
            "runtime": self.runtime,
            "scales": [],
            "costs": [],
            **costs,
            "max_bytes": limits.max_bytes,
            "max_pixels": limits.max_pixels,
            "timeout": limits.timeout,
        }

    def _refusal(self, height: int, width: int) -> Refusal | None:
        size = self.predictor.reader.size
        tiling = plan_tiles(height, width, size.shortest, size.longest)
        if tiling is None or len(tiling) <= MOST_TILES:
            return None
        return Refusal(
            422,
            f"the photo would be read in {len(tiling)} tiles, more than the {MOST_TILES} allowed; cut it into parts.",
        )


def _outcome(result: TextResult) -> TextResult | Refusal:
    return result if result.error is None else Refusal(500, f"reading the photo failed: {result.error}")
