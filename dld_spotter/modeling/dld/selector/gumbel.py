"""What the resolution selector learns from: L_DRS = L_acc + gamma * L_flops (section 3 of the DLD method).

Shapes: B images, k candidate scales, R words over the whole batch, T decoding steps, V characters and special tokens.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

# Probabilities below this are taken for it, so that a logarithm stays finite.
SMALLEST = 1e-8


def accuracy_loss(
    choice: Tensor,
    student_logits: Tensor,
    teacher_logits: Tensor,
    valid: Tensor,
    image_of_word: Tensor,
    count: Tensor | None = None,
) -> Tensor:
    """L_acc: how far the candidates' outputs, mixed as the selector chose, are from the teacher's.

    The distributions are mixed, not the logits: y_mix = sum_i h_i softmax(l_i). D_KL(y_teacher || y_mix) is summed over
    the characters and averaged over the valid steps of all words.

    Args:
        choice: (B, k) one-hot in value, soft in gradient.
        student_logits: (k, R, T, V) of the student at each scale.
        teacher_logits: (R, T, V) at full resolution.
        valid: (R, T) bool, the steps that count.
        image_of_word: (R,) row of ``choice`` for each word.
        count: divide by this instead of the number of valid steps (see ``training_batch.global_counts``).
    """
    mixture = _mix(choice, student_logits, image_of_word)
    teacher = teacher_logits.float().log_softmax(dim=-1)
    divergence = (teacher.exp() * (teacher - mixture.clamp(min=SMALLEST).log())).sum(dim=-1)  # (R, T)
    return _mean_over(divergence, valid, count)


def text_accuracy_loss(
    choice: Tensor,
    student_logits: Tensor,
    target: Tensor,
    image_of_word: Tensor,
    log_likelihood: Callable[[Tensor, Tensor], Tensor],
    count: Tensor,
) -> Tensor:
    """The "ce" form of L_acc: minus the log-likelihood of the true texts under the mixed outputs, a mean.

    Args:
        choice: as in ``accuracy_loss``.
        student_logits: likewise.
        target: (R, S) token ids.
        image_of_word: likewise.
        log_likelihood: see ``Spotter.log_likelihood``.
        count: what the sum is divided by: the number of true characters and ends; the others as in ``accuracy_loss``.
    """
    mixture = _mix(choice, student_logits, image_of_word)
    likelihood = log_likelihood(mixture.clamp(min=SMALLEST).log(), target)
    # A text that does not fit into the columns of a CTC decoder has none.
    return -torch.where(likelihood.isfinite(), likelihood, 0.0).sum() / count


def cost_loss(choice: Tensor, costs: Tensor) -> Tensor:
    """L_flops: the mean over the images of sum_i h_i T_i.

    Args:
        choice: (B, k).
        costs: (k,) cost of each candidate relative to the teacher's.
    """
    return (choice * costs).sum(dim=1).mean()


def sample_choice(logits: Tensor, temperature: Tensor) -> Tensor:
    """(B, k) straight-through Gumbel-softmax: one-hot in value, with the gradient of the soft sample."""
    # A number on the device, which need not wait to be told to the CPU; annotated as a float in torch.
    return F.gumbel_softmax(logits.float(), tau=temperature, hard=True)  # type: ignore[arg-type]


def cheapest_equal_scale(
    candidates: Tensor, teacher: Tensor, image_of_word: Tensor, num_images: int, costs: Tensor
) -> Tensor:
    """The cheapest scale at which the student recognises every word of an image as the teacher does.

    Args:
        candidates: (k, R, S) token ids of the student at each scale.
        teacher: (R, S) token ids of the teacher.
        image_of_word: (R,) image of each word.
        num_images: of the batch.
        costs: (k,).

    Returns:
        (num_images,) indices of scales; the dearest one where no scale does.
    """
    wrong = (candidates != teacher).any(dim=2)  # (k, R)
    wrong_words = wrong.new_zeros(len(costs), num_images, dtype=torch.float32)
    wrong_words.index_add_(1, image_of_word, wrong.float())
    cost = torch.where(wrong_words == 0, costs[:, None], torch.inf)
    return torch.where(cost.isinf().all(dim=0), costs.argmax(), cost.argmin(dim=0))


def _mix(choice: Tensor, student_logits: Tensor, image_of_word: Tensor) -> Tensor:
    weights = choice[image_of_word].T[:, :, None, None]  # (k, R, 1, 1)
    return (weights * student_logits.float().softmax(dim=-1)).sum(dim=0)


def _mean_over(values: Tensor, valid: Tensor, count: Tensor | None) -> Tensor:
    count = valid.sum().clamp(min=1) if count is None else count
    # torch.where rather than a product: a padded step may hold anything.
    return torch.where(valid, values, 0.0).sum() / count
