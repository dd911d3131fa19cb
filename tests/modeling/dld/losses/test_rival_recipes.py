"""A training step of DLD with the rivals of SKD, for each spotter."""

import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from helpers.toy_words import toy_batch

from dld_spotter.modeling.dld.losses.loss_weights import DistillationWeights
from dld_spotter.modeling.spotter import readable_words


def test_weights_say_what_is_compared():
    nothing = DistillationWeights(eta_roi=0, eta_context=0, eta_sequence=0)
    assert not nothing.distils_recognition and not nothing.distils_pyramid
    assert nothing._replace(eta_hint=1).distils_recognition and not nothing._replace(eta_pyramid=1).distils_recognition
    assert nothing._replace(eta_pyramid=1).distils_pyramid
    everything = DistillationWeights(eta_pyramid=1, lambda_skd=0)
    assert not everything.distils_recognition and not everything.distils_pyramid


RIVALS = {
    "Bhunia": {"loss_kd_logits", "loss_kd_hint", "loss_kd_attention", "loss_kd_affinity"},
    "SKD-logits": {"loss_skd_roi", "loss_skd_context", "loss_kd_logits"},
    "Qi": {"loss_kd_pyramid"},
    "SKD_Qi": {"loss_skd_roi", "loss_skd_context", "loss_skd_sequence", "loss_kd_pyramid"},
}


def step(model, words_per_image, iteration=1000):
    with EventStorage(iteration):
        losses = model(toy_batch(words_per_image))
    return losses


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("words_per_image", [(2, 1), (0, 0)])
def test_one_step_of_each_recipe(name, words_per_image):
    model = build_model(toy.tiny_cfg(config=toy.light(name))).train()
    losses = step(model, words_per_image)
    distilled = {key for key in losses if "_kd_" in key or "_skd_" in key}
    assert distilled == RIVALS[name] and model.selector is None and model.scales == (0.5,)
    assert all(torch.isfinite(loss) for loss in losses.values())
    for key in distilled if sum(words_per_image) else ():
        model.zero_grad(set_to_none=True)
        losses[key].backward(retain_graph=True)
        reached = {
            n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0
        }
        assert reached == {"student"}, key
        assert model.student.backbone.fpn_lateral2.weight.grad.abs().max() > 0, key
    sum(losses.values()).backward()
    lacking = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not lacking, "DistributedDataParallel would wait for these"


def test_the_pyramid_s_weight_grows_from_zero_and_features_are_computed_once(monkeypatch):
    model = build_model(toy.tiny_cfg("SOLVER.WARMUP_ITERS", 100, config=toy.light("Qi"))).train()
    passes = []
    model.student.backbone.register_forward_hook(lambda *_: passes.append("student"))
    model.teacher.backbone.register_forward_hook(lambda *_: passes.append("teacher"))
    values = [step(model, (2, 1), iteration)["loss_kd_pyramid"].item() for iteration in (0, 25, 100, 1000)]
    assert values == pytest.approx([0, values[2] / 4, values[2], values[2]], rel=1e-5) and values[2] > 0
    assert passes == ["teacher", "student"] * 4
    model = build_model(toy.tiny_cfg(config=toy.light("SKD_Qi"))).train()
    model.teacher.backbone.bottom_up.register_forward_hook(lambda *_: passes.append("both"))
    step(model, (2, 1))
    assert passes[8:] == ["both"], "one pass serves the teacher's reading and its pyramid"


OTHERS = {"TextPerceptron": "TextPerceptron_DLD", "MANGO": "MANGO_DLD"}


@pytest.mark.parametrize("spotter", OTHERS)
def test_other_spotters_are_distilled_as_far_as_they_can(spotter):
    options = ["MODEL.DLD.ETA_LOGITS", 1.0, "MODEL.DLD.ETA_HINT", 1.0, "MODEL.DLD.ETA_AFFINITY", 1.0]
    options += ["MODEL.DLD.ETA_PYRAMID", 0.6, "MODEL.DLD.SCALES", (0.5,), "MODEL.DLD.COSTS", ()]
    model = build_model(toy.tiny_cfg(*options, config=toy.light(OTHERS[spotter]))).train()
    losses = step(model, (2, 1))
    names = {"loss_kd_logits", "loss_kd_hint", "loss_kd_affinity", "loss_kd_pyramid"}
    assert names <= losses.keys() and all(torch.isfinite(losses[name]) for name in names)
    losses["loss_kd_pyramid"].backward()
    convs = model.student.backbone.lateral_convs
    assert all(conv.weight.grad.abs().max() > 0 for conv in convs) and all(
        p.grad is None for p in model.teacher.parameters()
    )


@pytest.mark.parametrize("spotter", OTHERS)
def test_the_attention_of_other_spotters(spotter):
    """It reaches the student alone, and is 0 for a student at full scale that equals its teacher."""
    only = [item for key in ("ROI", "CONTEXT", "SEQUENCE") for item in (f"MODEL.DLD.ETA_{key}", 0.0)]
    only += ["MODEL.DLD.ETA_ATTENTION", 1.0, "MODEL.DLD.COSTS", (), "MODEL.DLD.SCALES"]
    model = build_model(toy.tiny_cfg(*only, (0.5,), config=toy.light(OTHERS[spotter]))).train()
    losses = step(model, (2, 0, 1))
    assert {name for name in losses if "_kd_" in name or "_skd_" in name} == {"loss_kd_attention"}
    assert losses["loss_kd_attention"] > 0
    losses["loss_kd_attention"].backward()
    assert model.student.backbone.fpn_lateral2.weight.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    model = build_model(toy.tiny_cfg(*only, (1.0,), config=toy.light(OTHERS[spotter]))).train()
    model.teacher.load_state_dict(model.student.state_dict())
    for module in model.student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    assert step(model, (2, 1))["loss_kd_attention"].item() == pytest.approx(0, abs=1e-9)


def test_a_spotter_that_cannot_tell_where_it_looks_is_named(monkeypatch):
    options = ["MODEL.DLD.ETA_ATTENTION", 1.0, "MODEL.DLD.SCALES", (0.5,), "MODEL.DLD.COSTS", ()]
    model = build_model(toy.tiny_cfg(*options, config=toy.light(OTHERS["MANGO"]))).train()
    monkeypatch.setattr("dld_spotter.modeling.dld.dld_spotter.AttentionMapSpotter", type("NoSpotter", (), {}))
    with pytest.raises(ValueError, match=r"MODEL\.DLD\.ETA_ATTENTION"):
        step(model, (2, 1))


@pytest.mark.parametrize("name", [None, *OTHERS.values()])
def test_words_read_from_a_pyramid_are_those_read_from_images(name):
    config = toy.light(name or "SKD_Qi")
    spotter = build_model(toy.tiny_cfg("MODEL.DLD.COSTS", (), config=config)).student.eval()
    batch = toy_batch((2, 1))
    images, words = spotter.preprocess_image(batch), readable_words([record["instances"] for record in batch])
    with torch.no_grad():
        plain, shared = spotter.read(images, words), spotter.read(images, words, spotter.pyramid(images).features)
    torch.testing.assert_close(shared.roi, plain.roi, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(shared.logits, plain.logits, atol=1e-4, rtol=1e-4)
