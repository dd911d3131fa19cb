"""L_roi, L_con and L_seq against NumPy and enumeration."""

import itertools

import numpy as np
import pytest
import torch

from dld_spotter.data.charset import END, PAD
from dld_spotter.modeling.dld.losses.recognition_distiller import alike
from dld_spotter.modeling.dld.losses.skd import feature_loss, sequence_loss
from dld_spotter.modeling.dld.selector.gumbel import (
    accuracy_loss,
)
from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder

K, B, R, T, V = 3, 2, 4, 3, 5


def test_feature_loss_is_the_mean_square():
    student, teacher = torch.randn(R, 2, 3, 4, requires_grad=True), torch.randn(R, 2, 3, 4, requires_grad=True)
    loss = feature_loss(student, teacher)
    difference = (student - teacher).detach().numpy().astype(np.float64)
    assert loss.item() == pytest.approx((difference**2).sum() / (R * 2 * 3 * 4), rel=1e-5)
    loss.backward()
    assert teacher.grad is None and student.grad is not None


@pytest.mark.parametrize("columns", [4, 6, 16])
def test_features_of_another_size_are_resized_between_their_centres(columns):
    """Against NumPy's interpolation: what lies at the same share of the word is compared."""
    student, teacher = torch.randn(3, columns, 5), torch.randn(3, 8, 5)
    centres = (np.arange(8) + 0.5) / 8
    own = (np.arange(columns) + 0.5) / columns
    expected = [[np.interp(centres, own, student[r, :, c]) for c in range(5)] for r in range(3)]
    resized, same = alike(student, teacher, "features")
    assert same is teacher
    np.testing.assert_allclose(resized.transpose(1, 2), expected, atol=1e-5)
    # The same along the rows and columns of a map.
    maps = alike(student.transpose(1, 2)[:, :, None].expand(-1, -1, 4, -1), torch.zeros(3, 5, 8, 8), "features")[0]
    np.testing.assert_allclose(maps, np.broadcast_to(np.array(expected)[:, :, None], (3, 5, 8, 8)), atol=1e-5)


def test_features_of_the_same_size_stay_as_they_are():
    student = torch.randn(2, 5, 4, 8)
    assert alike(student, torch.zeros(2, 5, 4, 8), "features")[0] is student
    with pytest.raises(ValueError, match="features have 5 channels, the teacher's 6"):
        alike(student, torch.zeros(2, 6, 4, 8), "features")
    assert len(alike(student[:0], torch.zeros(0, 5, 8, 32), "features")[0]) == 0


@pytest.fixture
def decoder():
    return AttentionDecoder(V, 6, 4)


@pytest.fixture
def log_probs(decoder):
    """The decoder's log p(sequence | context)."""
    return lambda context, tokens: decoder.log_likelihood(decoder(context, tokens).log_softmax(dim=-1), tokens)


def probability(decoder, context, sequence):
    """p(q | context), one factor a step."""
    logits = decoder(context[None], torch.tensor([sequence]))[0].detach().double().numpy()
    steps = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return np.prod([steps[t, token] for t, token in enumerate(sequence)])


@pytest.mark.parametrize("beams", [1, 3])
def test_sequence_loss(decoder, log_probs, beams):
    context = torch.randn(2, 7, 6)
    rows = [[[2, END], [3, 2, 4, END], [END]], [[4, 4, END], [END], [2, 2, 2, 2]]]
    width = 4
    sequences = torch.tensor([[q + [PAD] * (width - len(q)) for q in word[:beams]] for word in rows])
    loss = sequence_loss(log_probs, context, sequences, torch.zeros(2, beams))
    expected = -np.mean([sum(np.log(probability(decoder, context[w], q)) for q in rows[w][:beams]) for w in range(2)])
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_probabilities_of_all_sequences_sum_to_one(decoder):
    """The enumeration that L_seq rests on: every ended sequence and every unended one of full length."""
    context, total, steps = torch.randn(1, 7, 6), 0.0, 3
    others = [t for t in range(V) if t != END]
    for length in range(steps):
        total += sum(probability(decoder, context[0], [*s, END]) for s in itertools.product(others, repeat=length))
    total += sum(probability(decoder, context[0], list(s)) for s in itertools.product(others, repeat=steps))
    assert total == pytest.approx(1.0, abs=1e-4)


def test_impossible_sequences_do_not_count(log_probs):
    context = torch.randn(1, 7, 6)
    sequences = torch.tensor([[[2, END], [3, END]]])
    alone = sequence_loss(log_probs, context, sequences[:, :1], torch.zeros(1, 1))
    both = sequence_loss(log_probs, context, sequences, torch.tensor([[-1.0, -torch.inf]]))
    torch.testing.assert_close(alone, both)


def test_no_words(log_probs):
    choice = torch.eye(K)[[0, 1]].requires_grad_()
    student, teacher = torch.zeros(K, 0, T, V), torch.zeros(0, T, V)
    nothing = torch.zeros(0, T, dtype=torch.bool)
    loss = accuracy_loss(choice, student, teacher, nothing, torch.zeros(0, dtype=torch.long))
    assert loss.item() == 0 and loss.requires_grad
    context = torch.zeros(0, 7, 6, requires_grad=True)
    loss = sequence_loss(log_probs, context, torch.zeros(0, 1, 2, dtype=torch.long), torch.zeros(0, 1))
    assert loss.item() == 0 and loss.requires_grad
    assert feature_loss(context, context.detach()).item() == 0
