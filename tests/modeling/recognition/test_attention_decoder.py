"""The decoder against NumPy, PyTorch's own LSTM cell with one-hot inputs, and enumeration of all sequences."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from dld_spotter.data.charset import END, PAD, START
from dld_spotter.modeling.recognition.attention_beam_search import beam_search
from dld_spotter.modeling.recognition.attention_decoder import AttentionDecoder

V, D, H, N = 5, 6, 4, 7


@pytest.fixture
def decoder():
    return AttentionDecoder(V, D, H).eval()


def one_hot_cell(decoder):
    """PyTorch's LSTM cell over [glimpse; one-hot token], with the decoder's weights."""
    cell = nn.LSTMCell(D + V, H)
    cell.weight_ih.data = torch.cat([decoder.gates.weight[:, :D], decoder.token_gates.weight.T], dim=1)
    cell.weight_hh.data = decoder.gates.weight[:, D:].clone()
    cell.bias_ih.data, cell.bias_hh.data = decoder.gates.bias.clone(), torch.zeros(4 * H)
    return cell


def expected_logits(decoder, context, target):
    """One word at a time, attention in NumPy, recurrence by PyTorch's cell."""
    cell, logits = one_hot_cell(decoder), []
    w_key, b_key = decoder.key.weight.numpy(), decoder.key.bias.numpy()
    w_query, v = decoder.query.weight.numpy(), decoder.energy.weight.numpy()[0]
    for x, row in zip(context.numpy(), target.tolist(), strict=True):
        h, c = torch.zeros(1, H), torch.zeros(1, H)
        steps = []
        for previous in [START, *row[:-1]]:
            energy = np.array([v @ np.tanh(w_key @ position + b_key + w_query @ h[0].numpy()) for position in x])
            share = np.exp(energy - energy.max()) / np.exp(energy - energy.max()).sum()
            glimpse = torch.tensor(share @ x, dtype=torch.float32)
            token = torch.eye(V)[previous]
            h, c = cell(torch.cat([glimpse, token])[None], (h, c))
            steps.append(decoder.classify(h)[0])
        logits.append(torch.stack(steps))
    return torch.stack(logits)


@torch.no_grad()
def test_teacher_forcing_equals_the_cell_with_one_hot_tokens(decoder):
    context, target = torch.randn(3, N, D), torch.tensor([[2, 3, END], [4, END, PAD], [2, 2, 2]])
    torch.testing.assert_close(decoder(context, target), expected_logits(decoder, context, target))


@torch.no_grad()
def test_greedy_feeds_its_own_tokens_back(decoder):
    context = torch.randn(6, N, D)
    tokens, scores = decoder.greedy(context, max_steps=9)
    logits = expected_logits(decoder, context, tokens)
    logits[..., PAD] = -torch.inf
    for row, score, steps in zip(tokens.tolist(), scores, logits.log_softmax(-1), strict=True):
        length = row.index(END) + 1 if END in row else len(row)
        assert row[:length] == steps[:length].argmax(-1).tolist()
        assert set(row[length:]) <= {PAD}
        mean = sum(steps[i, row[i]] for i in range(length)) / length
        assert score.item() == pytest.approx(mean.exp().item(), rel=1e-5)


@torch.no_grad()
def test_greedy_stops_when_all_have_ended(decoder):
    decoder.classify.bias[END] = 50.0
    tokens, scores = decoder.greedy(torch.randn(4, N, D), max_steps=30)
    assert tokens.tolist() == [[END]] * 4
    assert torch.all(scores > 0.99)


def all_sequences(max_steps):
    """Every token sequence that ends with END, or is as long as allowed without one."""
    characters = [t for t in range(V) if t not in (PAD, END)]
    for length in range(max_steps):
        yield from ([*s, END] for s in itertools.product(characters, repeat=length))
    yield from (list(s) for s in itertools.product(characters, repeat=max_steps))


def log_probability(decoder, context, sequence):
    logits = decoder(context[None], torch.tensor([sequence]))[0]
    logits[:, PAD] = -torch.inf
    return logits.log_softmax(-1)[range(len(sequence)), sequence].sum().item()


@torch.no_grad()
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_of_all_sequences(seed):
    torch.manual_seed(seed)
    decoder = AttentionDecoder(V, D, H)
    decoder.classify.weight.mul_(4)
    context, width, max_steps = torch.randn(3, N, D), 40, 4
    tokens, scores = beam_search(decoder, context, width, max_steps)
    for word in range(3):
        ranked = sorted(
            ((log_probability(decoder, context[word], s), s) for s in all_sequences(max_steps)), reverse=True
        )
        for place in range(10):
            expected, sequence = ranked[place]
            assert scores[word, place].item() == pytest.approx(expected, abs=1e-4)
            assert tokens[word, place].tolist() == sequence + [PAD] * (tokens.shape[2] - len(sequence))


@torch.no_grad()
def test_a_beam_of_one_is_greedy(decoder):
    context = torch.randn(5, N, D)
    tokens, _scores = beam_search(decoder, context, 1, 6)
    greedy, _ = decoder.greedy(context, 6)
    assert torch.equal(tokens[:, 0, : greedy.shape[1]], greedy)


@torch.no_grad()
def test_more_beams_than_sequences_are_marked_impossible():
    _tokens, scores = beam_search(AttentionDecoder(3, D, H), torch.randn(2, N, D), 6, 2)
    # One character (token 2): the sequences are END; 2 END; 2 2.
    assert (scores > -torch.inf).sum(dim=1).tolist() == [3, 3]
    assert torch.all(scores[:, 3:] == -torch.inf)


def test_no_words(decoder):
    empty = torch.zeros(0, N, D)
    tokens, scores = decoder.greedy(empty, 5)
    assert tokens.shape == (0, 1) and scores.shape == (0,)
    tokens, scores = beam_search(decoder, empty, 3, 5)
    assert tokens.shape[:2] == (0, 3) and scores.shape == (0, 3)
