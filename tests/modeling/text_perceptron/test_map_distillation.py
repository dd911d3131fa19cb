"""A Text Perceptron's maps at two scales: against NumPy, and of one scene."""

import numpy as np
import pytest
import torch

from dld_spotter.modeling.text_perceptron.map_distillation import area_distances, area_outputs
from dld_spotter.modeling.text_perceptron.order_aware_head import SegmentationMaps

STRIDE, BETA = 4, 0.11
WEIGHTED_BY = (1, 2, 0)  # the score map of head, tail and centre, in the order of the regression maps


def random_maps(*size, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (2, 4, *size), (2, 12, *size)
    return SegmentationMaps(*(torch.from_numpy(rng.normal(size=shape)).float() for shape in shapes))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_half_size_by_hand():
    """Two images, the second padded: each cell of the student is four of the teacher."""
    sizes, halves = [(32, 48), (24, 32)], [(16, 24), (12, 16)]
    teacher, student = random_maps(8, 12), random_maps(8, 8, seed=1)  # the student's map is padded otherwise
    found = area_distances(student, halves, STRIDE, (0.5, 0.5), area_outputs(teacher, sizes, STRIDE))
    kl, area, error, weight = np.zeros(4), np.zeros(4), np.zeros(3), np.zeros(3)
    for image, (height, width) in enumerate(halves):
        for row, column in np.ndindex(height // STRIDE, width // STRIDE):
            block = (image, slice(None), slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
            cells = sigmoid(teacher.scores[block].double().numpy())
            p, q = cells.mean(axis=(1, 2)), sigmoid(student.scores[image, :, row, column].double().numpy())
            kl += p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
            area += p
            for part, score in enumerate(WEIGHTED_BY):
                for channel in range(4):
                    outline = 0.0  # pixels of the teacher's image
                    for y, x in np.ndindex(2, 2):
                        place = ((2 * column + x + 0.5) * STRIDE, (2 * row + y + 0.5) * STRIDE)[channel % 2]
                        says = place - 32 * teacher.geometry[block][4 * part + channel, y, x].item()
                        outline += cells[score, y, x] * says / cells[score].sum()
                    place = ((column + 0.5) * STRIDE, (row + 0.5) * STRIDE)[channel % 2]
                    target = (place - 0.5 * outline) / 32
                    off = abs(student.geometry[image, 4 * part + channel, row, column].item() - target)
                    error[part] += p[score] * (off**2 / 2 / BETA if off < BETA else off - BETA / 2) / 4
                weight[part] += p[score]
    expected = dict(zip(("seg_center", "seg_head", "seg_tail", "seg_boundary"), kl / area, strict=True))
    expected |= dict(zip(("reg_head", "reg_tail", "reg_offset"), error / weight, strict=True))
    assert {name: loss.item() for name, loss in found.items()} == pytest.approx(expected, rel=1e-4)


# x and y of the corners at both ends, and of the four sides, of one word.
OUTLINE = np.array([60, 50, 64, 140, 410, 70, 405, 160, 62, 60, 408, 150])


def scene(factors, size, moved=0.0, stride=STRIDE):
    """One word at a scale: smooth areas, and the same outline seen from each cell.

    Args:
        factors: on height and width.
        size: height and width of the image at full scale.
        moved: pixels at full scale by which the scene is moved.
        stride: pixels a cell.
    """
    height, width = round(size[0] * factors[0]), round(size[1] * factors[1])
    y, x = ((np.arange(-(-side // 32) * 32 // stride) + 0.5) * stride for side in (height, width))
    there_y, there_x = y[:, None] / factors[0] - moved, x / factors[1] - moved
    scores = [3 * np.sin(there_y / 70 + phase) + 3 * np.cos(there_x / 90 - phase) for phase in range(4)]
    geometry = [
        (y[:, None] + 0 * x if channel % 2 else x + 0 * y[:, None]) - (at + moved) * factors[1 - channel % 2]
        for channel, at in enumerate(OUTLINE)
    ]
    maps = (torch.from_numpy(np.stack(part)).float()[None] for part in (scores, np.array(geometry) / 32))
    return SegmentationMaps(*maps), [(height, width)]


@pytest.mark.parametrize("scale", [0.5, 0.35, 0.7, 0.85])
def test_maps_of_one_scene_agree_at_any_scale(scale):
    """Not those of a scene that is moved by a cell and a half."""
    size = (410, 500)
    factors = round(size[0] * scale) / size[0], round(size[1] * scale * 0.98) / size[1]  # not the same on both sides
    given = area_outputs(*scene((1.0, 1.0), size), STRIDE)
    same, moved = (area_distances(*scene(factors, size, by), STRIDE, factors, given) for by in (0.0, 6.0))
    for name in same:
        limit = 1e-5 if name.startswith("reg") else 0.1 * moved[name]
        assert same[name] < limit and moved[name] > 1e-3, name


def test_equal_maps_cost_nothing_and_padding_does_not_count():
    teacher, sizes = random_maps(16, 24), [(64, 96), (40, 60)]
    given = area_outputs(teacher, sizes, STRIDE)
    for name, loss in area_distances(teacher, sizes, STRIDE, (1.0, 1.0), given).items():
        assert loss.item() == pytest.approx(0, abs=1e-6), name
    student = random_maps(16, 24, seed=1)
    expected = area_distances(student, sizes, STRIDE, (1.0, 1.0), given)
    for maps in (teacher, student):
        for part in maps:
            part[1, :, 10:] = torch.nan
            part[1, :, :, 15:] = torch.nan
    found = area_distances(student, sizes, STRIDE, (1.0, 1.0), area_outputs(teacher, sizes, STRIDE))
    assert {name: loss.item() for name, loss in found.items()} == {n: loss.item() for n, loss in expected.items()}


def test_where_the_teacher_is_sure_of_no_word_its_geometry_does_not_count():
    teacher, student = random_maps(8, 12), random_maps(4, 6, seed=1)
    teacher.scores[:] = -200.0
    given = area_outputs(teacher, [(32, 48)] * 2, STRIDE)
    student = SegmentationMaps(*(part.requires_grad_() for part in student))
    found = area_distances(student, [(16, 24)] * 2, STRIDE, (0.5, 0.5), given)
    assert all(found[name] == 0 for name in ("reg_head", "reg_tail", "reg_offset")) and found["seg_head"] > 0
    sum(found.values()).backward()
    assert all(torch.isfinite(part.grad).all() for part in student)


def test_a_student_with_another_stride_is_aligned():
    """Cells twice as large, at the same scale."""
    given = area_outputs(*scene((1.0, 1.0), (410, 500)), STRIDE)
    same, moved = (area_distances(*scene((1.0, 1.0), (410, 500), by, 8), 8, (1.0, 1.0), given) for by in (0.0, 6.0))
    for name in same:
        assert same[name] < (1e-5 if name.startswith("reg") else 0.1 * moved[name]) and moved[name] > 1e-3, name
