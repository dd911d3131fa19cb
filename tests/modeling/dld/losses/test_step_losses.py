"""The rivals of SKD: each loss against NumPy, and a step of DLD with it."""

import math

import numpy as np
import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from helpers.toy_words import toy_batch
from torch.nn import functional as F

from dld_spotter.modeling.dld.losses.loss_weights import DistillationWeights
from dld_spotter.modeling.dld.losses.pyramid_loss import level_shift, pyramid_loss
from dld_spotter.modeling.dld.losses.step_losses import affinity_loss, attention_loss, hint_loss, logit_loss
from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder
from dld_spotter.modeling.spotter import readable_words

WORDS, STEPS, CHANNELS, TOKENS = 3, 5, 4, 7
LENGTHS = (5, 2, 3)
VALID = torch.arange(STEPS) < torch.tensor(LENGTHS)[:, None]
NUM_STEPS, NUM_WORDS = torch.tensor(float(sum(LENGTHS))), torch.tensor(float(WORDS))


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def numpy_logits(student, teacher):
    def softmax(x):
        e = np.exp(x - x.max())
        return e / e.sum()

    total = 0.0
    for word, length in enumerate(LENGTHS):
        for step in range(length):
            p, q = softmax(teacher[word, step] / 2), softmax(student[word, step] / 2)
            total += 4 * sum(p * np.log(p / q))
    return total / sum(LENGTHS)


def numpy_hint(student, teacher):
    pairs = [(w, t) for w, length in enumerate(LENGTHS) for t in range(length)]
    return np.mean([np.mean((student[w, t] - teacher[w, t]) ** 2) for w, t in pairs])


def numpy_attention(student, teacher):
    pairs = [(w, t) for w, length in enumerate(LENGTHS) for t in range(length)]
    return np.mean([np.sum((student[w, t] - teacher[w, t]) ** 2) for w, t in pairs])


def numpy_affinity(student, teacher):
    def cosine(a, b):
        return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))

    words = []
    for w, length in enumerate(LENGTHS):
        steps = [(t, u) for t in range(length) for u in range(length)]
        distances = [cosine(student[w, t], student[w, u]) - cosine(teacher[w, t], teacher[w, u]) for t, u in steps]
        words.append(np.mean(np.square(distances)))
    return np.mean(words)


LOSSES = {
    "logits": (logit_loss, numpy_logits, NUM_STEPS),
    "hint": (hint_loss, numpy_hint, NUM_STEPS),
    "attention": (attention_loss, numpy_attention, NUM_STEPS),
    "affinity": (affinity_loss, numpy_affinity, NUM_WORDS),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_equals_numpy_s(name):
    loss, by_hand, count = LOSSES[name]
    student, teacher = random(WORDS, STEPS, TOKENS), random(WORDS, STEPS, TOKENS, seed=1)
    expected = by_hand(student.double().numpy(), teacher.double().numpy())
    assert expected > 0.01
    assert loss(student, teacher, VALID, count).item() == pytest.approx(expected, rel=1e-5)
    assert loss(teacher, teacher, VALID, count).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_padding_and_the_order_of_words_change_nothing(name):
    loss, _, count = LOSSES[name]
    student, teacher = random(WORDS, STEPS, TOKENS), random(WORDS, STEPS, TOKENS, seed=1)
    expected = loss(student, teacher, VALID, count)
    order = [2, 0, 1]
    torch.testing.assert_close(loss(student[order], teacher[order], VALID[order], count), expected)
    for filling in (100.0, math.nan):
        padded = torch.where(VALID[..., None], student, filling).requires_grad_()
        found = loss(padded, teacher, VALID, count)
        torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(loss(student.requires_grad_(), teacher, VALID, count), student)
    assert gradient[~VALID].abs().max() == 0 and gradient[VALID].abs().max() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_no_words_give_a_loss_of_zero_with_a_gradient(name):
    student = random(0, 1, TOKENS).requires_grad_()
    loss = LOSSES[name][0](student, student.detach(), VALID[:0, :1], torch.tensor(1.0))
    loss.backward()
    assert loss.item() == 0 and student.grad is not None


def test_the_gradient_of_logits_is_tau_times_the_difference_of_probabilities():
    student, teacher, tau = random(WORDS, STEPS, TOKENS).requires_grad_(), random(WORDS, STEPS, TOKENS, seed=1), 3.0
    logit_loss(student, teacher, VALID, NUM_STEPS, tau).backward()
    expected = tau * ((student.detach() / tau).softmax(-1) - (teacher / tau).softmax(-1)) / NUM_STEPS
    torch.testing.assert_close(student.grad[VALID], expected[VALID])


def test_a_certain_teacher_makes_the_cross_entropy_of_reading():
    student, target = random(WORDS, STEPS, TOKENS), torch.tensor(np.random.default_rng(2).integers(TOKENS, size=(3, 5)))
    certain = 1e4 * F.one_hot(target, TOKENS).float()
    expected = F.cross_entropy(student[VALID], target[VALID])
    torch.testing.assert_close(logit_loss(student, certain, VALID, NUM_STEPS, temperature=1.0), expected)


def test_glimpses_are_what_the_decoder_s_steps_used():
    torch.manual_seed(0)
    decoder = AttentionDecoder(TOKENS, CHANNELS, 6)
    context, target = random(WORDS, 9, CHANNELS), torch.tensor([[3, 4, 1], [5, 1, 0], [6, 2, 1]])
    seen = []
    decoder.gates.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, 0, :CHANNELS]))
    decoder(context, target)
    attention, glimpses = decoder.attend(context, target)
    torch.testing.assert_close(glimpses, torch.stack(seen[:3], dim=1))
    torch.testing.assert_close(attention.sum(dim=2), torch.ones(WORDS, 3))
    torch.testing.assert_close(torch.einsum("rtn,rnd->rtd", attention, context), glimpses)


