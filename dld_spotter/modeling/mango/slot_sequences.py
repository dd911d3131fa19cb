"""Token sequences of the parallel recogniser, whose steps do not depend on each other.

Shapes: R words, K sequences a word, L steps, V characters and special tokens, n words that cells vote for.
"""

import torch
from torch import Tensor

from dld_spotter.data.charset import END, PAD
from dld_spotter.modeling.recognition.attention_decoder import token_log_probs


@torch.no_grad()
def likeliest_sequences(logits: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The K most likely sequences of each word, exactly.

    A sequence is complete with its end token, or after all steps without one; its log-probability is the sum over its
    tokens. Since the steps are independent, the best continuation from a step on is the same for every beginning that
    has not ended: a beginning is worth its own log-probability and that of its best continuation. Keeping the K
    worthiest beginnings at each step loses none of the K best sequences, because the best continuations of those kept
    are K sequences that are no worse than any continuation of a lost one.

    Args:
        logits: (R, L, V).
        width: K.

    Returns:
        (R, K, L) token ids, padded after the end, and (R, K) log-probabilities, best first. Where fewer than K
        sequences exist, the rest have a log-probability of minus infinity.
    """
    log_probs = token_log_probs(logits)
    words, steps, num_tokens = log_probs.shape
    rest = _best_continuations(log_probs)
    tokens = torch.full((words, width, 0), PAD, dtype=torch.long, device=logits.device)
    # All sequences of a word begin alike: only the first may be continued.
    scores = torch.full((words, width), -torch.inf, device=logits.device)
    scores[:, :1] = 0
    ended = torch.zeros(words, width, dtype=torch.bool, device=logits.device)
    # An ended sequence goes on with padding, at no cost.
    stay_ended = torch.full((num_tokens,), -torch.inf, device=logits.device)
    stay_ended[PAD] = 0
    for step in range(steps):
        extended = torch.where(ended[..., None], stay_ended, log_probs[:, step, None])
        scores = (scores[..., None] + extended).flatten(1)  # (R, K * V)
        worth = scores.unflatten(1, (width, num_tokens)) + rest[:, step, None]
        best = worth.flatten(1).topk(width, dim=1).indices
        scores, parent, token = scores.gather(1, best), best // num_tokens, best % num_tokens
        tokens = torch.cat([tokens.gather(1, parent[..., None].expand_as(tokens)), token[..., None]], dim=2)
        ended = ended.gather(1, parent) | (token == END)
    return tokens, scores


def _best_continuations(log_probs: Tensor) -> Tensor:
    """(R, L, V): the log-probability of the best continuation after each token at each step; 0 after the end."""
    rest = torch.zeros_like(log_probs)
    for step in range(log_probs.shape[1] - 2, -1, -1):
        following = (log_probs[:, step + 1] + rest[:, step + 1]).amax(dim=1, keepdim=True)
        rest[:, step] = following
        rest[:, step, [PAD, END]] = 0
    return rest


def cut_after_end(tokens: Tensor) -> Tensor:
    """(..., L) token ids with padding after the first end token."""
    is_end = (tokens == END).long()
    return tokens.masked_fill(is_end.cumsum(dim=-1) - is_end > 0, PAD)


@torch.no_grad()
def read_greedily(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest token at each step: (R, L) token ids, padding after the end, and (R, L) log-probabilities."""
    best, tokens = token_log_probs(logits).max(dim=-1)
    return cut_after_end(tokens), best


@torch.no_grad()
def vote(logits: Tensor, word: Tensor, weight: Tensor, num_words: int) -> tuple[Tensor, Tensor]:
    """One sequence for each word from what its cells read.

    At each position each cell votes for its token with its weight, up to and including its own end; the word ends
    where the end wins.

    Args:
        logits: (R, L, V) of the cells.
        word: (R,) the word of each cell.
        weight: (R,) of its votes, above 0.
        num_words: n.

    Returns:
        (n, L) token ids, padding after the end; (n,) scores in [0, 1]: the weighted mean over the cells of the
        geometric mean of the probabilities that they give to the word's tokens.
    """
    log_probs = token_log_probs(logits)
    tokens_of_cells, _ = read_greedily(logits)
    ballots = torch.nn.functional.one_hot(tokens_of_cells, log_probs.shape[2]).float() * weight[:, None, None].float()
    votes = ballots.new_zeros(num_words, *log_probs.shape[1:]).index_add_(0, word, ballots)
    votes[..., PAD] = -1  # says nothing
    tokens = cut_after_end(votes.argmax(dim=-1))
    counted = (tokens != PAD).float()
    agreed = log_probs.gather(2, tokens[word][..., None])[..., 0].masked_fill(tokens[word] == PAD, 0)
    cell_scores = (agreed.sum(dim=1) / counted.sum(dim=1).clamp(min=1)[word]).exp()
    share = weight.float() / weight.new_zeros(num_words, dtype=torch.float32).index_add_(0, word, weight.float())[word]
    return tokens, cell_scores.new_zeros(num_words).index_add_(0, word, cell_scores * share)
