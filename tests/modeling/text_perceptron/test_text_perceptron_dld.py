"""Text Perceptron as teacher and student of DLD, and its recipes."""

import copy

import numpy as np
import pytest
import torch
import toy
from detectron2.modeling import build_model
from helpers.placeless_tensors import PlacelessTensors
from helpers.tiny_perceptron import DETECTION, frozen_statistics, knowing, losses_of, tiny
from helpers.toy_words import toy_batch
from test_config import difference, load

from dld_spotter.predicted_words import instances_to_polygons


def build_dld(*opts):
    model = build_model(tiny("MODEL.RESOLUTION_SELECTOR.WIDTH", 4, *opts, config=toy.light("TextPerceptron_DLD")))
    model.teacher.load_state_dict(model.student.state_dict())
    return model


@pytest.mark.parametrize("words_per_image", [(2, 1), (0, 2, 1), (0, 0)])
def test_a_training_step_of_dld(words_per_image):
    model = build_dld()
    before = copy.deepcopy(model.teacher.state_dict())
    losses = losses_of(model, toy_batch(words_per_image))
    skd = {"loss_skd_roi", "loss_skd_context", "loss_skd_sequence"}
    assert losses.keys() == DETECTION | skd | {"loss_text", "loss_selector_accuracy", "loss_selector_cost"}
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert not [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert all(torch.equal(value, before[name]) for name, value in model.teacher.state_dict().items())


def test_a_student_at_full_scale_equals_its_teacher():
    model = frozen_statistics(build_dld("MODEL.DLD.SCALES", (1.0,), "MODEL.DLD.ETA_SEQUENCE", 0.0))
    losses = losses_of(model, toy_batch((2, 3)))
    assert losses["loss_skd_roi"].item() == pytest.approx(0, abs=1e-8)
    assert losses["loss_skd_context"].item() == pytest.approx(0, abs=1e-8)


def test_dld_s_predictions_are_in_the_original_s_pixels_at_every_scale():
    batch = toy_batch((2, 1))
    model = build_dld().eval()
    model.choose_scales = lambda images: [0.8, 0.6]
    # What the head says at a scale are the targets of one record at that scale.
    for index, scale in ((0, 0.8), (1, 0.6)):
        record = batch[index]
        size = tuple(round(side * scale) for side in record["instances"].image_size)
        small = copy.deepcopy(record["instances"])
        factors = size[1] / record["instances"].image_size[1], size[0] / record["instances"].image_size[0]
        small.gt_masks = small.gt_masks.scale(*factors)
        knowing(model.student, [{"instances": small}])
        model.choose_scales = lambda images, scale=scale: [scale]
        output = model([record])[0]
        assert output["scale"] == scale and len(output["instances"]) == len(small)
        corners = [polygon[[0, 6, 7, 13]] for polygon in instances_to_polygons(output["instances"])]
        for expected in record["instances"].gt_masks.tensor.numpy():
            assert min(np.abs(corner - expected).max() for corner in corners) < 1.5


def test_every_tensor_of_a_step_says_where_it_is():
    model = build_dld()
    model.student.predicted_fiducials = True
    batch = toy_batch((2, 0, 1))
    with PlacelessTensors() as watch:
        losses_of(model, batch)
        model.eval()(batch)
        model.student.read_words(batch)
    assert watch.calls == []
    tensors = [*model.to("meta").parameters(), *model.buffers()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


@pytest.mark.parametrize("recipe", ["DLD/TextPerceptron_DLD_R50", "TextPerceptron_R50"])
@pytest.mark.parametrize("overlay", [(), ("Light",)])
def test_a_recipe_changes_nothing_but_the_spotter(recipe, overlay):
    folder, name = recipe.rpartition("TextPerceptron_")[::2]
    base = f"{folder}{name}" if folder else f"MaskRCNNSpotter_{name}"
    key = "MODEL.DLD.SPOTTER" if folder else "MODEL.META_ARCHITECTURE"
    overlay = [f"configs/{folder}{file}.yaml" for file in overlay]
    changed = difference(load(f"configs/{recipe}.yaml", *overlay), load(f"configs/{base}.yaml", *overlay))
    changed.pop("MODEL.DLD.COSTS", None)  # measured for each spotter
    assert changed == {
        key: "TextPerceptron",
        "MODEL.ROI_TEXT_HEAD.NAME": "FiducialTextHead",
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.0,
    }
