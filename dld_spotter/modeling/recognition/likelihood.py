"""How likely a text is, given the distributions of a decoder that says one token at each step.

Shapes: R words, T steps, V characters and special tokens.
"""

import torch
from torch import Tensor

from dld_spotter.data.charset import PAD


def step_log_likelihood(log_probs: Tensor, target: Tensor) -> Tensor:
    """(R,) sums of the log-probabilities that the steps give to the tokens of the target, its end included.

    Args:
        log_probs: (R, T, V), with the target fed in.
        target: (R, T) token ids; padding is not counted.
    """
    picked = log_probs.gather(2, target[..., None])[..., 0]
    # torch.where rather than a product: a padded step may hold anything.
    return torch.where(target != PAD, picked, 0.0).sum(dim=1)
