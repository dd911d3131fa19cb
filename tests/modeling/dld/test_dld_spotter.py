"""The DLD training step and inference around the tiny light spotter."""

import copy

import numpy as np
import pytest
import torch
from helpers.toy_dld import SCALES, build, losses_of
from helpers.toy_words import toy_batch

from dld_spotter.modeling.dld.training_batch import TrainingBatch, group_by


def parts_with_gradient(model, loss) -> set[str]:
    model.zero_grad(set_to_none=True)
    loss.backward(retain_graph=True)
    with_gradient = [n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0]
    return {name.split(".")[0] for name in with_gradient}


@pytest.mark.parametrize("target", ["kl", "ce"])
def test_each_loss_reaches_only_its_own_part(target):
    """L_DRS the selector alone; L_det, L_rec and L_SKD the student alone; nothing the teacher."""
    model = build("MODEL.DLD.ACCURACY_TARGET", target)
    losses = losses_of(model, toy_batch((2, 3)))
    student = {"loss_cls", "loss_box_reg", "loss_mask", "loss_rpn_cls", "loss_rpn_loc", "loss_text"}
    student |= {"loss_skd_roi", "loss_skd_context", "loss_skd_sequence"}
    assert losses.keys() == student | {"loss_selector_accuracy", "loss_selector_cost"}
    for name, loss in losses.items():
        assert parts_with_gradient(model, loss) == {"student" if name in student else "selector"}, name
    model.zero_grad(set_to_none=True)
    sum(losses.values()).backward()
    lacking = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not lacking, "DistributedDataParallel would wait for these"


