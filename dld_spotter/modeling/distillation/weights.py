"""How much each loss of DLD counts."""

from typing import NamedTuple


class DistillationWeights(NamedTuple):
    """Weights of the losses, by the paper's names; a method without a part of them has it at 0."""

    gamma: float = 0.1
    eta_roi: float = 1.0
    eta_context: float = 1.0
    eta_sequence: float = 1.0
    lambda_selector: float = 1.0
    lambda_skd: float = 1.0
