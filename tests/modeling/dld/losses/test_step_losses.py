"""The rivals of SKD, step by step of decoding: each loss against NumPy."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dld_spotter.modeling.dld.losses.step_losses import affinity_loss, attention_loss, hint_loss, logit_loss
from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder

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
