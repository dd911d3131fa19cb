"""L_acc, L_flops and the Gumbel step against NumPy and finite differences."""

import itertools

import numpy as np
import pytest
import torch

from dld_spotter.data.charset import PAD
from dld_spotter.modeling.dld.selector.gumbel import (
    accuracy_loss,
    cheapest_equal_scale,
    cost_loss,
    sample_choice,
    text_accuracy_loss,
)
from dld_spotter.modeling.recognition.likelihood import step_log_likelihood

K, B, R, T, V = 3, 2, 4, 3, 5


IMAGE_OF_WORD = torch.tensor([0, 0, 0, 1])


VALID = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]], dtype=torch.bool)


def softmax(logits):
    exponents = np.exp(np.asarray(logits, dtype=np.float64))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def expected_accuracy_loss(choice, student, teacher, target=None):
    """Word by word and step by step."""
    student, terms = softmax(student), []
    for word, step in itertools.product(range(R), range(T)):
        if not VALID[word, step]:
            continue
        mixture = sum(choice[IMAGE_OF_WORD[word], i] * student[i, word, step] for i in range(K))
        if target is None:
            p = softmax(teacher)[word, step]
            terms.append(sum(p[v] * np.log(p[v] / mixture[v]) for v in range(V)))
        else:
            terms.append(-np.log(mixture[target[word, step]]))
    return np.mean(terms)


@pytest.fixture
def logits():
    return torch.randn(K, R, T, V) * 2, torch.randn(R, T, V) * 2


@pytest.mark.parametrize("one_hot", [True, False])
def test_accuracy_loss(logits, one_hot):
    student, teacher = logits
    choice = torch.eye(K)[[2, 0]] if one_hot else torch.rand(B, K)
    loss = accuracy_loss(choice, student, teacher, VALID, IMAGE_OF_WORD)
    assert loss.item() == pytest.approx(expected_accuracy_loss(choice.numpy(), student, teacher), rel=1e-4)


def test_accuracy_loss_against_the_text(logits):
    student, _ = logits
    target = torch.randint(1, V, (R, T))
    choice = torch.rand(B, K)
    target = target.masked_fill(~VALID, PAD)
    count = VALID.sum()
    loss = text_accuracy_loss(choice, student, target, IMAGE_OF_WORD, step_log_likelihood, count)
    assert loss.item() == pytest.approx(expected_accuracy_loss(choice.numpy(), student, None, target), rel=1e-4)


def test_accuracy_loss_is_zero_where_the_chosen_scale_reads_like_the_teacher(logits):
    student, teacher = logits
    student[1] = teacher
    assert accuracy_loss(torch.eye(K)[[1, 1]], student, teacher, VALID, IMAGE_OF_WORD).item() == pytest.approx(
        0, abs=1e-5
    )


def test_gradient_of_the_accuracy_loss_with_respect_to_the_choice(logits):
    """Against central differences of the NumPy form, at a one-hot choice as in training."""
    student, teacher = logits
    choice = (torch.eye(K)[[2, 0]] * 0.9 + 0.05).requires_grad_()
    accuracy_loss(choice, student, teacher, VALID, IMAGE_OF_WORD).backward()
    at, step = choice.detach().numpy().astype(np.float64), 1e-4
    for image, scale in itertools.product(range(B), range(K)):
        above, below = at.copy(), at.copy()
        above[image, scale] += step
        below[image, scale] -= step
        slope = expected_accuracy_loss(above, student, teacher) - expected_accuracy_loss(below, student, teacher)
        assert choice.grad[image, scale].item() == pytest.approx(slope / (2 * step), rel=1e-3, abs=1e-5)


def test_certain_readings_keep_losses_and_gradients_finite():
    """A teacher and a student that are sure of different characters."""
    student, teacher = torch.full((K, R, T, V), -200.0), torch.full((R, T, V), -200.0)
    student[..., 1], teacher[..., 2] = 200.0, 200.0
    choice = torch.eye(K)[[0, 1]].requires_grad_()
    loss = accuracy_loss(choice, student, teacher, VALID, IMAGE_OF_WORD)
    loss.backward()
    assert torch.isfinite(loss) and loss > 10 and torch.isfinite(choice.grad).all()


def test_cost_loss():
    choice, costs = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), torch.tensor([0.09, 0.25, 0.64])
    assert cost_loss(choice, costs).item() == pytest.approx((0.25 + 0.09) / 2)


@pytest.mark.parametrize("temperature", [5.0, 0.5])
def test_gumbel_softmax_against_numpy(temperature):
    """h_i = 1 for the largest log p_i + g_i; the gradient is that of the soft form, with g = -log(-log u)."""
    logits = torch.randn(6, K, requires_grad=True)
    torch.manual_seed(3)
    exponential = torch.empty(6, K).exponential_()
    gumbel = -exponential.log().numpy()  # u = exp(-e) is uniform, so -log(-log u) = -log e
    torch.manual_seed(3)
    choice = sample_choice(logits, torch.tensor(temperature))
    perturbed = (np.log(softmax(logits.detach())) + gumbel) / temperature
    assert choice.argmax(1).tolist() == perturbed.argmax(1).tolist()
    torch.testing.assert_close(choice.detach(), torch.eye(K)[perturbed.argmax(1)])
    weights = torch.randn(6, K)
    (choice * weights).sum().backward()
    soft, w = softmax(perturbed), weights.numpy()
    expected = soft * (w - (soft * w).sum(1, keepdims=True)) / temperature
    np.testing.assert_allclose(logits.grad, expected, atol=1e-5)


def test_choices_follow_the_probabilities():
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(20000, K)
    shares = sample_choice(logits, torch.tensor(2.0)).mean(dim=0)
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.2]), atol=0.015, rtol=0)


def test_cheapest_scale_that_reads_like_the_teacher():
    teacher = torch.tensor([[2, 3, 1], [4, 1, 0], [2, 1, 0], [3, 3, 1]])
    student = teacher.repeat(K, 1, 1)
    student[0, 1, 0] = 3  # scale 0 misreads a word of image 0
    student[:, 3, 1] = 2  # image 1 is misread everywhere
    costs = torch.tensor([0.1, 0.3, 0.6])
    assert cheapest_equal_scale(student, teacher, IMAGE_OF_WORD, B, costs).tolist() == [1, 2]
    assert cheapest_equal_scale(student, teacher, IMAGE_OF_WORD, B, costs.flip(0)).tolist() == [2, 0]


def test_no_words():
    choice = torch.eye(K)[[0, 1]].requires_grad_()
    student, teacher = torch.zeros(K, 0, T, V), torch.zeros(0, T, V)
    nothing = torch.zeros(0, T, dtype=torch.bool)
    loss = accuracy_loss(choice, student, teacher, nothing, torch.zeros(0, dtype=torch.long))
    assert loss.item() == 0 and loss.requires_grad
