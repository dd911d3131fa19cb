"""Rows of the paper's tables, each as its config and options say, for one step of the tiny light spotter."""

import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from helpers.toy_words import toy_batch

from dld_spotter.modeling.spotter import readable_words

DETECTION = {"loss_cls", "loss_box_reg", "loss_mask", "loss_rpn_cls", "loss_rpn_loc", "loss_text"}
SELECTOR = {"loss_selector_accuracy", "loss_selector_cost"}
SKD = {"loss_skd_roi", "loss_skd_context", "loss_skd_sequence"}

SMALL_STUDENT = ["MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", [8, 32], "MODEL.ROI_TEXT_HEAD.UPSAMPLE", True]
LARGE_TEACHER = ("MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", (16, 64), "MODEL.DLD.STUDENT_OPTS", SMALL_STUDENT)

# Config and options of rows in the tables of the paper, and what they train.
ROWS = {
    "Vanilla": (None, (), DETECTION),
    "SKD-only": ("SKD-only", (), DETECTION | SKD),
    "L_con": ("SKD-only", ("MODEL.DLD.ETA_ROI", 0.0, "MODEL.DLD.ETA_SEQUENCE", 0.0), DETECTION | {"loss_skd_context"}),
    "DRS-only": ("DRS-only", ("MODEL.DLD.GAMMA", 0.3), DETECTION | SELECTOR),
    "DLD": ("DLD", (), DETECTION | SELECTOR | SKD),
    "DLD 16x64 to 8x32": ("DLD", LARGE_TEACHER, DETECTION | SELECTOR | SKD),
}


def build(name):
    recipe, opts, _ = ROWS[name]
    config = ("MaskRCNNSpotter_R50.yaml", "Light.yaml") if recipe is None else toy.light(recipe)
    return build_model(toy.tiny_cfg("MODEL.RESOLUTION_SELECTOR.WIDTH", 4, *opts, config=config))


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("words_per_image", [(2, 1), (0, 0)])
def test_one_step_of_each_method(name, words_per_image):
    model = build(name).train()
    with EventStorage():
        losses = model(toy_batch(words_per_image))
    assert losses.keys() == ROWS[name][2]
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    lacking = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not lacking, "DistributedDataParallel would wait for these"
    if name != "Vanilla" and sum(words_per_image):
        assert (losses.get("loss_skd_context", torch.ones(())) > 0).all()
        assert (model.selector is None) == (ROWS[name][0] == "SKD-only")


def test_skd_only_reads_at_half_the_size():
    model = build("SKD-only").eval()
    assert model.choose_scales(model.student.preprocess_image(toy_batch((1, 1)))) == [0.5, 0.5]


def test_the_student_with_a_deconvolution_is_compared_at_its_teacher_s_size():
    model = build("DLD 16x64 to 8x32")
    batch = toy_batch((2, 1))
    images, words = model.teacher.preprocess_image(batch), readable_words([record["instances"] for record in batch])
    taught, own = model.teacher.eval().read(images, words), model.student.eval().read(images, words)
    assert own.roi.shape == taught.roi.shape == (3, 16, 16, 64)
    assert own.context.shape == taught.context.shape == (3, 3 * 65, 16)
    pooler = model.student.roi_heads.text_head.pooler
    assert pooler.output_size == (8, 32) and model.teacher.roi_heads.text_head.pooler.output_size == (16, 64)
    model.train()
    with EventStorage():
        model(batch)["loss_skd_roi"].backward()
    assert pooler.upsample.deconv.weight.grad.abs().max() > 0
    assert pooler.conv.weight.grad.abs().max() > 0, "the gradient passes through to the feature map"


def test_the_deconvolution_also_works_at_inference():
    model = build("DLD 16x64 to 8x32").eval()
    model.student.roi_heads.box_predictor.test_score_thresh = 0.0
    seen = []
    model.student.roi_heads.text_head.encoder.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    found = model(toy_batch((2,)))[0]["instances"]
    assert len(found) > 0 and found.has("pred_text") and seen[0][2:] == (16, 64)
