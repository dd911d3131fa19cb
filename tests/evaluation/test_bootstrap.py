"""Intervals against the binomial distribution and against a loop over the resampled images, paired and over seeds."""

import math

import numpy as np
import pytest

from dld_spotter.evaluation.bootstrap import (
    Estimate,
    estimate,
    estimate_difference,
    hmean_parts,
    pool,
    resample_images,
)
from dld_spotter.evaluation.scoring import Score


def random_counts(images, seed=0):
    """(images, 3): correct, truths, detections."""
    rng = np.random.default_rng(seed)
    truths, detections = rng.integers(0, 12, (2, images))
    return np.stack([rng.integers(0, np.minimum(truths, detections) + 1), truths, detections], axis=1)


def test_each_resample_draws_as_many_images_as_there_are():
    draws = resample_images(40, 2000, seed=3)
    assert draws.shape == (2000, 40)
    assert (draws.sum(axis=1) == 40).all()
    assert draws.mean(axis=0) == pytest.approx(np.ones(40), abs=0.1)
    assert (draws == resample_images(40, 2000, seed=3)).all()
    assert (draws != resample_images(40, 2000, seed=4)).any()


def test_one_word_an_image_is_binomial():
    images, right = 400, 120
    parts = np.ones((images, 2), dtype=np.int64)
    parts[right:, 0] = 0
    found = estimate([parts], resample_images(images, 20_000))
    share = right / images
    deviation = math.sqrt(share * (1 - share) / images)
    assert found.value == share
    assert found.low == pytest.approx(share - 1.96 * deviation, abs=0.15 * deviation)
    assert found.high == pytest.approx(share + 1.96 * deviation, abs=0.15 * deviation)
    assert pool(parts, resample_images(images, 20_000)).std() == pytest.approx(deviation, rel=0.03)


def test_counts_are_pooled_as_in_the_score_of_a_loop():
    counts, resamples = random_counts(30), 200
    drawn = np.random.default_rng(7).integers(0, 30, (resamples, 30))  # the images that seed 7 draws
    looped = [Score(*(sum(int(counts[i][k]) for i in row) for k in range(3))).hmean for row in drawn]
    assert pool(hmean_parts(counts), resample_images(30, resamples, seed=7)) == pytest.approx(looped)
    found = estimate([hmean_parts(counts)], resample_images(30, resamples, seed=7))
    assert found.value == pytest.approx(Score(*counts.sum(axis=0).tolist()).hmean)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(looped, [0.025, 0.975])))


def test_differences_are_paired():
    first = random_counts(60)
    second = first.copy()
    second[::7, 0] = np.maximum(0, second[::7, 0] - 1)  # wrong in one more word of some images
    first, second, draws = hmean_parts(first), hmean_parts(second), resample_images(60)
    difference = estimate_difference([first], [second], draws)
    resampled = pool(first, draws) - pool(second, draws)
    assert (difference.low, difference.high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])))
    assert difference.sign == 1
    alone = estimate([first], draws), estimate([second], draws)
    assert alone[0].low < alone[1].high, "on their own the intervals overlap"
    assert estimate_difference([first], [first.copy()], draws) == Estimate(0.0, 0.0, 0.0)


def test_seeds_are_averaged_in_each_resample():
    runs = [hmean_parts(random_counts(20, seed)) for seed in range(3)]
    draws = resample_images(20)
    expected = np.mean([pool(run, draws) for run in runs], axis=0)
    found = estimate(runs, draws)
    assert found.value == pytest.approx(np.mean([estimate([run], draws).value for run in runs]))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))
    difference = estimate_difference(runs, runs[:1], draws)
    assert difference.value == pytest.approx(found.value - estimate(runs[:1], draws).value)


def test_nothing_to_divide_by_is_zero():
    assert estimate([hmean_parts(np.zeros((5, 3), dtype=np.int64))], resample_images(5)) == Estimate(0.0, 0.0, 0.0)


@pytest.mark.parametrize(("low", "high", "sign"), [(0.1, 0.2, 1), (-0.2, -0.1, -1), (-0.1, 0.1, 0), (0.0, 0.1, 0)])
def test_sign(low, high, sign):
    assert Estimate(0.0, low, high).sign == sign


@pytest.mark.parametrize("sizes", [(0, 10), (10, 0)])
def test_nothing_to_resample(sizes):
    with pytest.raises(ValueError, match="both must be 1 or more"):
        resample_images(*sizes)
