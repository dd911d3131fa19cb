"""The batch of a DLD step: what is known of it, how it is divided, and how it is counted over the processes.

Shapes: R words over the whole batch, T decoding steps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from detectron2.structures import ImageList, Instances
from detectron2.utils import comm
from torch import Tensor, nn


class TrainingBatch(NamedTuple):
    """A training batch on the model's device, at the teacher's resolution."""

    images: ImageList
    targets: list[Instances]
    words: list[Instances]  # the readable ones of each image
    tokens: Tensor  # (R, T)
    num_tokens: Tensor  # what sums over the characters and ends, and
    num_words: Tensor  # sums over the words, are divided by


def global_counts(valid: Tensor) -> Tensor:
    """The valid steps and the words of the batch, of all processes together, divided by the number of processes.

    Losses that are divided by these have, averaged over processes, the gradient of one process with the whole batch.

    Args:
        valid: (R, T) bool.

    Returns:
        (2,) float32, at least 1 / number of processes.
    """
    counts = torch.stack([valid.sum(), valid.new_full((), len(valid), dtype=torch.long)]).float()
    if comm.get_world_size() > 1:
        torch.distributed.all_reduce(counts)
    return counts.clamp(min=1) / comm.get_world_size()


def group_by(keys: Sequence) -> Iterator[tuple[object, list[int]]]:
    """Each distinct key, ascending, with the indices that have it."""
    for key in sorted(set(keys)):
        yield key, [index for index, other in enumerate(keys) if other == key]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """A module in evaluation mode for a while: running statistics are used and stay as they are."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
