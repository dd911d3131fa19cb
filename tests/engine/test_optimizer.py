import engine_toy
import numpy as np
import pytest
import torch
import toy
from detectron2.utils.events import EventStorage
from torch import nn

from dld_spotter.engine import Trainer, build_optimizer


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.lstm = nn.LSTM(4, 5, bidirectional=True)
        self.frozen = nn.Linear(4, 4)
        self.frozen.requires_grad_(False)


def cfg_with(*opts):
    return toy.tiny_cfg("SOLVER.WEIGHT_DECAY", 0.1, *opts)


def step(cfg, scale):
    """One step of plain SGD; returns gradients and the change of each parameter, as arrays."""
    model = Mixed()
    cfg.merge_from_list(["SOLVER.OPTIMIZER", "SGD", "SOLVER.MOMENTUM", 0.0, "SOLVER.WEIGHT_DECAY", 0.0])
    optimizer = build_optimizer(cfg, model)
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.grad = torch.randn_like(parameter) * scale
    gradients = [p.grad.numpy().copy() for p in trained]
    before = [p.detach().numpy().copy() for p in trained]
    optimizer.step()
    return gradients, [p.detach().numpy() - b for p, b in zip(trained, before, strict=True)]


@pytest.mark.parametrize("scale, clipped", [(10.0, True), (1e-3, False)])
def test_full_model_clipping_bounds_the_joint_norm(scale, clipped):
    cfg = cfg_with("SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 3.5, "SOLVER.BASE_LR", 1.0)
    gradients, changes = step(cfg, scale)
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients))
    assert (norm > 3.5) == clipped
    for gradient, change in zip(gradients, changes, strict=True):
        np.testing.assert_allclose(-change, gradient * min(1, 3.5 / norm), rtol=1e-4, atol=1e-6)


def test_norm_clipping_is_detectron2s():
    cfg = cfg_with("SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 3.5, "SOLVER.BASE_LR", 1.0)
    gradients, changes = step(cfg, 10.0)
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "norm"
    gradients, changes = step(cfg, 10.0)
    for gradient, change in zip(gradients, changes, strict=True):
        expected = gradient * min(1, 3.5 / np.linalg.norm(gradient))
        np.testing.assert_allclose(-change, expected, rtol=1e-4, atol=1e-6)


def test_without_clipping_the_step_is_the_gradient():
    gradients, changes = step(cfg_with("SOLVER.CLIP_GRADIENTS.ENABLED", False, "SOLVER.BASE_LR", 1.0), 10.0)
    for gradient, change in zip(gradients, changes, strict=True):
        np.testing.assert_allclose(-change, gradient, rtol=1e-4, atol=1e-5)


def test_the_norm_is_logged_now_and_then():
    model = nn.Linear(1, 1, bias=False)
    optimizer = build_optimizer(cfg_with(), model)
    model.weight.grad = torch.tensor([[-3.0]])
    for iteration, logged in ((18, False), (19, True)):
        with EventStorage(iteration) as storage:
            optimizer.step()
            assert ("gradient_norm" in storage.latest()) == logged
    assert storage.latest()["gradient_norm"] == (3.0, 19)


def test_norms_and_biases_do_not_decay():
    model = Mixed()
    optimizer = build_optimizer(cfg_with(), model)
    assert type(optimizer) is torch.optim.AdamW
    decays = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        if name.startswith("frozen"):
            assert parameter not in decays
        else:
            assert decays[parameter] == (0.0 if "bias" in name or name.startswith("norm") else 0.1), name


def test_biases_decay_as_weights_when_asked():
    model = Mixed()
    groups = build_optimizer(cfg_with("SOLVER.WEIGHT_DECAY_BIAS", None), model).param_groups
    decays = {p: group["weight_decay"] for group in groups for p in group["params"]}
    assert decays[model.conv.bias] == decays[model.lstm.bias_hh_l0_reverse] == 0.1


def test_parts_of_the_model_learn_at_their_own_rates():
    model = Mixed()
    factors = [["lstm.weight_hh", 0.5], ["lstm", 0.25], ["norm.weight", 3]]
    options = ("SOLVER.BASE_LR", 0.1, "SOLVER.BIAS_LR_FACTOR", 2.0, "SOLVER.LR_FACTORS", factors)
    groups = build_optimizer(cfg_with(*options), model).param_groups
    rates = {p: group["lr"] for group in groups for p in group["params"]}
    expected = {"conv.weight": 0.1, "conv.bias": 0.2, "norm.weight": 0.3, "norm.bias": 0.2}
    expected |= {"lstm.weight_hh_l0": 0.05, "lstm.weight_ih_l0": 0.025, "lstm.bias_hh_l0_reverse": 0.05}
    assert {name: rates[model.get_parameter(name)] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("pair", [["text_haed", 0.5], ["lstm", 0.0]])
def test_a_factor_that_cannot_be_is_an_error(pair):
    with pytest.raises(ValueError, match="SOLVER.LR_FACTORS has .*conv.weight"):
        build_optimizer(cfg_with("SOLVER.LR_FACTORS", [pair]), Mixed())


@pytest.mark.parametrize(
    "key, message",
    [
        ("SOLVER.OPTIMIZER", "SOLVER.OPTIMIZER is 'adam'; use 'AdamW' or 'SGD'"),
        ("SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "CLIP_TYPE is 'adam'; use 'full_model', 'norm' or 'value'"),
    ],
)
def test_unknown_names_are_errors(key, message):
    with pytest.raises(ValueError, match=message):
        build_optimizer(cfg_with(key, "adam"), Mixed())


def test_the_schedule_warms_up_and_drops(tmp_path):
    opts = ("SOLVER.MAX_ITER", 10, "SOLVER.STEPS", (6, 8), "SOLVER.WARMUP_ITERS", 4, "SOLVER.WARMUP_FACTOR", 0.25)
    cfg = engine_toy.toy_cfg(tmp_path, *opts, "SOLVER.BASE_LR", 1.0)
    model = nn.Linear(1, 1)
    optimizer = Trainer.build_optimizer(cfg, model)
    scheduler = Trainer.build_lr_scheduler(cfg, optimizer)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    warm_up = [0.25 + 0.75 * i / 4 for i in range(4)]
    np.testing.assert_allclose(rates, [*warm_up, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01], rtol=1e-6)
