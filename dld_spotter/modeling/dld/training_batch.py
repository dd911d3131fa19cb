"""The batch of a DLD step: what is known of it, how it is divided, and how it is counted over the processes.

Shapes: R words over the whole batch, T decoding steps.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import torch
from detectron2.structures import ImageList, Instances
from detectron2.utils import comm
from torch import Tensor, nn

from dld_spotter.data.charset import PAD
from dld_spotter.modeling.spotter import Spotter, readable_words, target_tokens

Key = TypeVar("Key", int, float)


class TrainingBatch(NamedTuple):
    """A training batch on the model's device, at the teacher's resolution.

    Attributes:
        images: normalised and padded.
        targets: all words of each image.
        words: the readable words of each image.
        tokens: (R, T) their token ids.
        num_tokens: what sums over the characters and ends are divided by (see ``global_counts``).
        num_words: what sums over the words are divided by.
    """

    images: ImageList
    targets: list[Instances]
    words: list[Instances]
    tokens: Tensor
    num_tokens: Tensor
    num_words: Tensor

    @classmethod
    def from_records(cls, batched_inputs: list[dict], spotter: Spotter, device: torch.device) -> "TrainingBatch":
        """Of mapped records, as a spotter preprocesses them."""
        # The readable words are known on the CPU: nothing has to be asked of the device for it.
        targets = [record["instances"] for record in batched_inputs]
        words = [w.to(device) for w in readable_words(targets)]
        tokens = target_tokens(words)
        images = spotter.preprocess_image(batched_inputs)
        return cls(images, [target.to(device) for target in targets], words, tokens, *global_counts(tokens != PAD))

    def image_of_word(self) -> Tensor:
        """(R,) the image of each word."""
        counts = torch.tensor([len(w) for w in self.words], device="cpu")
        images = torch.repeat_interleave(torch.arange(len(counts), device="cpu"), counts)
        return images.to(self.tokens.device, non_blocking=True)

    def word_indices(self, images: Sequence[int]) -> list[int]:
        """Where the words of some images stand among all words of the batch."""
        first = [0, *itertools.accumulate(len(w) for w in self.words)]
        return [word for image in images for word in range(first[image], first[image + 1])]


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


def group_by(keys: Sequence[Key]) -> Iterator[tuple[Key, list[int]]]:
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
