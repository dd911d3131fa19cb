"""How far a figure of a data set could lie elsewhere with other images: the bootstrap over images.

Every figure here is a sum over images divided by another sum over the same images. Its numerator and denominator in
each image are its "parts", whole numbers; both are pooled over the images that a resample draws before they are
divided, as in the figure itself. Words are not resampled on their own, since those of one image share its light,
blur and scale.

Several runs of one method (seeds) are averaged in each resample. The intervals then say what other images would change,
not what another training would.

Shapes: I images, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure of the data set as it is, and its percentile interval over the resamples."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies above or below zero, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def resample_images(images: int, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """(R, I) int64: how often each resample draws each image; it draws I times, each image as likely as another.

    Raises:
        ValueError: there is no image, or no resample.
    """
    if images < 1 or resamples < 1:
        raise ValueError(f"{resamples} resamples of {images} images are none; both must be 1 or more.")
    drawn = np.random.default_rng(seed).integers(0, images, (resamples, images))
    return np.stack([np.bincount(row, minlength=images) for row in drawn])


def hmean_parts(counts: np.ndarray) -> np.ndarray:
    """(I, 2) parts of the harmonic mean of precision and recall, which is 2 correct / (truths + detections).

    Args:
        counts: (I, 3) words that were right, words to be found, detections that count.
    """
    return np.stack([2 * counts[:, 0], counts[:, 1] + counts[:, 2]], axis=1)


def pool(parts: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """(R,) the figure of each resample; 0 where there is nothing to divide by.

    Args:
        parts: (I, 2) numerator and denominator of each image, integers, so that equal figures are exactly equal.
        draws: (R, I) as ``resample_images`` gives them; a row of ones is the data set as it is.
    """
    numerator, denominator = (draws @ parts).astype(np.float64).T
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def estimate(runs: Sequence[np.ndarray], draws: np.ndarray) -> Estimate:
    """A method's figure.

    Args:
        runs: (I, 2) parts for each run (seed) of the method.
        draws: (R, I) resamples.
    """
    return to_estimate(_mean(runs, np.ones_like(draws[:1]))[0], _mean(runs, draws))


def estimate_difference(first: Sequence[np.ndarray], second: Sequence[np.ndarray], draws: np.ndarray) -> Estimate:
    """The first method's figure minus the second's, paired: both are taken over the same images of each resample.

    Args:
        first: (I, 2) parts for each run (seed), of the same images in the same order.
        second: likewise.
        draws: (R, I) resamples.
    """
    whole = np.ones_like(draws[:1])
    return to_estimate(
        (_mean(first, whole) - _mean(second, whole))[0],
        _mean(first, draws) - _mean(second, draws),
    )


def _mean(runs: Sequence[np.ndarray], draws: np.ndarray) -> np.ndarray:
    return np.mean([pool(parts, draws) for parts in runs], axis=0)


def to_estimate(value: float, resampled: np.ndarray) -> Estimate:
    """A figure, and the interval of its (R,) resamples."""
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value), float(low), float(high))