def test_the_student_learns_at_the_chosen_scale_only(monkeypatch):
    """The gradient of the student's losses is that of a plain training step on the rescaled batch."""
    model = build("MODEL.DLD.LAMBDA_SKD", 0.0)
    model.selector.classify.bias.data = torch.tensor([0.0, 100.0, 0.0])
    monkeypatch.setattr(torch, "randperm", lambda n, **kwargs: torch.arange(n))
    batch = toy_batch((2, 2))
    losses = losses_of(model, batch)
    plain = copy.deepcopy(model.student)
    sum(loss for name, loss in losses.items() if "selector" not in name).backward()
    seen = []
    original = plain.detection_losses
    plain.detection_losses = lambda images, targets, _: seen.append(images.image_sizes) or original(images, targets)
    single = build("MODEL.DLD.SCALES", (0.75,), "MODEL.DLD.LAMBDA_SKD", 0.0, "MODEL.DLD.TEACHER", False)
    single.student = plain
    alone = losses_of(single, batch)
    sum(alone.values()).backward()
    assert seen == [[(72, 96), (72, 96)]]
    for (name, together), parameter in zip(model.student.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(together.grad, parameter.grad, msg=name)


def test_no_bit_of_the_teacher_moves_in_twenty_steps():
    model = build()
    before = {name: value.clone() for name, value in model.teacher.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    assert not {id(p) for p in model.teacher.parameters()} & {
        id(p) for g in optimizer.param_groups for p in g["params"]
    }
    for step in range(20):
        loss = sum(losses_of(model, toy_batch((2, 1), seed=step)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.eval().train()
    assert all(torch.equal(value, before[name]) for name, value in model.teacher.state_dict().items())
    assert not torch.equal(model.student.backbone.fpn_output2.weight, model.teacher.backbone.fpn_output2.weight)


def test_candidate_passes_leave_the_student_as_it_is_and_recognise_once(monkeypatch):
    model = build()
    before = {name: value.clone() for name, value in model.student.state_dict().items()}
    calls = []
    original = model.student.recognize
    monkeypatch.setattr(model.student, "recognize", lambda roi, target: calls.append(len(roi)) or original(roi, target))
    batch = toy_batch((2, 1))
    images = model.student.preprocess_image(batch)
    words = [record["instances"] for record in batch]
    tokens = torch.full((3, 4), 2)
    logits, valid = model._recognize_at_all_scales(TrainingBatch(images, words, words, tokens, *torch.ones(2)))
    assert valid.shape == (3, 4) and valid.all()
    assert calls == [3 * len(SCALES)] and logits.shape[:3] == (len(SCALES), 3, 4)
    assert all(torch.equal(value, before[name]) for name, value in model.student.state_dict().items())
    assert model.student.training and not logits.requires_grad
    model.student.eval()
    torch.testing.assert_close(logits[2], original(model.student.pool(images, words), tokens).logits)


def test_groups_give_the_words_back_in_their_order():
    """With every image at full scale and a student equal to its teacher, there is nothing to distil."""
    model = build("MODEL.DLD.SCALES", (1.0, 0.5), "MODEL.DLD.ETA_SEQUENCE", 0.0)
    model.student.eval()
    batch_norms_off = [m for m in model.student.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for module in batch_norms_off:
        module.train = lambda mode=True: None
    model.train()
    batch = toy_batch((2, 0, 3))
    model.selector.classify.bias.data = torch.tensor([100.0, 0.0])
    losses = losses_of(model, batch)
    assert losses["loss_skd_roi"].item() == pytest.approx(0, abs=1e-6)
    assert losses["loss_skd_context"].item() == pytest.approx(0, abs=1e-8)
    model.selector.classify.bias.data = torch.tensor([0.0, 100.0])
    assert losses_of(model, batch)["loss_skd_context"] > 1e-8


@pytest.mark.parametrize("words_per_image", [(0, 0), (0, 2), (1, 2, 0)])
def test_images_without_words(words_per_image):
    losses = losses_of(build(), toy_batch(words_per_image))
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()


def test_what_is_logged():
    model = build()
    model.selector.classify.weight.data.zero_()
    model.selector.classify.bias.data = torch.tensor([0.0, 0.0, 30.0])
    losses_of(model, toy_batch((2, 1)))
    logged = model.logged
    assert logged["selector/share_1"] == 1 and logged["selector/share_0.5"] == 0
    assert logged["selector/mean_cost"] == pytest.approx(1.0) and logged["selector/temperature"] == 5
    assert logged["selector/entropy"] == pytest.approx(0, abs=1e-4)
    assert 0 <= logged["selector/agreement"] <= 1


def test_the_teacher_sees_full_resolution_and_its_best_sequences_are_learnt():
    model = build("MODEL.DLD.NUM_SEQUENCES", 7)
    sizes, widths = [], []
    search = model.teacher.beam_search
    model.teacher.beam_search = lambda output, width: widths.append(width) or search(output, width)
    original = model.teacher.pool
    model.teacher.pool = lambda images, *given: sizes.append(images.image_sizes) or original(images, *given)
    assert losses_of(model, toy_batch((1,)))["loss_skd_sequence"] > 0
    assert sizes == [[(96, 128)]] and widths == [7]


@pytest.mark.parametrize("selection", ["random", "single"])
def test_without_a_selector(selection):
    opts = ("MODEL.DLD.SELECTION", "random") if selection == "random" else ("MODEL.DLD.SCALES", (0.5,))
    model = build(*opts)
    assert model.selector is None
    assert not any("selector" in name for name in losses_of(model, toy_batch((2, 1))))


@pytest.mark.parametrize("words_per_image", [(2, 1), (0, 0)])
def test_a_student_of_reading_alone(words_per_image):
    model = build("MODEL.TEXT.READING_ONLY", True, "MODEL.DLD.SCALES", (0.5,))
    losses = losses_of(model, toy_batch(words_per_image))
    assert losses.keys() == {"loss_text", "loss_skd_roi", "loss_skd_context", "loss_skd_sequence"}
    sum(losses.values()).backward()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name.split(".")[1] for name in trained} == {"backbone", "roi_heads"}
    lacking = [name for name in trained if model.get_parameter(name).grad is None]
    assert not lacking, "DistributedDataParallel would wait for these"


def test_inference_groups_by_scale_and_says_the_scale():
    model = build().eval()
    model.student.roi_heads.box_predictor.test_score_thresh = 0.0
    batch = toy_batch((2, 1, 1))
    for record in batch:
        record["height"], record["width"] = 192, 256
    model.choose_scales = lambda images: [0.75, 0.5, 0.75]
    together = model(batch)
    assert [output["scale"] for output in together] == [0.75, 0.5, 0.75]
    for index, scale in enumerate((0.75, 0.5, 0.75)):
        model.choose_scales = lambda images, scale=scale: [scale]
        alone = model([batch[index]])[0]["instances"]
        assert together[index]["instances"].image_size == (192, 256)
        torch.testing.assert_close(
            together[index]["instances"].pred_boxes.tensor, alone.pred_boxes.tensor, atol=1e-2, rtol=1e-3
        )
    assert np.ptp(alone.pred_boxes.tensor[:, 2].numpy()) > 0


def test_the_likeliest_scale_is_taken_without_noise():
    model = build().eval()
    images = model.student.preprocess_image(toy_batch((2, 1)))
    expected = [SCALES[i] for i in model.selector(images).argmax(1).tolist()]
    assert all(model.choose_scales(images) == expected for _ in range(5))
    model.fixed_scale = 0.6
    assert model.choose_scales(images) == [0.6, 0.6]
    assert model(toy_batch((1,)))[0]["scale"] == 0.6


def test_the_student_may_differ_from_the_teacher():
    model = build("MODEL.DLD.STUDENT_OPTS", ["MODEL.ROI_TEXT_HEAD.VERTICAL_RATIO", 2.0])
    assert model.teacher.roi_heads.text_head.pooler.vertical_ratio == 1.5
    assert model.student.roi_heads.text_head.pooler.vertical_ratio == 2.0


def test_word_features_of_another_size_are_compared_at_the_teachers():
    losses = {}
    for size in ((8, 32), (16, 64)):
        model = build("MODEL.DLD.STUDENT_OPTS", ["MODEL.ROI_TEXT_HEAD.POOLER_RESOLUTION", size])
        losses[size] = losses_of(model, toy_batch((1,)))
    assert losses[16, 64].keys() == losses[8, 32].keys() >= {"loss_skd_roi", "loss_skd_context"}
    assert losses[16, 64]["loss_skd_roi"] > 0


def test_training_needs_a_teacher_where_the_losses_do():
    model = build("MODEL.DLD.TEACHER", False)
    with pytest.raises(ValueError, match="MODEL.DLD.TEACHER"):
        losses_of(model, toy_batch((1,)))


def test_the_temperature_travels_in_the_checkpoint():
    model = build()
    model.temperature.fill_(2.5)
    other = build()
    other.load_state_dict(model.state_dict())
    assert other.temperature.item() == 2.5


def test_group_by():
    assert list(group_by([2, 0, 2])) == [(0, [1]), (2, [0, 2])]


def test_words_are_read_at_the_scale_of_their_image(monkeypatch):
    """In given places, too: in a batch of several scales each word says what it says alone at its image's scale."""
    model = build().eval()
    batch = toy_batch((2, 3))
    # Reading that is right nowhere depends on every pixel, so that a wrong scale or order shows.
    torch.nn.init.normal_(model.student.roi_heads.text_head.decoder.classify.weight)
    expected = []
    for record, scale in zip(batch, (1.0, 0.5), strict=True):
        model.fixed_scale = scale
        expected += model.read_words([record])
    plain = model.student.read_words(batch[:1])
    model.fixed_scale = 0.0
    monkeypatch.setattr(model, "choose_scales", lambda images: [1.0, 0.5])
    read = model.read_words(batch)
    assert [len(words) for words in read] == [2, 3]
    for one, other in zip([*read, read[0]], [*expected, *plain], strict=True):
        length = min(one.shape[1], other.shape[1])  # rows are as long as a batch's longest word
        assert torch.equal(one[:, :length], other[:, :length])
        assert (one[:, length:] == 0).all() and (other[:, length:] == 0).all()
