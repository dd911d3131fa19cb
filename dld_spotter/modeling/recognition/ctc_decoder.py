"""Connectionist temporal classification: characters from columns, all at once (Graves et al., ICML 2006).

Each column of a word is classified as a character or as the blank. A sequence of columns reads as the text that is left
when repeated classes are merged and blanks are dropped; the probability of a text is the sum over all its alignments.

Shapes: R words, N columns, D channels of the context, V = 1 + number of characters, T characters and end token, K
sequences a word.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dld_spotter.data.charset import END, NUM_SPECIAL, PAD
from dld_spotter.modeling.recognition.ctc_beam_search import BLANK, prefix_beam_search

# Class c of a column is the token c + TOKEN_OFFSET; the blank, class 0, is no token.
TOKEN_OFFSET = NUM_SPECIAL - 1


class CTCDecoder(nn.Module):
    """One linear layer over the columns of the context.

    Args:
        num_characters: V - 1.
        context_size: D.
    """

    def __init__(self, num_characters: int, context_size: int):
        super().__init__()
        self.context_size = context_size
        self.classify = nn.Linear(context_size, num_characters + 1)

    def forward(self, context: Tensor, target: Tensor | None = None) -> Tensor:
        """(R, N, D) to (R, N, V) logits; nothing of ``target`` is fed in."""
        return self.classify(context)

    def valid_steps(self, logits: Tensor, target: Tensor) -> Tensor:
        """(R, N) bool: every column counts."""
        return torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)

    def log_likelihood(self, log_probs: Tensor, target: Tensor) -> Tensor:
        """log p(target | columns), summed over all alignments.

        Args:
            log_probs: (R, N, V) of the columns.
            target: (R, T) token ids: characters, end, padding.

        Returns:
            (R,); minus infinity for a text that does not fit into the columns.
        """
        words, columns = log_probs.shape[:2]
        if words == 0:
            return log_probs.sum(dim=(1, 2))
        is_character = target >= NUM_SPECIAL
        lengths = is_character.sum(dim=1)
        # A blank stands between two equal characters. What does not fit is taken for the empty text, whose loss is
        # finite: that of an impossible text has gradients that are no numbers.
        repeats = ((target[:, 1:] == target[:, :-1]) & is_character[:, 1:]).sum(dim=1)
        fits = lengths + repeats <= columns
        classes = (target - TOKEN_OFFSET).clamp(min=1)  # what stands behind the end is not looked at
        loss = F.ctc_loss(
            log_probs.float().transpose(0, 1),
            classes,
            torch.full_like(lengths, columns),
            torch.where(fits, lengths, 0),
            blank=BLANK,
            reduction="none",
        )
        return (-loss).masked_fill(~fits, -torch.inf)

    @torch.no_grad()
    def best_tokens(self, logits: Tensor, valid: Tensor) -> Tensor:
        """(R, N + 1) token ids of the likeliest class of each column: characters, end, padding."""
        return _collapse(logits.argmax(dim=2))[0]

    @torch.no_grad()
    def greedy(self, context: Tensor, max_steps: int) -> tuple[Tensor, Tensor]:
        """The likeliest class of each column.

        Args:
            context: (R, N, D).
            max_steps: no text has more tokens than this, its end among them.

        Returns:
            (R, T) token ids, and (R,) geometric means of the characters' probabilities, each taken where its class is
            the likeliest for the first time; 0 for a word without characters.
        """
        log_probs, classes = self.classify(context).float().log_softmax(dim=2).max(dim=2)
        tokens, starts = _collapse(classes)
        count = starts.sum(dim=1)
        mean = torch.where(starts, log_probs, 0.0).sum(dim=1) / count.clamp(min=1)
        tokens = tokens[:, :max_steps]
        return tokens, torch.where(count > 0, mean.exp(), 0.0)

    @torch.no_grad()
    def likeliest(self, context: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """(R, N, K) probabilities and classes of the likeliest ones of each column, best first; K <= ``count``."""
        probabilities = self.classify(context).float().softmax(dim=2)
        values, classes = probabilities.topk(min(count, probabilities.shape[2]), dim=2)
        return values, classes

    @torch.no_grad()
    def beam_search(self, context: Tensor, width: int, max_steps: int) -> tuple[Tensor, Tensor]:
        """The likeliest texts, by prefix beam search.

        Returns:
            (R, K, T) token ids and (R, K) their log-probabilities, each summed over all alignments, best first.
        """
        log_probs = self.classify(context).float().log_softmax(dim=2)
        prefixes, lengths = prefix_beam_search(log_probs, width, max_steps - 1)
        words, beams, longest = prefixes.shape
        place = torch.arange(longest + 1, device=context.device)
        tokens = F.pad(prefixes + TOKEN_OFFSET, (0, 1))
        tokens = torch.where(place < lengths[..., None], tokens, PAD)
        tokens = torch.where(place == lengths[..., None], END, tokens)
        exists = lengths >= 0
        repeated = log_probs.repeat_interleave(beams, dim=0)
        scores = self.log_likelihood(repeated, tokens.flatten(0, 1)).view(words, beams)
        scores = scores.masked_fill(~exists, -torch.inf)
        scores, order = scores.sort(dim=1, descending=True)
        tokens = tokens.gather(1, order[..., None].expand_as(tokens))
        return tokens.masked_fill((scores == -torch.inf)[..., None], PAD), scores


def _collapse(classes: Tensor) -> tuple[Tensor, Tensor]:
    """Merge repeated classes and drop blanks.

    Args:
        classes: (R, N).

    Returns:
        (R, N + 1) token ids: characters, end, padding; and (R, N) bool, the columns in which a character begins.
    """
    starts = (classes != F.pad(classes[:, :-1], (1, 0), value=BLANK)) & (classes != BLANK)
    # Characters first, in their order: a stable sort by "is none".
    order = (~starts).long().argsort(dim=1, stable=True)
    count = starts.sum(dim=1, keepdim=True)
    place = torch.arange(classes.shape[1] + 1, device=classes.device)
    tokens = F.pad(classes.gather(1, order) + TOKEN_OFFSET, (0, 1))
    tokens = torch.where(place < count, tokens, PAD)
    return torch.where(place == count, END, tokens), starts
