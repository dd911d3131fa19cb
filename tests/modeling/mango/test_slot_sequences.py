"""Sequences of independent steps against an enumeration of all of them, and votes counted one by one."""

import itertools
import math

import pytest
import torch

from dld_spotter.data.charset import END, PAD, Charset
from dld_spotter.modeling.mango.parallel_recogniser import ParallelRecogniser
from dld_spotter.modeling.mango.slot_sequences import cut_after_end, likeliest_sequences, read_greedily, vote

STEPS, TOKENS = 3, 4  # padding, end and two characters


def enumerate_sequences(logits):
    """All complete sequences of one word with their log-probabilities, best first."""
    rows = [[math.exp(x) for x in row] for row in logits.tolist()]
    log_probs = [[math.log(x / sum(row[1:])) for x in row] for row in rows]  # padding cannot be said
    found = {}
    for tokens in itertools.product(range(1, TOKENS), repeat=STEPS):
        cut = tokens[: tokens.index(END) + 1] if END in tokens else tokens
        score = sum(log_probs[step][token] for step, token in enumerate(cut))
        found[cut + (PAD,) * (STEPS - len(cut))] = score
    return sorted(found.items(), key=lambda item: -item[1])


@pytest.mark.parametrize("width", [1, 2, 5, 15])
def test_the_likeliest_sequences_are_those_of_an_enumeration(width):
    logits = torch.randn(6, STEPS, TOKENS) * torch.tensor([0.3, 1, 1, 2, 3, 5])[:, None, None]
    logits[0, :, PAD] = 9.0
    tokens, scores = likeliest_sequences(logits, width)
    assert tokens.shape == (6, width, STEPS) and scores.shape == (6, width)
    for word in range(6):
        expected = enumerate_sequences(logits[word])[:width]
        assert [tuple(row) for row in tokens[word].tolist()] == [sequence for sequence, _ in expected]
        assert scores[word].tolist() == pytest.approx([score for _, score in expected], abs=1e-4)


def test_sequences_that_do_not_exist_are_said_so():
    """With an end and one character there are [end], [a, end], [a, a]: three sequences of two steps."""
    tokens, scores = likeliest_sequences(torch.randn(2, 2, 3), 5)
    assert torch.isfinite(scores[:, :3]).all() and (scores[:, 3:] == -torch.inf).all()
    assert {tuple(row) for row in tokens[0, :3].tolist()} == {(END, PAD), (2, END), (2, 2)}
    assert scores[0, :3].exp().sum().item() == pytest.approx(1), "all that there are"
    assert likeliest_sequences(torch.randn(0, 2, 3), 5)[0].shape == (0, 5, 2)


def test_the_best_sequence_is_the_greedy_one():
    """Not step by step (an early end may be likelier as a whole), but where the end is as sure as the characters."""
    logits = torch.full((1, 4, 5), 0.0)
    for step, token in enumerate((3, 4, END, 2)):
        logits[0, step, token] = 8.0
    tokens, log_probs = read_greedily(logits)
    assert tokens.tolist() == [[3, 4, END, PAD]] == likeliest_sequences(logits, 1)[0][0].tolist()
    assert log_probs.shape == (1, 4) and (log_probs > -0.01).all()
    assert cut_after_end(torch.tensor([[END, END, 3], [2, 3, 4]])).tolist() == [[END, PAD, PAD], [2, 3, 4]]


def say(*words, steps=5, confidence=5.0):
    """Logits of cells that say these token sequences."""
    logits = torch.zeros(len(words), steps, 8)
    for cell, word in enumerate(words):
        for step, token in enumerate(word):
            logits[cell, step, token] = confidence
    return logits


def test_votes_by_hand():
    """Two cells of word 0 outvote the third; in word 1 one heavy cell does."""
    cells = say((2, 3, END), (2, 4, END), (2, 4, END), (5, END), (6, 7, END))
    tokens, scores = vote(cells, torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0.4, 0.3, 0.3, 0.2, 0.9]), 2)
    assert tokens.tolist() == [[2, 4, END, PAD, PAD], [6, 7, END, PAD, PAD]]
    assert (scores > 0).all() and (scores < 1).all()
    alone, sure = vote(cells[:1], torch.tensor([0]), torch.tensor([0.1]), 1)
    assert alone.tolist() == [[2, 3, END, PAD, PAD]] and sure.item() > 0.9


def test_the_end_is_voted_for_like_a_character_and_cells_that_ended_are_silent():
    cells = say((2, END), (2, 3, 4, END), (2, 3, 5, END))
    tokens, _ = vote(cells, torch.zeros(3, dtype=torch.long), torch.tensor([0.5, 0.3, 0.3]), 1)
    assert tokens.tolist() == [[2, 3, 4, END, PAD]], "0.6 for going on, then a tie: the lower token"
    tokens, _ = vote(cells, torch.zeros(3, dtype=torch.long), torch.tensor([0.7, 0.3, 0.3]), 1)
    assert tokens.tolist() == [[2, END, PAD, PAD, PAD]]
    full = say((2, 3, 4, 5, 6))
    assert vote(full, torch.tensor([0]), torch.tensor([1.0]), 1)[0].tolist() == [[2, 3, 4, 5, 6]], "no end, all slots"


def count_votes(logits, word, weight, num_words):
    """As the method words it: each cell's string, cut at its end; at each position the token with most weight."""
    said = [row.tolist() for row in logits[..., 1:].argmax(dim=-1) + 1]
    said = [row[: row.index(END) + 1] if END in row else row for row in said]
    results = []
    for index in range(num_words):
        result = []
        for position in range(logits.shape[1]):
            ballots = {}
            for cell, row in enumerate(said):
                if word[cell] == index and position < len(row):
                    ballots[row[position]] = ballots.get(row[position], 0) + weight[cell].item()
            winner = max(ballots, key=ballots.get)
            result.append(winner)
            if winner == END:
                break
        probabilities = logits[..., 1:].double().softmax(dim=-1)
        shares, score = sum(weight[word == index].tolist()), 0.0
        for cell in (word == index).nonzero().flatten().tolist():
            means = [math.log(probabilities[cell, p, token - 1]) for p, token in enumerate(result)]
            score += weight[cell].item() / shares * math.exp(sum(means) / len(means))
        results.append((result + [PAD] * (logits.shape[1] - len(result)), score))
    return results


@pytest.mark.parametrize("seed", range(5))
def test_votes_counted_one_by_one(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(12, 5, 5, generator=generator) * 2
    word, weight = torch.arange(12) % 4, torch.rand(12, generator=generator) + 0.01
    tokens, scores = vote(logits, word, weight, 4)
    for index, (expected, score) in enumerate(count_votes(logits, word, weight, 4)):
        assert tokens[index].tolist() == expected
        assert scores[index].item() == pytest.approx(score, rel=1e-4)


def test_the_reader_runs_along_the_slots():
    reader = ParallelRecogniser(6, 8, Charset("abc")).eval()
    slots = torch.randn(3, 5, 6)
    logits = reader(slots)
    assert logits.shape == (3, 5, 5) and reader.contextual(slots).shape == (3, 5, 8)
    changed = slots.clone()
    changed[0, 4] += 1
    other = reader(changed)
    assert (other[0, 0] != logits[0, 0]).any(), "the first slot sees the last"
    torch.testing.assert_close(other[1:], logits[1:])
    assert reader(slots[:0]).shape == (0, 5, 5)
    linears = [m for m in reader.modules() if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in linears] == [8, 8, 16, 16, 5]
