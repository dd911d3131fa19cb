"""What is logged of a selector's choice.

Shapes: B images, k candidate scales, R words over the whole batch, T decoding steps, V characters and special tokens.
"""

from collections.abc import Sequence

import torch
from detectron2.utils.events import get_event_storage
from torch import Tensor

from dld_spotter.modeling.distillation.selector_loss import cheapest_equal_scale


@torch.no_grad()
def log_choice(
    scales: Sequence[float],
    costs: Tensor,
    temperature: Tensor,
    choice: Tensor,
    logits: Tensor,
    candidates: Tensor,
    taught: Tensor | None,
    valid: Tensor,
    image_of_word: Tensor,
) -> list[int]:
    """The chosen scales as numbers; what is logged of them comes from the device in the same transfer.

    Args:
        scales: the candidates.
        costs: (k,) of the candidates.
        temperature: of the choice.
        choice: (B, k) one-hot.
        logits: (B, k) of the selector.
        candidates: (k, R, T, V) the student's logits at each scale.
        taught: (R, T, V) the teacher's; None without a teacher.
        valid: (R, T) bool, the steps that count.
        image_of_word: (R,).
    """
    probabilities = logits.float().softmax(dim=1)
    entropy = -(probabilities * probabilities.clamp(min=1e-8).log()).sum(dim=1).mean()
    figures = [entropy, (choice * costs).sum(dim=1).mean(), temperature]
    if taught is not None:
        cheapest = cheapest_equal_scale(candidates, taught, valid, image_of_word, len(choice), costs)
        figures.append((cheapest == choice.argmax(dim=1)).float().mean())
    values = torch.cat([torch.stack([f.float() for f in figures]), choice.argmax(dim=1).float()]).tolist()
    chosen = [int(index) for index in values[len(figures) :]]
    names = ("selector/entropy", "selector/mean_cost", "selector/temperature", "selector/agreement")
    storage = get_event_storage()
    storage.put_scalars(smoothing_hint=False, **dict(zip(names, values[: len(figures)], strict=False)))
    for index, scale in enumerate(scales):
        storage.put_scalar(f"selector/share_{scale:g}", chosen.count(index) / len(chosen))
    return chosen
