"""The most likely sequences of an auto-regressive decoder, for all words of a batch at once.

Shapes: R words, K sequences kept a word (the width of the beam), T steps, V characters and special tokens.
"""

import torch
from torch import Tensor

from dld_spotter.data.charset import END, PAD, START
from dld_spotter.modeling.recognition.attention_decoder import (
    AttentionDecoder,
    DecoderState,
    token_log_probs,
)


@torch.no_grad()
def beam_search(decoder: AttentionDecoder, context: Tensor, width: int, max_steps: int) -> tuple[Tensor, Tensor]:
    """Keep the ``width`` likeliest beginnings at each step, each continued by the decoder's own state.

    A sequence is complete with its end token, or at ``max_steps`` without one. Scores are plain sums of
    log-probabilities, not divided by length: L_seq of the DLD paper wants the likeliest sequences.

    Args:
        decoder: the decoder.
        context: (R, N, D) contextual features.
        width: K.
        max_steps: the longest word and its end token.

    Returns:
        (R, K, T) token ids, padded after the end, and (R, K) log-probabilities, best first. Where fewer than K
        sequences exist, the rest have a log-probability of minus infinity.
    """
    words, device = len(context), context.device
    if words == 0:
        return torch.zeros(0, width, 1, dtype=torch.long, device=device), torch.zeros(0, width, device=device)
    memory, state = decoder.remember(context), decoder.start(context, width)
    tokens = torch.full((words, width, 1), START, dtype=torch.long, device=device)
    # All beams of a word begin alike: only the first may be continued.
    scores = torch.full((words, width), -torch.inf, device=device)
    scores[:, 0].zero_()
    # An ended sequence goes on with padding, at no cost.
    stay_ended = torch.full((decoder.num_tokens,), -torch.inf, device=device)
    stay_ended[PAD].zero_()
    for _ in range(max_steps):
        last = tokens[:, :, -1]
        ended = (last == END) | (last == PAD) & (tokens.shape[2] > 1)
        state = decoder.step(decoder.token_gates(last), state, memory)
        log_probs = token_log_probs(decoder.classify(state.hidden))  # (R, K, V)
        log_probs = torch.where(ended[:, :, None], stay_ended, log_probs)
        scores, best = (scores[:, :, None] + log_probs).flatten(1).topk(width, dim=1)
        parent, token = best // log_probs.shape[2], best % log_probs.shape[2]
        tokens = torch.cat([tokens.gather(1, parent[:, :, None].expand_as(tokens)), token[:, :, None]], dim=2)
        state = DecoderState(*(part.gather(1, parent[:, :, None].expand_as(part)) for part in state))
        if ((token == END) | (token == PAD)).all():
            break
    return tokens[:, :, 1:], scores
