"""What is logged of a selector's choice.

Shapes: B images, k candidate scales.
"""

from collections.abc import Sequence

import torch
from detectron2.utils.events import get_event_storage
from torch import Tensor


@torch.no_grad()
def log_choice(
    scales: Sequence[float],
    costs: Tensor,
    temperature: Tensor,
    choice: Tensor,
    logits: Tensor,
    cheapest: Tensor | None,
) -> list[int]:
    """The chosen scales as numbers; what is logged of them comes from the device in the same transfer.

    Args:
        scales: the candidates.
        costs: (k,) of the candidates.
        temperature: of the choice.
        choice: (B, k) one-hot.
        logits: (B, k) of the selector.
        cheapest: (B,) of ``cheapest_equal_scale``; None without a teacher.
    """
    probabilities = logits.float().softmax(dim=1)
    entropy = -(probabilities * probabilities.clamp(min=1e-8).log()).sum(dim=1).mean()
    figures = [entropy, (choice * costs).sum(dim=1).mean(), temperature]
    if cheapest is not None:
        figures.append((cheapest == choice.argmax(dim=1)).float().mean())
    values = torch.cat([torch.stack([f.float() for f in figures]), choice.argmax(dim=1).float()]).tolist()
    chosen = [int(index) for index in values[len(figures) :]]
    names = ("selector/entropy", "selector/mean_cost", "selector/temperature", "selector/agreement")
    storage = get_event_storage()
    storage.put_scalars(smoothing_hint=False, **dict(zip(names, values[: len(figures)], strict=False)))
    for index, scale in enumerate(scales):
        storage.put_scalar(f"selector/share_{scale:g}", chosen.count(index) / len(chosen))
    return chosen
