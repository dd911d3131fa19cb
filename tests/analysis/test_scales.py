"""Shares, mean costs and relative costs against choices made by hand; times and memory of known jobs."""

import time
from itertools import pairwise

import pytest
import torch
import toy
from detectron2.modeling import build_model

from dld_spotter.analysis import CostModel, choose_scales, chosen_cost, mean_counts, relative_costs, scale_shares
from dld_spotter.analysis.runtime import peak_memory, take_turns
from dld_spotter.modeling.spotter_parts import Workload

CPU = torch.device("cpu")


class FakeCosts:
    """A teacher of height x width, a student of scale**2 of that in two parts, a selector of 3."""

    def teacher(self, size):
        return {"a": size[0] * size[1]}

    def student(self, size, scale):
        return {"a": scale**2 * size[0] * size[1] - 1, "b": 1}

    def inference(self, size, scale):
        return self.student(size, scale) | {"selector": 3}


def dld_model(*opts):
    pairs = ("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.DLD.SCALES", (0.5, 1.0), *opts)
    return build_model(toy.tiny_cfg(*pairs)).eval()


def record(height, width):
    return {"image": torch.randint(0, 256, (3, height, width), dtype=torch.uint8)}


def test_shares_of_the_scales():
    shares = scale_shares([0.5, 0.3, 0.5, 0.5], (0.8, 0.5, 0.3))
    assert shares == {0.8: 0.0, 0.5: 0.75, 0.3: 0.25}
    assert list(shares) == [0.8, 0.5, 0.3]
    assert scale_shares([], (0.5,)) == {0.5: 0.0}
    with pytest.raises(ValueError, match=r"scales \[0.4\] were chosen, but the candidates are \[0.5\]"):
        scale_shares([0.5, 0.4], (0.5,))


def test_mean_costs():
    assert mean_counts([{"a": 1, "b": 0}, {"a": 2, "b": 6}]) == {"a": 1.5, "b": 3.0}
    with pytest.raises(ValueError, match="no images"):
        mean_counts([])
    costs = FakeCosts()
    sizes = [(10, 20), (30, 40)]
    # The mean of the costs divided by the teacher's mean, not the mean of their ratios.
    assert relative_costs(costs, sizes, (0.5, 0.2)) == pytest.approx([0.25, 0.04])
    assert chosen_cost(costs, sizes, [1.0, 0.5]) == pytest.approx((200 + 0.25 * 1200) / 2 + 3)
    with pytest.raises(ValueError, match="zip"):
        chosen_cost(costs, sizes, [1.0])


def test_relative_costs_of_a_model_rise_with_the_scale_up_to_the_teacher():
    costs = CostModel(dld_model(), Workload(5, 2, 3))
    found = relative_costs(costs, [(96, 128), (64, 64)], (0.25, 0.5, 0.75, 1.0))
    assert found[-1] == 1.0
    assert all(small < large for small, large in pairwise(found))


def test_the_models_choice_is_taken():
    model = dld_model()
    with torch.no_grad():
        model.selector.classify.bias.copy_(torch.tensor([-100.0, 100.0]))
    batch = [record(64, 96), record(90, 70)]
    model.train()
    assert choose_scales(model, batch) == [((64, 96), 1.0), ((90, 70), 1.0)]
    assert model.training
    model.fixed_scale = 0.4
    assert choose_scales(model, batch) == [((64, 96), 0.4), ((90, 70), 0.4)]
    assert choose_scales(build_model(toy.tiny_cfg()), batch) == [((64, 96), 1.0), ((90, 70), 1.0)]


def test_jobs_take_turns_and_the_warm_up_is_not_counted():
    runs = []

    def slow_at_first():
        if "slow" not in runs:
            time.sleep(0.2)
        runs.append("slow")

    seconds = take_turns({"slow": slow_at_first, "other": lambda: runs.append("other")}, 3, CPU)
    assert runs == ["slow", "other"] * 4
    assert seconds.keys() == {"slow", "other"}
    assert seconds["slow"].shape == (3,) and seconds["slow"].max() < 0.1


def test_peak_memory_of_known_tensors():
    megabyte = 2**20

    def job():
        first = torch.zeros(3 * megabyte, dtype=torch.uint8)
        del first
        second = torch.zeros(2 * megabyte, dtype=torch.uint8)
        return second, second + 1

    assert peak_memory(job, CPU) == pytest.approx(4 * megabyte, rel=0.01)
    assert peak_memory(lambda: None, CPU) == 0
