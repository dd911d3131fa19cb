"""Training steps of DLD that distil the detector's outputs, for each spotter."""

import copy

import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from helpers.placeless_tensors import PlacelessTensors
from helpers.tiny_perceptron import frozen_statistics
from helpers.toy_words import toy_batch

PARTS = {
    "DLD": {"box_class", "box_delta", "mask"},
    "TextPerceptron_DLD": {f"seg_{name}" for name in ("center", "head", "tail", "boundary")}
    | {f"reg_{name}" for name in ("head", "tail", "offset")},
    "MANGO_DLD": {"centre_line", "grid"},
}
HEADS = {"DLD": (), "TextPerceptron_DLD": ("head",), "MANGO_DLD": ("centre_line", "grid")}
SIZES = ("MODEL.MANGO.GRID_SIZE", 16, "MODEL.DLD.SELECTION", "random")


def build(recipe, *opts):
    """A model whose teacher finds more than its student, but equals it otherwise."""
    torch.manual_seed(0)
    options = ("MODEL.DLD.ETA_DETECTION", 1.0, *SIZES, *opts)
    model = build_model(toy.tiny_cfg(*options, config=toy.light(recipe)))
    model.teacher.load_state_dict(model.student.state_dict())
    return model.train()


def losses_of(model, batch, scales=None):
    """Losses; the images have these scales, by their index."""
    if scales is not None:
        model._choose_scales = lambda *_: (list(scales), {})
    with EventStorage():
        return model(batch)


def distilled(losses):
    return {name.removeprefix("loss_kd_"): loss for name, loss in losses.items() if "_kd_" in name}


def mixed_batch():
    """Images of two sizes, the smaller ones padded; the last one without words."""
    return toy_batch((2, 1)) + toy_batch((2,), seed=1, size=(64, 90)) + toy_batch((0,), seed=2)


@pytest.mark.parametrize("recipe", PARTS)
@pytest.mark.parametrize("words_per_image", [(2, 0, 1), (0, 0)])
def test_a_step(recipe, words_per_image):
    model = build(recipe)
    model.teacher = build(recipe).teacher  # other weights, so that there is something to learn
    for parameter in model.teacher.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    before = copy.deepcopy(model.teacher.state_dict())
    losses = losses_of(model, toy_batch(words_per_image))
    parts = distilled(losses)
    assert parts.keys() == PARTS[recipe]
    assert all(torch.isfinite(loss) and loss.dtype == torch.float32 for loss in losses.values())
    total = sum(parts.values())
    assert total > 1e-4
    for name, loss in parts.items():
        (gradient,) = torch.autograd.grad(loss, model.student.backbone.fpn_lateral2.weight, retain_graph=True)
        assert loss == 0 or gradient.abs().max() > 0, name
    total.backward(retain_graph=True)
    reached = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert reached == {"student"}
    sum(losses.values()).backward()
    assert not [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert all(torch.equal(value, before[name]) for name, value in model.teacher.state_dict().items())


@pytest.mark.parametrize("recipe", PARTS)
def test_a_student_at_full_scale_equals_its_teacher(recipe):
    model = frozen_statistics(build(recipe, "MODEL.DLD.SCALES", (1.0, 0.5)))
    for name, loss in distilled(losses_of(model, mixed_batch(), (0, 0, 0, 0))).items():
        assert loss.item() == pytest.approx(0, abs=1e-4), name
    smaller = distilled(losses_of(model, mixed_batch(), (1, 1, 1, 1)))
    assert sum(smaller.values()) > 1e-3


@pytest.mark.parametrize("recipe", PARTS)
def test_images_of_two_scales_are_compared_with_their_own(recipe):
    """At full scale there is nothing to learn: what is left are the other images, alone in their batch."""
    model = frozen_statistics(build(recipe, "MODEL.DLD.SCALES", (1.0, 0.5)))
    batch = toy_batch((2, 3, 1))
    together = distilled(losses_of(model, batch, (0, 1, 1)))
    alone = distilled(losses_of(model, batch[1:], (1, 1)))
    other = distilled(losses_of(model, batch[:2], (1, 1)))
    for name, loss in together.items():
        assert loss.item() == pytest.approx(2 / 3 * alone[name].item(), rel=1e-3, abs=1e-5), name
    assert sum(alone.values()).item() != pytest.approx(sum(other.values()).item(), rel=1e-3)


@pytest.mark.parametrize("recipe", PARTS)
def test_backbones_and_maps_are_computed_once(recipe):
    model, passes = build(recipe, "MODEL.DLD.ETA_PYRAMID", 0.6), []
    for part in ("student", "teacher"):
        spotter = getattr(model, part)
        spotter.backbone.bottom_up.register_forward_hook(lambda *_, part=part: passes.append((part, "backbone")))
        for name in HEADS[recipe]:
            hook = lambda *_, part=part, name=name: passes.append((part, name))  # noqa: E731
            getattr(spotter, name).register_forward_hook(hook)
    losses = losses_of(model, toy_batch((2, 1)), (0, 0))
    assert {"loss_kd_pyramid", "loss_skd_roi"} <= losses.keys()
    assert sorted(passes) == sorted(
        (part, name) for part in ("student", "teacher") for name in ("backbone", *HEADS[recipe])
    )


def test_both_weights_count():
    batch, found = toy_batch((2, 1)), {}
    for weights in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.5)):
        opts = ("MODEL.DLD.ETA_DETECTION", weights[0], "MODEL.DLD.LAMBDA_SKD", weights[1])
        model = frozen_statistics(build("MANGO_DLD", *opts))
        found[weights] = sum(distilled(losses_of(model, batch, (2, 2))).values()).item()
    assert found[0.5, 1.0] == found[1.0, 0.5] == pytest.approx(found[1.0, 1.0] / 2, rel=1e-4) and found[1.0, 1.0] > 0
    assert not distilled(losses_of(build("MANGO_DLD", "MODEL.DLD.LAMBDA_SKD", 0.0), batch))


@pytest.mark.parametrize("part", ["student", "teacher"])
@pytest.mark.parametrize("recipe", PARTS)
def test_a_spotter_that_does_not_say_what_it_detects_is_an_error(recipe, part, monkeypatch):
    model = build(recipe)
    spotter = getattr(model, part)
    lacking = type("Silent", (type(spotter),), {"detection_distances": None})
    spotter.__class__ = lacking
    with pytest.raises(ValueError, match=r"Silent .*MODEL\.DLD\.ETA_DETECTION"):
        losses_of(model, toy_batch((1,)))


def test_a_student_with_another_grid_is_an_error():
    model = build_model(
        toy.tiny_cfg(
            *("MODEL.DLD.ETA_DETECTION", 1.0, *SIZES, "MODEL.DLD.STUDENT_OPTS", ["MODEL.MANGO.GRID_SIZE", 8]),
            config=toy.light("MANGO_DLD"),
        )
    )
    with pytest.raises(ValueError, match=r"64.*256.*MODEL\.DLD\.ETA_DETECTION"):
        losses_of(model.train(), toy_batch((1,)))


@pytest.mark.parametrize("recipe", PARTS)
def test_under_autocast_and_every_tensor_says_where_it_is(recipe):
    model, batch = build(recipe), toy_batch((2, 0, 1))
    with PlacelessTensors() as watch, torch.autocast("cpu", dtype=torch.bfloat16):
        losses = losses_of(model, batch)
    assert [call for call in watch.calls if "/recognition/" not in call] == []
    assert all(loss.dtype == torch.float32 and torch.isfinite(loss) for loss in distilled(losses).values())
