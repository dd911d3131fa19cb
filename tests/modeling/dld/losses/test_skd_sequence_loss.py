"""L_seq against NumPy and enumeration."""

import itertools

import numpy as np
import pytest
import torch

from dld_spotter.data.charset import END, PAD
from dld_spotter.modeling.dld.losses.skd_sequence_loss import sequence_loss
from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder

V = 5


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
    context = torch.zeros(0, 7, 6, requires_grad=True)
    loss = sequence_loss(log_probs, context, torch.zeros(0, 1, 2, dtype=torch.long), torch.zeros(0, 1))
    assert loss.item() == 0 and loss.requires_grad
