"""Prefix beam search for CTC, for all words of a batch at once.

The method is that of Graves, "Supervised Sequence Labelling with Recurrent Neural Networks", section 7.5.3.

Shapes: R words, N columns, V classes, K prefixes kept a word, L the longest prefix.
"""

from typing import NamedTuple

import torch
from torch import Tensor

BLANK = 0
# No class: stands in prefixes behind their end.
NOTHING = -1


class _Beam(NamedTuple):
    """The kept prefixes of each word.

    Attributes:
        prefixes: (R, K, L) classes.
        lengths: (R, K).
        blank: (R, K) log-probability of the alignments so far that end with a blank.
        character: (R, K) that of those which end with the prefix's last character.
    """

    prefixes: Tensor
    lengths: Tensor
    blank: Tensor
    character: Tensor


@torch.no_grad()
def prefix_beam_search(log_probs: Tensor, width: int, longest: int) -> tuple[Tensor, Tensor]:
    """Keep the ``width`` likeliest prefixes after each column; alignments that read alike count as one prefix.

    Args:
        log_probs: (R, N, V).
        width: K.
        longest: prefixes do not grow beyond so many characters.

    Returns:
        (R, K, L) classes, best first, and (R, K) lengths: -1 where fewer than K texts exist.
    """
    words, columns, classes = log_probs.shape
    device, longest = log_probs.device, min(longest, columns)
    impossible = log_probs.new_full((words, width), -torch.inf)
    beam = _Beam(
        torch.full((words, width, longest), NOTHING, dtype=torch.long, device=device),
        torch.zeros(words, width, dtype=torch.long, device=device),
        impossible.clone(),
        impossible.clone(),
    )
    beam.blank[:, 0].zero_()
    # Of the characters that may follow a prefix, the likeliest 2 K + 1 are enough: K of them may read as another kept
    # prefix, and one, the repeated character, is less likely than its column says.
    branching = min(2 * width + 1, classes - 1)
    for column in log_probs.unbind(dim=1) if longest else ():
        beam = _advance(beam, column, branching)
    exists = torch.logaddexp(beam.blank, beam.character) > -torch.inf
    return beam.prefixes, beam.lengths.masked_fill(~exists, -1)


def _advance(beam: _Beam, column: Tensor, branching: int) -> _Beam:
    """The beam after one more column, (R, V) log-probabilities."""
    _, width, longest = beam.prefixes.shape
    total = torch.logaddexp(beam.blank, beam.character)
    place = (beam.lengths - 1).clamp(min=0)[..., None]
    last = beam.prefixes.gather(2, place)[..., 0]  # (R, K), NOTHING for the empty prefix
    at_last = column.gather(1, last.clamp(min=0)).masked_fill(last < 0, -torch.inf)
    stay_blank = total + column[:, BLANK, None]
    stay_character = beam.character + at_last

    # Prefix i with the last character of prefix j is prefix j: its probability goes there.
    parent = _is_parent(beam, last)  # (R, i, j)
    grown = torch.where(last[:, :, None] == last[:, None], beam.blank[:, :, None], total[:, :, None])
    grown = (grown + at_last[:, None]).masked_fill(~parent, -torch.inf)
    stay_character = torch.logaddexp(stay_character, grown.logsumexp(dim=1))

    follow, classes = column[:, BLANK + 1 :].topk(branching, dim=1)  # (R, C)
    classes = (classes + BLANK + 1)[:, None].expand(-1, width, -1)  # (R, K, C)
    repeats = classes == last[..., None]
    new = torch.where(repeats, beam.blank[..., None], total[..., None]) + follow[:, None]
    known = (parent[..., None] & (classes[:, :, None] == last[:, None, :, None])).any(dim=2)
    new = new.masked_fill(known | (beam.lengths == longest)[..., None], -torch.inf)

    candidates = torch.cat([torch.logaddexp(stay_blank, stay_character), new.flatten(1)], dim=1)
    scores, best = candidates.topk(width, dim=1)
    is_new = best >= width
    source = torch.where(is_new, (best - width).div(branching, rounding_mode="floor"), best)
    added = classes.flatten(1).gather(1, (best - width).clamp(min=0))
    prefixes = beam.prefixes.gather(1, source[..., None].expand_as(beam.prefixes))
    lengths = beam.lengths.gather(1, source)
    here = torch.arange(longest, device=column.device) == lengths[..., None]
    prefixes = torch.where(here & is_new[..., None], added[..., None], prefixes)
    # What does not exist becomes an empty prefix, which no other can grow into.
    exists = scores > -torch.inf
    return _Beam(
        prefixes.masked_fill(~exists[..., None], NOTHING),
        (lengths + is_new).masked_fill(~exists, 0),
        stay_blank.gather(1, source).masked_fill(is_new, -torch.inf),
        torch.where(is_new, scores, stay_character.gather(1, source)),
    )


def _is_parent(beam: _Beam, last: Tensor) -> Tensor:
    """(R, K, K) bool: whether prefix i and one character more are prefix j; False for prefixes that do not exist."""
    one_longer = beam.lengths[:, :, None] + 1 == beam.lengths[:, None]
    place = torch.arange(beam.prefixes.shape[2], device=last.device)
    shortened = beam.prefixes.masked_fill(place == (beam.lengths - 1)[..., None], NOTHING)
    same = (beam.prefixes[:, :, None] == shortened[:, None]).all(dim=3)
    return one_longer & same