def maps(*levels, size=(64, 96), seed=0):
    return {j: random(2, 3, size[0] // 2**j, size[1] // 2**j, seed=seed + j) for j in levels}


def test_levels_are_shifted_by_the_power_of_two_that_is_nearest():
    assert [level_shift(scale) for scale in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)] == [2, 1, 1, 1, 1, 0, 0]


def test_the_pyramid_s_loss_at_half_size_equals_numpy_s():
    teacher, student = maps(3, 4, 5), maps(2, 3, 4, 5, size=(32, 48), seed=7)
    sizes = [(64, 96), (41, 30)]  # the second image is padded
    expected = 0.0
    for level in (3, 4, 5):
        own, given, stride = student[level - 1].numpy(), teacher[level].numpy(), 2**level
        assert own.shape == given.shape
        distances = [
            np.abs(own[b, :, y, x] - given[b, :, y, x]).mean()
            for b, (height, width) in enumerate(sizes)
            for y in range(own.shape[2])
            for x in range(own.shape[3])
            if (y + 0.5) * stride < height and (x + 0.5) * stride < width
        ]
        expected += np.mean(distances)
    assert pyramid_loss(student, teacher, 0.5, sizes).item() == pytest.approx(expected, rel=1e-5)
    equal = {level - 1: given.clone() for level, given in teacher.items()}
    assert pyramid_loss(equal, teacher, 0.5, sizes) == 0


@pytest.mark.parametrize("scale", [0.3, 0.4, 0.6, 0.7, 0.8])
def test_maps_of_one_scene_agree_at_any_scale(scale):
    """Maps that show the same smooth pattern at their own strides differ by next to nothing; shifted ones do not."""

    def pattern(level, scale, shift=0.0):
        stride = 2**level / scale
        y, x = ((np.arange(n * scale // 2**level) + 0.5) * stride + shift for n in (512, 768))
        return torch.from_numpy(np.sin(y / 150)[:, None] + np.cos(x / 190)).float()[None, None]

    teacher = {level: pattern(level, 1.0) for level in (2, 3, 4, 5, 6)}
    sizes = [(400, 600)]
    same = pyramid_loss({level: pattern(level, scale) for level in (2, 3, 4)}, teacher, scale, sizes)
    moved = pyramid_loss({level: pattern(level, scale, 40.0) for level in (2, 3, 4)}, teacher, scale, sizes)
    assert same < 0.02 and moved > 0.2


def test_a_pyramid_without_partners_is_an_error():
    with pytest.raises(ValueError, match=r"at scale 0\.3.*MODEL\.DLD\.ETA_PYRAMID"):
        pyramid_loss(maps(4, 5), maps(2, 3), 0.3, [(64, 96)] * 2)


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
    model = build_model(toy.tiny_cfg("MODEL.DLD.PYRAMID_WARMUP_ITERS", 100, config=toy.light("Qi"))).train()
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


def test_an_impossible_token_of_the_teacher_keeps_the_loss_finite():
    student, target = random(WORDS, STEPS, TOKENS).requires_grad_(), torch.arange(15).reshape(3, 5) % TOKENS
    certain = torch.full((WORDS, STEPS, TOKENS), -math.inf).scatter(2, target[..., None], 0.0)
    loss = logit_loss(student, certain, VALID, NUM_STEPS, temperature=1.0)
    torch.testing.assert_close(loss, F.cross_entropy(student[VALID], target[VALID]))
    loss.backward()
    assert torch.isfinite(student.grad).all()


def test_affinity_keeps_its_precision_under_autocast():
    """Features that differ by a hundredth: in half precision, the rounding of cosines would drown the loss."""
    teacher = random(WORDS, STEPS, 64)
    student = teacher + 0.01 * random(WORDS, STEPS, 64, seed=1)
    expected = affinity_loss(student, teacher, VALID, NUM_WORDS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(affinity_loss(student, teacher, VALID, NUM_WORDS), expected)


def test_only_the_rows_of_a_group_are_compared():
    teacher = maps(3, 4)
    student = {level - 1: given[1:] + 0.25 for level, given in teacher.items()}
    assert pyramid_loss(student, teacher, 0.5, [(64, 96)], [1]).item() == pytest.approx(0.5, rel=1e-4)
