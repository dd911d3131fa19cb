"""Characters from contextual features, one after the other, with additive attention (Bahdanau et al., ICLR 2015).

Shapes: R words, K sequences a word that go on side by side (1 but in beam search), N positions of the context, D its
channels, H hidden units, T steps, V characters and special tokens.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dld_spotter.data.charset import END, PAD, START
from dld_spotter.modeling.recognition.likelihood import step_log_likelihood


class DecoderState(NamedTuple):
    """Hidden state and cell of the decoder's LSTM, (R, K, H) each."""

    hidden: Tensor
    cell: Tensor


class DecoderMemory(NamedTuple):
    """What each step looks at: the context (R, N, D) and its projection (R, N, H), which is made once a word."""

    context: Tensor
    keys: Tensor


class AttentionDecoder(nn.Module):
    """An LSTM cell whose input is a glimpse of the context and the previous token.

    Energies: e_j = v . tanh(W_i x_j + W_h h + b); glimpse: sum_j softmax(e)_j x_j. The cell's input is the glimpse
    joined with the previous token's one-hot vector; since a matrix times a one-hot vector is a column of the
    matrix, that half of the cell is an embedding here.

    Args:
        num_tokens: V.
        context_size: D.
        hidden_size: H.
    """

    def __init__(self, num_tokens: int, context_size: int, hidden_size: int):
        super().__init__()
        self.num_tokens = num_tokens
        self.context_size = context_size
        self.hidden_size = hidden_size
        self.key = nn.Linear(context_size, hidden_size)
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.energy = nn.Linear(hidden_size, 1, bias=False)
        self.token_gates = nn.Embedding(num_tokens, 4 * hidden_size)
        self.gates = nn.Linear(context_size + hidden_size, 4 * hidden_size)
        self.classify = nn.Linear(hidden_size, num_tokens)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        kaiming_matrices(self)
        nn.init.zeros_(self.gates.bias)
        # An open forget gate keeps the early gradient alive.
        nn.init.ones_(self.gates.bias[self.hidden_size : 2 * self.hidden_size])

    def remember(self, context: Tensor) -> DecoderMemory:
        """Project (R, N, D) context once for all steps."""
        return DecoderMemory(context, self.key(context))

    def start(self, context: Tensor, sequences: int = 1) -> DecoderState:
        """The all-zero state of R words with K sequences each."""
        zeros = context.new_zeros(len(context), sequences, self.hidden_size)
        return DecoderState(zeros, zeros)

    def step(self, token_gates: Tensor, state: DecoderState, memory: DecoderMemory) -> DecoderState:
        """One step of the recurrence.

        ``token_gates`` are (R, K, 4 H): those of the previous tokens.
        """
        return self._advance(token_gates, state, self._look(state, memory)[1])

    def _look(self, state: DecoderState, memory: DecoderMemory) -> tuple[Tensor, Tensor]:
        """(R, K, N) attention and (R, K, D) glimpse."""
        energy = self.energy((memory.keys[:, None] + self.query(state.hidden)[:, :, None]).tanh_())[..., 0]
        attention = energy.softmax(dim=2)
        return attention, torch.bmm(attention, memory.context)

    def _advance(self, token_gates: Tensor, state: DecoderState, glimpse: Tensor) -> DecoderState:
        gates = token_gates + self.gates(torch.cat([glimpse, state.hidden], dim=2))
        enter, forget, candidate, leave = gates.chunk(4, dim=2)
        cell = forget.sigmoid() * state.cell + enter.sigmoid() * candidate.tanh()
        return DecoderState(leave.sigmoid() * cell.tanh(), cell)

    def forward(self, context: Tensor, target: Tensor) -> Tensor:
        """Logits with the target fed in ("teacher forcing").

        Args:
            context: (R, N, D).
            target: (R, T) token ids: characters, end, padding.

        Returns:
            (R, T, V); step t has seen the target's first t tokens.
        """
        previous = F.pad(target[:, :-1], (1, 0), value=START)
        token_gates = self.token_gates(previous).split(1, dim=1)
        memory, state = self.remember(context), self.start(context)
        hidden = []
        for gates in token_gates:
            state = self.step(gates, state, memory)
            hidden.append(state.hidden)
        return self.classify(torch.cat(hidden, dim=1))

    def valid_steps(self, logits: Tensor, target: Tensor) -> Tensor:
        """(R, T) bool: the steps up to the end token count."""
        return target != PAD

    def log_likelihood(self, log_probs: Tensor, target: Tensor) -> Tensor:
        """(R,) log-probabilities of the target, of ``log_probs`` (R, T, V) with the target fed in."""
        return step_log_likelihood(log_probs, target)

    def best_tokens(self, logits: Tensor, valid: Tensor) -> Tensor:
        """(R, T) likeliest tokens, padding where no step counts."""
        return logits.argmax(dim=-1).masked_fill(~valid, PAD)

    def attend(self, context: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """What each step of ``forward`` attends to: attention (R, T, N), and the glimpses that it makes, (R, T, D)."""
        previous = F.pad(target[:, :-1], (1, 0), value=START)
        memory, state = self.remember(context), self.start(context)
        looks = []
        for gates in self.token_gates(previous).split(1, dim=1):
            looks.append(self._look(state, memory))
            state = self._advance(gates, state, looks[-1][1])
        attention, glimpses = zip(*looks, strict=True)
        return torch.cat(attention, dim=1), torch.cat(glimpses, dim=1)

    @torch.no_grad()
    def greedy(self, context: Tensor, max_steps: int) -> tuple[Tensor, Tensor]:
        """The likeliest token at each step; stops when every word has ended.

        Args:
            context: (R, N, D).
            max_steps: the longest word and its end token.

        Returns:
            (R, T) token ids, padding after the end, and (R,) geometric means of their probabilities.
        """
        words = len(context)
        token = torch.full((words,), START, dtype=torch.long, device=context.device)
        ended = torch.zeros(words, dtype=torch.bool, device=context.device)
        memory, state = self.remember(context), self.start(context)
        steps: list[Tensor] = []
        log_probs: list[Tensor] = []
        for _ in range(max_steps if words else 0):
            state = self.step(self.token_gates(token[:, None]), state, memory)
            log_prob, token = token_log_probs(self.classify(state.hidden[:, 0])).max(dim=1)
            token = token.masked_fill(ended, PAD)
            steps.append(token)
            log_probs.append(log_prob.masked_fill(ended, 0))
            ended = ended | (token == END)
            if ended.all():
                break
        if not steps:
            return token.new_zeros(words, 1), context.new_zeros(words)
        tokens = torch.stack(steps, dim=1)
        count = (tokens != PAD).sum(dim=1).clamp(min=1)
        return tokens, (torch.stack(log_probs, dim=1).sum(dim=1) / count).exp()

    def beam_search(self, context: Tensor, width: int, max_steps: int) -> tuple[Tensor, Tensor]:
        """(R, width, T) token ids and (R, width) log-probabilities, best first (see ``recognition.beam_search``)."""
        from dld_spotter.modeling.recognition.attention_beam_search import beam_search

        return beam_search(self, context, width, max_steps)


def token_log_probs(logits: Tensor) -> Tensor:
    """Log-probabilities of the tokens that can be emitted: padding is no token of a word."""
    logits = logits.float()
    blocked = logits.new_zeros(logits.shape[-1])
    blocked[PAD].fill_(-torch.inf)  # an assignment would copy the number to the device, and wait for it
    return (logits + blocked).log_softmax(dim=-1)


def kaiming_matrices(module: nn.Module) -> None:
    """Draw every matrix of a module from Kaiming's normal distribution, as the authors' recogniser does.

    With PyTorch's smaller defaults the contextual features of different words start nearly alike, and for hundreds of
    updates a recogniser predicts what it can without its input (see docs/research-log.md, "Initialisation").
    """
    for parameter in module.parameters():
        if parameter.dim() == 2:
            nn.init.kaiming_normal_(parameter)
