"""MANGO as teacher and student of DLD."""

import copy

import numpy as np
import pytest
import torch
import toy
from detectron2.modeling import build_model
from helpers.mango_toys import LOSSES, centres, keep_statistics, knowing, losses_of, tiny, words_of
from helpers.placeless_tensors import PlacelessTensors
from helpers.toy_words import toy_batch

from dld_spotter.predicted_words import instances_to_polygons


def build_dld(*opts):
    model = build_model(tiny("MODEL.RESOLUTION_SELECTOR.WIDTH", 4, *opts, config=toy.light("MANGO_DLD")))
    model.teacher.load_state_dict(model.student.state_dict())
    return model


@pytest.mark.parametrize("words_per_image", [(0, 2, 1), (0, 0)])
@pytest.mark.parametrize("windows", [False, True])
def test_a_training_step_of_dld(words_per_image, windows):
    model = build_dld("MODEL.MANGO.CHARACTER_WINDOWS", windows)
    before = copy.deepcopy(model.teacher.state_dict())
    losses = losses_of(model, toy_batch(words_per_image))
    skd = {"loss_skd_roi", "loss_skd_context", "loss_skd_sequence"}
    expected = LOSSES | skd | {"loss_selector_accuracy", "loss_selector_cost"}
    assert losses.keys() == expected | ({"loss_character_window"} if windows else set())
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert not [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert all(torch.equal(value, before[name]) for name, value in model.teacher.state_dict().items())


def test_a_student_at_full_scale_equals_its_teacher():
    opts = ("MODEL.DLD.SCALES", (1.0,), "MODEL.DLD.ETA_SEQUENCE", 0.0, "MODEL.MANGO.CELLS_PER_WORD", 50)
    model = build_dld(*opts).train()
    keep_statistics(model.student)
    losses = losses_of(model, toy_batch((2, 3)))
    assert losses["loss_skd_roi"].item() == pytest.approx(0, abs=1e-8)
    assert losses["loss_skd_context"].item() == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("scale", [0.8, 0.6])
def test_dld_s_predictions_are_in_the_original_s_pixels(scale):
    record = toy_batch((2,))[0]
    model = build_dld().eval()
    model.choose_scales = lambda images: [scale]
    truth = record["instances"]
    size = tuple(round(side * scale) for side in truth.image_size)
    small = truth.gt_masks.scale(size[1] / truth.image_size[1], size[0] / truth.image_size[0])
    knowing(model.student, [{"instances": words_of(small.tensor.numpy(), ["a", "b"], size)}])
    output = model([record])[0]
    assert output["scale"] == scale and len(output["instances"]) == 2
    places = centres(instances_to_polygons(output["instances"]))
    for expected in centres(truth.gt_masks.tensor.numpy()):
        assert np.abs(places - expected).max(axis=1).min() < 5


def test_every_tensor_of_a_step_says_where_it_is():
    model = build_dld("MODEL.MANGO.CHARACTER_WINDOWS", True, "MODEL.DLD.ETA_ATTENTION", 1.0)
    batch = toy_batch((2, 0, 1))
    with PlacelessTensors() as watch:
        losses_of(model, batch)
        model.eval()(batch)
        model.student.read_words(batch)
        model.choose_scales = lambda images: [1.0] * 3
        knowing(model.student, batch)
        model(batch)
    assert [call for call in watch.calls if "/mango/" in call] == []
    tensors = [*model.to("meta").parameters(), *model.buffers()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
