"""Textures, colours and grounds without text."""

import colorsys

import numpy as np
import pytest

from dld_spotter.data.synthetic.backgrounds import colour_ramp, draw_background, luminance, random_colour, textured
from dld_spotter.data.synthetic.textures import PATTERNS, cloud_noise, texture_bank

SIZE = (90, 140)


@pytest.mark.parametrize("size", [(64, 64), (40, 200), (200, 40), (7, 9)])
def test_cloud_noise_fills_its_range(size):
    noise = cloud_noise(np.random.default_rng(0), size, 0.6)
    assert noise.shape == size and noise.dtype == np.float32
    assert noise.min() == 0 and noise.max() == pytest.approx(1)


def test_rough_noise_has_finer_detail():
    steps = [np.abs(np.diff(cloud_noise(np.random.default_rng(0), SIZE, roughness))).mean() for roughness in (0.2, 0.9)]
    assert steps[1] > 2 * steps[0]


def test_small_bank_has_one_of_each_pattern():
    count = len(PATTERNS)
    bank = texture_bank(np.random.default_rng(1), count, SIZE)
    assert len(bank) == count
    for pattern in bank:
        assert pattern.shape == SIZE and pattern.dtype == np.uint8 and pattern.std() > 4
    pairs = [np.corrcoef(bank[i].ravel(), bank[j].ravel())[0, 1] for i in range(count) for j in range(i)]
    assert np.abs(pairs).max() < 0.7
    assert len(texture_bank(np.random.default_rng(1), 3, SIZE)) == 3
    assert len(texture_bank(np.random.default_rng(1), count + 2, SIZE)) == count + 2


@pytest.mark.parametrize("number", range(len(PATTERNS)))
@pytest.mark.parametrize("size", [(48, 64), (130, 40)])
def test_every_pattern_draws_at_any_size(number, size):
    for seed in range(3):
        pattern = PATTERNS[number][0](np.random.default_rng(seed), size)
        assert pattern.shape == size and np.isfinite(pattern).all()


def test_shares_of_the_patterns_add_up():
    assert sum(share for _, share in PATTERNS) == pytest.approx(1)


def test_luminance_by_hand():
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [100, 100, 100]], np.float32)
    np.testing.assert_allclose(luminance(colours), [29.07, 149.685, 76.245, 100], rtol=1e-5)


def test_random_colours_have_the_brightness_that_was_asked_for():
    rng = np.random.default_rng(0)
    colours = np.stack([random_colour(rng, (0.4, 0.6)) for _ in range(300)])
    value = colours.max(axis=1) / 255  # the V of HSV
    assert value.min() >= 0.4 - 1e-3 and value.max() <= 0.6 + 1e-3
    hues = [colorsys.rgb_to_hsv(*colour[::-1])[0] for colour in colours.tolist()]
    assert (np.histogram(hues, 6, (0, 1))[0] > 10).all()


def test_ramp_runs_from_dark_to_light():
    for seed in range(20):
        ramp = colour_ramp(np.random.default_rng(seed), contrast=0.6)
        assert ramp.shape == (256, 1, 3) and ramp.dtype == np.uint8
    grey = np.full(3, 120.0)
    spreads = []
    for contrast in (0.0, 0.2, 1.0):
        ramps = [colour_ramp(np.random.default_rng(seed), contrast, grey).astype(int) for seed in range(20)]
        spreads.append(np.mean([np.ptp(luminance(ramp[:, 0])) for ramp in ramps]))
    assert spreads[0] < 2 and spreads[0] < spreads[1] < spreads[2]


def test_textured_ground_has_the_wanted_size(bank):
    for seed in range(10):
        ground = textured(np.random.default_rng(seed), bank, SIZE, 0.8)
        assert ground.shape == (*SIZE, 3) and ground.dtype == np.uint8


def test_background_is_the_same_for_the_same_seed(bank):
    for seed in range(10):
        first, second = (draw_background(np.random.default_rng(seed), bank, SIZE, 1.0) for _ in range(2))
        assert first.shape == (*SIZE, 3) and first.dtype == np.uint8
        np.testing.assert_array_equal(first, second)


def test_texture_makes_backgrounds_busy(bank):
    spreads = []
    for texture in (0.0, 0.25, 1.0):
        grounds = [draw_background(np.random.default_rng(seed), bank, SIZE, texture) for seed in range(25)]
        spreads.append(np.mean([ground.std(axis=(0, 1)).mean() for ground in grounds]))
    assert spreads[0] < 2 and spreads[0] < spreads[1] < spreads[2]
    assert spreads[2] > 15


def test_backgrounds_differ(bank):
    means = [draw_background(np.random.default_rng(seed), bank, SIZE, 1.0).mean() for seed in range(25)]
    assert np.std(means) > 20
