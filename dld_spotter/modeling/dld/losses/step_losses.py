"""Distillation of a recogniser step by step, as rivals of SKD have it.

The four losses are those of Bhunia et al., "Text is Text, No Matter What: Unifying Text Recognition using Knowledge
Distillation" (ICCV 2021), between a teacher and a student that read the same words with the same tokens fed in. Means
are taken over the valid steps, so that padding changes nothing.

Shapes: R words over the whole batch, T decoding steps, N positions of the context, D channels of a glimpse, V
characters and special tokens.
"""

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

# Added to the length of a glimpse before it is divided by.
SMALLEST = 1e-6


def logit_loss(student: Tensor, teacher: Tensor, valid: Tensor, count: Tensor, temperature: float = 2.0) -> Tensor:
    """tau^2 D_KL(softmax(teacher / tau) || softmax(student / tau)), the mean over the steps.

    Args:
        student: (R, T, V) logits; the teacher's has no gradient.
        teacher: likewise.
        valid: (R, T) bool, the steps that count.
        count: how many these are (see ``training_batch.global_counts``).
        temperature: tau; above 1 it brings out what the teacher holds for the next likely.
    """
    student = (student.float() / temperature).log_softmax(dim=-1)
    teacher = (teacher.detach().float() / temperature).log_softmax(dim=-1)
    # entr(p) = -p log p is 0 for p = 0, where a teacher that rules a token out would make the product undefined.
    probability = teacher.exp()
    divergence = -(torch.special.entr(probability) + probability * student).sum(dim=-1)
    return temperature**2 * _mean(divergence, valid, count)


def hint_loss(student: Tensor, teacher: Tensor, valid: Tensor, count: Tensor) -> Tensor:
    """The "character localised hint": squared distance of the glimpses, averaged over channels and steps.

    Glimpses are (R, T, D); ``valid`` and ``count`` are those of ``logit_loss``.
    """
    return _mean((student.float() - teacher.detach().float()).square().mean(dim=-1), valid, count)


def attention_loss(student: Tensor, teacher: Tensor, valid: Tensor, count: Tensor) -> Tensor:
    """Squared distance of the attention over the positions of the context, summed over these; the mean over the steps.

    Weights are (R, T, N), of each step; ``valid`` and ``count`` are those of ``logit_loss``.
    """
    return _mean((student.float() - teacher.detach().float()).square().sum(dim=-1), valid, count)


def affinity_loss(student: Tensor, teacher: Tensor, valid: Tensor, count: Tensor) -> Tensor:
    """Squared distance of the cosines between the glimpses of any two steps of a word; the mean over pairs, then words.

    Args:
        student: (R, T, D) glimpses.
        teacher: likewise.
        valid: (R, T) bool, the steps that count.
        count: how many words there are (see ``training_batch.global_counts``).
    """
    pairs = valid[:, :, None] & valid[:, None, :]
    distance = torch.where(pairs, (_affinity(student) - _affinity(teacher.detach())).square(), 0.0)
    return (distance.sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)).clamp(min=1)).sum() / count


def _affinity(glimpses: Tensor) -> Tensor:
    """(R, T, T) cosines."""
    device = glimpses.device.type
    # Cosines of alike steps differ by less than half precision can hold, in which autocast would multiply them.
    with nullcontext() if device == "meta" else torch.autocast(device, enabled=False):
        unit = F.normalize(glimpses.float(), dim=-1, eps=SMALLEST)
        return unit @ unit.transpose(1, 2)


def _mean(values: Tensor, valid: Tensor, count: Tensor) -> Tensor:
    # torch.where rather than a product: a padded step may hold anything.
    return torch.where(valid, values, 0.0).sum() / count
