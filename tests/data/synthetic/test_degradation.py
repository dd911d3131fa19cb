"""Light, lens, sensor and file: they change how a scene looks, not where things are."""

from dataclasses import replace

import numpy as np
import pytest

from dld_spotter.data.synthetic import degradation
from dld_spotter.data.synthetic.degradation import choose_quality, degrade
from dld_spotter.data.synthetic.style import STYLES, SceneStyle

SIZE = (80, 100)
CLEAR = SceneStyle(light=0.0, blur=0.0, noise=0.0)


def spot(ground=60, ink=200):
    """A disc of 11 pixels across; its middle is at (50, 39)."""
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] + 0.5
    inside = np.hypot(columns - 50, rows - 39) < 5.5
    return np.where(inside[..., None], ink, ground).astype(np.uint8).repeat(3, axis=-1)


def centre(image):
    """(x, y) centroid of what stands out around the spot."""
    part = image[24:54, 35:65].mean(axis=-1).astype(float)
    weight = np.abs(part - np.median(part))
    weight[weight < 0.3 * weight.max()] = 0
    rows, columns = np.mgrid[24:54, 35:65] + 0.5
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize(("light", "most"), [(0.0, 0.25), (1.0, 1.0)])
def test_nothing_moves(light, most):
    """Uneven light weighs the spot's sides differently, which is no move: on average it stays where it is."""
    drifts = []
    for seed in range(30):
        photo = degrade(np.random.default_rng(seed), spot(), SceneStyle(light=light), smallest=20)
        assert photo.shape == (*SIZE, 3) and photo.dtype == np.uint8
        drifts.append(centre(photo) - [50, 39])
    assert np.abs(drifts).max() < most
    assert np.abs(np.mean(drifts, axis=0)).max() < 0.1


def test_clear_style_changes_next_to_nothing():
    image = spot()
    for seed in range(5):
        photo = degrade(np.random.default_rng(seed), image, CLEAR, smallest=20)
        assert np.abs(photo.astype(int) - image).max() <= 2


def test_scene_is_left_as_it_was_and_seed_decides():
    image = spot()
    before = image.copy()
    first, second, other = (degrade(np.random.default_rng(seed), image, SceneStyle(), 20) for seed in (1, 1, 2))
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize(("knob", "least"), [("light", 5.0), ("noise", 0.5), ("blur", 0.15)])
def test_each_knob_does_something(knob, least):
    style = replace(CLEAR, **{knob: 1.0})
    image = spot()
    changes = [
        np.abs(degrade(np.random.default_rng(seed), image, style, 20).astype(float) - image).mean()
        for seed in range(10)
    ]
    assert np.mean(changes) > least


def test_small_print_is_blurred_less():
    style = replace(CLEAR, blur=1.0)

    def sharpness(smallest):
        photos = [degrade(np.random.default_rng(seed), spot(), style, smallest) for seed in range(15)]
        return np.mean([np.abs(np.diff(photo[..., 0].astype(float))).max() for photo in photos])

    assert sharpness(10) > sharpness(40) > sharpness(200)


@pytest.mark.parametrize("smallest", [9, 15, 40])
def test_the_smallest_words_stay_readable(smallest):
    """Stripes as fine as the strokes of letters, five to a word's height, keep a third of their contrast."""
    period = smallest / 2.5
    columns = np.arange(SIZE[1]) + 0.5
    stripes = np.broadcast_to(128 + 100 * np.cos(2 * np.pi * columns / period), SIZE)
    image = np.rint(stripes)[..., None].repeat(3, axis=-1).astype(np.uint8)
    wave = np.exp(-2j * np.pi * columns / period)

    def amplitude(photo):
        return np.abs(((photo[..., 1].astype(float) - photo[..., 1].mean()) * wave).mean())

    kept = [
        amplitude(degrade(np.random.default_rng(s), image, SceneStyle(), smallest)) / amplitude(image)
        for s in range(40)
    ]
    assert min(kept) > 0.33 and np.median(kept) > 0.5


@pytest.mark.parametrize("length", [1.5, 4.0, 11.0])
@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2, 2.5])
def test_motion_kernel_is_a_centred_line(length, angle):
    kernel = degradation._motion_kernel(length, angle).astype(float)
    assert kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1
    assert kernel.sum() == pytest.approx(1, abs=1e-5) and kernel.min() >= 0
    reach = kernel.shape[0] // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    assert abs((kernel * x).sum()) < 1e-4 and abs((kernel * y).sum()) < 1e-4
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    # A line of that length has a variance of length^2 / 12; the pixel grid adds at most a quarter, the ends a little.
    assert -1e-4 < (kernel * along**2).sum() - length**2 / 12 < 0.25 + 0.04 * length**2 / 12
    assert (kernel * across**2).sum() < 0.26


def test_illumination_is_bounded_and_smooth():
    for seed in range(30):
        light = degradation._illumination(np.random.default_rng(seed), SIZE, 1.0)
        assert light.shape == SIZE and light.min() >= 0.35 and light.max() <= 1.5
    flat = degradation._illumination(np.random.default_rng(0), SIZE, 0.0)
    np.testing.assert_allclose(flat, 1, atol=1e-6)


@pytest.mark.parametrize("name", STYLES)
def test_quality_lies_in_the_range_and_small_print_gets_more(name):
    style, rng = STYLES[name], np.random.default_rng(0)
    low, high = style.quality
    large = [choose_quality(rng, style, 30) for _ in range(300)]
    small = [choose_quality(rng, style, 10) for _ in range(300)]
    assert low <= min(large) <= low + 5 and high - 5 <= max(large) <= high
    assert min(small) >= max(low, min(60, high)) and max(small) <= high
