"""Where blocks find room: inside the scene, and none over another."""

import numpy as np
import pytest
from synthetic_checks import inside

from dld_spotter.data.synthetic.layout import Room, curved_surface, flat_surface

SIZE = (140, 200)


def surface_for(rng, size, kind):
    if kind == "flat":
        return flat_surface(rng, size, 0.6, rng.uniform(-40, 40))
    return curved_surface(rng, size, size[1], 0.4, rng.uniform(-20, 20))


@pytest.mark.parametrize("kind", ["flat", "curved"])
@pytest.mark.parametrize("seed", range(3))
def test_blocks_stay_inside_and_apart(kind, seed):
    rng, room = np.random.default_rng(seed), Room(SIZE)
    covers, found = np.zeros(SIZE, int), 0
    for _ in range(30):
        size = (rng.uniform(15, 70), rng.uniform(6, 20))
        placement = room.find(rng, surface_for(rng, size, kind), size, padding=3.0, capital=10.0)
        if placement is None:
            continue
        found += 1
        room.take(placement.footprint)
        assert placement.footprint.min() >= 0 and (placement.footprint.max(axis=0) <= [SIZE[1], SIZE[0]]).all()
        covers += inside(placement.footprint, SIZE)
        words = inside(placement.inner, SIZE)
        assert words.any() and not (words & ~inside(placement.footprint, SIZE)).any()
    assert found > 4 and covers.max() == 1
    assert abs(room.share - covers.mean()) < 0.12  # a pixel along the edges counts as taken


def test_block_that_is_too_large_finds_no_room():
    rng = np.random.default_rng(0)
    size = (400.0, 20.0)
    assert Room(SIZE).find(rng, flat_surface(rng, size, 0.0, 0.0), size, 2.0, 10.0) is None


def test_full_scene_has_no_room():
    rng, room, size = np.random.default_rng(0), Room(SIZE), (40.0, 10.0)
    room.take(np.array([[0, 0], [SIZE[1], 0], [SIZE[1], SIZE[0]], [0, SIZE[0]]]))
    assert room.share == 1
    assert room.find(rng, flat_surface(rng, size, 0.0, 0.0), size, 2.0, 10.0) is None


def test_arcs_are_gentle_enough_for_the_letters():
    rng = np.random.default_rng(0)
    surfaces = [curved_surface(rng, (120.0, 20.0), 20.0, 0.3, 0.0) for _ in range(100)]
    assert not any(surface.is_flat for surface in surfaces)
    arcs = [surface for surface in surfaces if surface.radius]
    assert 50 < len(arcs) < 90
    assert all(abs(surface.radius) >= max(1.6 * 20, 120 / 2.3) for surface in arcs)
    assert {np.sign(surface.radius) for surface in arcs} == {-1, 1}
    assert all(0 < surface.wave[0] <= 0.4 * 20 for surface in surfaces if not surface.radius)
