"""The loss of the feature pyramid against NumPy."""

import numpy as np
import pytest
import torch

from dld_spotter.modeling.dld.losses.pyramid_loss import level_shift, pyramid_loss


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def maps(*levels, size=(64, 96), seed=0):
    return {j: random(2, 3, size[0] // 2**j, size[1] // 2**j, seed=seed + j) for j in levels}


def test_levels_are_shifted_by_the_power_of_two_that_is_nearest():
    assert [level_shift(scale) for scale in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)] == [2, 1, 1, 1, 1, 0, 0]


def test_the_pyramid_s_loss_at_half_size_equals_numpy_s():
    teacher, student = maps(3, 4, 5), maps(2, 3, 4, 5, size=(32, 48), seed=7)
    sizes = [(64, 96), (41, 30)]  # the second image is padded
    expected = 0.0
    for level in (3, 4, 5):
        own, given, stride = student[level - 1].numpy(), teacher[level].numpy(), 2**level
        assert own.shape == given.shape
        distances = [
            np.abs(own[b, :, y, x] - given[b, :, y, x]).mean()
            for b, (height, width) in enumerate(sizes)
            for y in range(own.shape[2])
            for x in range(own.shape[3])
            if (y + 0.5) * stride < height and (x + 0.5) * stride < width
        ]
        expected += np.mean(distances)
    assert pyramid_loss(student, teacher, 0.5, sizes).item() == pytest.approx(expected, rel=1e-5)
    equal = {level - 1: given.clone() for level, given in teacher.items()}
    assert pyramid_loss(equal, teacher, 0.5, sizes) == 0


@pytest.mark.parametrize("scale", [0.3, 0.4, 0.6, 0.7, 0.8])
def test_maps_of_one_scene_agree_at_any_scale(scale):
    """Maps that show the same smooth pattern at their own strides differ by next to nothing; shifted ones do not."""

    def pattern(level, scale, shift=0.0):
        stride = 2**level / scale
        y, x = ((np.arange(n * scale // 2**level) + 0.5) * stride + shift for n in (512, 768))
        return torch.from_numpy(np.sin(y / 150)[:, None] + np.cos(x / 190)).float()[None, None]

    teacher = {level: pattern(level, 1.0) for level in (2, 3, 4, 5, 6)}
    sizes = [(400, 600)]
    same = pyramid_loss({level: pattern(level, scale) for level in (2, 3, 4)}, teacher, scale, sizes)
    moved = pyramid_loss({level: pattern(level, scale, 40.0) for level in (2, 3, 4)}, teacher, scale, sizes)
    assert same < 0.02 and moved > 0.2


def test_a_pyramid_without_partners_is_an_error():
    with pytest.raises(ValueError, match=r"at scale 0\.3.*MODEL\.DLD\.ETA_PYRAMID"):
        pyramid_loss(maps(4, 5), maps(2, 3), 0.3, [(64, 96)] * 2)


def test_only_the_rows_of_a_group_are_compared():
    teacher = maps(3, 4)
    student = {level - 1: given[1:] + 0.25 for level, given in teacher.items()}
    assert pyramid_loss(student, teacher, 0.5, [(64, 96)], [1]).item() == pytest.approx(0.5, rel=1e-4)
