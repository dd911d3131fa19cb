"""L_seq of Sequential Knowledge Distillation, L_SKD = L_roi + eta_1 L_con + eta_2 L_seq (DLD method, section 4).

Shapes: R words over the whole batch, N positions of the context, D its channels, K teacher sequences a word, T decoding
steps.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def sequence_loss(
    log_probs: Callable[[Tensor, Tensor], Tensor],
    context: Tensor,
    sequences: Tensor,
    scores: Tensor,
    count: Tensor | None = None,
) -> Tensor:
    """L_seq: minus the log-probability that the student gives to the teacher's sequences.

    - sum_k log p(q_k | context), the mean over the words. p is the product over the steps of q_k, end token included,
    or with CTC the sum over its alignments.

    Args:
        log_probs: the student's: (context, sequences (R, T)) -> log p (R,).
        context: (R, N, D) of the student.
        sequences: (R, K, T) token ids from the teacher's beam search.
        scores: (R, K) their log-probabilities; a sequence of minus infinity does not exist and does not count.
        count: divide by this instead of R (see ``training_batch.global_counts``).
    """
    words, beams, _ = sequences.shape
    if words == 0:
        return context.sum() * 0.0
    found = log_probs(context.repeat_interleave(beams, dim=0), sequences.flatten(0, 1))
    counted = (scores > -torch.inf).flatten() & found.isfinite()
    return -torch.where(counted, found, 0.0).sum() / (words if count is None else count)
