"""Distances between the detectors' outputs against NumPy, and maps at another scale."""

import numpy as np
import pytest
import torch

from dld_spotter.modeling.dld.losses.output_losses import (
    bernoulli_kl,
    class_distance,
    covered_cells,
    map_distance,
    resize_by_area,
    weighted_smooth_l1,
)


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def kl(p, q):
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


def test_classes_by_hand():
    student, teacher = random(5, 3), random(5, 3, seed=1)
    pairs = zip(student.double().numpy(), teacher.double().numpy(), strict=True)
    by_hand = np.mean([sum(softmax(t) * np.log(softmax(t) / softmax(s))) for s, t in pairs])
    assert class_distance(student, teacher).item() == pytest.approx(by_hand, rel=1e-5) and by_hand > 0.1
    assert class_distance(teacher, teacher).item() == pytest.approx(0, abs=1e-7)


def test_boxes_by_hand():
    student, teacher, weight, beta = 2 * random(6, 4), 2 * random(6, 4, seed=1), random(6, seed=2).sigmoid(), 0.7
    total = 0.0
    for place, channel in np.ndindex(6, 4):
        error = abs(student[place, channel] - teacher[place, channel]).item()
        total += weight[place].item() * (0.5 * error**2 / beta if error < beta else error - beta / 2)
    found = weighted_smooth_l1(student, teacher, weight, beta).item()
    assert found == pytest.approx(total / 4 / max(1.0, weight.sum().item()), rel=1e-5)
    scarce = weighted_smooth_l1(student, teacher, weight / 100, beta).item()
    assert scarce == pytest.approx(total / 4 / 100, rel=1e-5), "no division by less than one word"


def test_maps_by_hand():
    logits, probability = 2 * random(3, 7), torch.sigmoid(2 * random(3, 7, seed=1))
    q = 1 / (1 + np.exp(-logits.double().numpy()))
    expected = kl(probability.double().numpy(), q)
    np.testing.assert_allclose(bernoulli_kl(logits, probability).numpy(), expected, rtol=1e-4, atol=1e-6)
    by_hand = expected.sum() / probability.sum().item()
    assert probability.sum() > 1 and map_distance(logits, probability).item() == pytest.approx(by_hand, rel=1e-5)
    rare = probability / 100
    by_hand = kl(rare.double().numpy(), q).sum()
    assert map_distance(logits, rare).item() == pytest.approx(by_hand, rel=1e-5), "no division by less than one cell"


def test_certain_maps_cost_nothing_and_keep_a_gradient():
    """Also where a probability rounds to 0 or 1, and over as many cells as a photo's background has."""
    for value in (-120.0, -12.0, -3.0, 3.0, 12.0, 120.0):
        logits = torch.full((180, 320), value)
        probability = logits.sigmoid()
        assert abs(map_distance(logits, probability).item()) < 2e-4, value
        moved = (logits - 0.5 * np.sign(value)).requires_grad_()
        map_distance(moved, probability).backward()
        assert torch.isfinite(moved.grad).all()


def test_means_of_certain_cells_that_are_rounded_up_keep_the_loss_finite():
    probability = torch.tensor([1.0, 1 + 2**-23, 0.0, -(2.0**-40)])
    logits = torch.tensor([3.0, 3.0, -3.0, -3.0], requires_grad=True)
    distance = bernoulli_kl(logits, probability)
    np.testing.assert_allclose(distance.detach().numpy(), np.log1p(np.exp(-3.0)), rtol=1e-5)
    distance.sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_nothing_to_compare_is_zero_with_a_gradient():
    scores, deltas, masks = (torch.zeros(0, *shape, requires_grad=True) for shape in ((2,), (4,), (1, 28, 28)))
    loss = class_distance(scores, scores) + weighted_smooth_l1(deltas, deltas, torch.zeros(0))
    (loss + bernoulli_kl(masks, masks.detach()).sum()).backward()
    assert loss.item() == 0 and all(output.grad is not None for output in (scores, deltas, masks))


def test_the_teacher_gets_no_gradient():
    outputs = [random(4, 4, seed=seed).requires_grad_() for seed in range(6)]
    own, given, boxes, wanted, logits, other = outputs
    weight = random(4, seed=6).sigmoid().requires_grad_()
    loss = (
        class_distance(own, given) + weighted_smooth_l1(boxes, wanted, weight) + map_distance(logits, other.sigmoid())
    )
    loss.backward()
    assert [output.grad is not None for output in outputs] == [True, False] * 3 and weight.grad is None


def test_outputs_of_other_sizes_are_an_error():
    with pytest.raises(ValueError, match=r"\(1, 64\).*\(1, 256\).*MODEL\.DLD\.ETA_DETECTION"):
        bernoulli_kl(torch.zeros(1, 64), torch.zeros(1, 256))


@pytest.mark.parametrize("size", [(8, 8), (9, 8), (10, 8), (11, 8), (1, 3), (720, 1280)])
def test_covered_cells_are_those_whose_centre_lies_in_the_image(size):
    found = covered_cells(size, 4)
    assert found == tuple(max(1, sum((cell + 0.5) * 4 < side for cell in range(400))) for side in size)


def means_by_hand(values, size, factors):
    """A cell's mean over a hundred points a side, each of which has the value of the old cell that it lies in."""
    height, width = values.shape
    result = np.zeros(size)
    share = (np.arange(100) + 0.5) / 100
    for row, column in np.ndindex(*size):
        rows = np.minimum(((row + share) / factors[0]).astype(int), height - 1)
        columns = np.minimum(((column + share) / factors[1]).astype(int), width - 1)
        result[row, column] = values[rows][:, columns].mean()
    return result


@pytest.mark.parametrize("factors", [(0.5, 0.5), (0.35, 0.3525), (0.7, 0.68), (1.0, 1.0)])
def test_a_cell_is_the_mean_over_its_area(factors):
    maps = random(2, 23, 31)
    size = tuple(round(side * factor) + 1 for side, factor in zip((23, 31), factors, strict=True))
    found = resize_by_area(maps, size, factors)
    for one, other in zip(maps.numpy(), found.numpy(), strict=True):
        np.testing.assert_allclose(other, means_by_hand(one, size, factors), atol=0.02)
    if factors == (1.0, 1.0):
        assert torch.equal(found[:, :23, :31], maps)


def test_a_map_of_half_the_size_by_hand():
    maps = torch.tensor([[[1.0, 3, 0, 0, 8], [5, 7, 0, 4, 6]]])
    found = resize_by_area(maps, (2, 3), (0.5, 0.5))
    # The border goes on: to the right, and below in the second row.
    assert found.tolist() == [[[4.0, 1.0, 7.0], [6.0, 2.0, 6.0]]]


def test_autocast_takes_no_precision():
    maps, logits = 100 * random(1, 40, 60), random(20, 30)
    exact = resize_by_area(maps, (20, 30), (0.5, 0.5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(resize_by_area(maps, (20, 30), (0.5, 0.5)), exact)
        loss = map_distance(logits.bfloat16(), exact[0].sigmoid())
        boxes = weighted_smooth_l1(logits.bfloat16(), logits, random(20).sigmoid())
        classes = class_distance(logits.bfloat16(), logits.bfloat16())
    assert {loss.dtype, boxes.dtype, classes.dtype} == {torch.float32}
