"""What is logged of a selector's choice.

Shapes: B images, k candidate scales.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.utils.events import get_event_storage
from torch import Tensor


@dataclass(frozen=True)
class ScaleChoice:
    """What a selector chose in a training step.

    Attributes:
        choice: (B, k) one-hot.
        logits: (B, k) of the selector.
        temperature: of the choice.
        cheapest: (B,) of ``cheapest_equal_scale``; None without a teacher.
    """

    choice: Tensor
    logits: Tensor
    temperature: Tensor
    cheapest: Tensor | None = None


@torch.no_grad()
def log_choice(chosen: ScaleChoice, scales: Sequence[float], costs: Tensor) -> list[int]:
    """Log a choice; the chosen scales as numbers come from the device in the same transfer.

    Args:
        chosen: for the images of a batch.
        scales: the candidates.
        costs: (k,) of the candidates.

    Returns:
        the index of each image's scale.
    """
    choice = chosen.choice
    probabilities = chosen.logits.float().softmax(dim=1)
    entropy = -(probabilities * probabilities.clamp(min=1e-8).log()).sum(dim=1).mean()
    figures = [entropy, (choice * costs).sum(dim=1).mean(), chosen.temperature]
    if chosen.cheapest is not None:
        figures.append((chosen.cheapest == choice.argmax(dim=1)).float().mean())
    values = torch.cat([torch.stack([f.float() for f in figures]), choice.argmax(dim=1).float()]).tolist()
    indices = [int(index) for index in values[len(figures) :]]
    names = ("selector/entropy", "selector/mean_cost", "selector/temperature", "selector/agreement")
    storage = get_event_storage()
    storage.put_scalars(smoothing_hint=False, **dict(zip(names, values[: len(figures)], strict=False)))
    for index, scale in enumerate(scales):
        storage.put_scalar(f"selector/share_{scale:g}", indices.count(index) / len(indices))
    return indices
