"""The candidate scales of a student, and what each of them costs (T_i of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass

from detectron2.config import CfgNode


@dataclass(frozen=True)
class CandidateScales:
    """k scales with their costs.

    Attributes:
        scales: factors on height and width of the teacher's resolution.
        costs: T_i, relative to the teacher's cost.
    """

    scales: Sequence[float]
    costs: Sequence[float]

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "CandidateScales":
        """MODEL.DLD.SCALES and COSTS; without costs each scale costs its square."""
        scales = tuple(cfg.MODEL.DLD.SCALES)
        return cls(scales, tuple(cfg.MODEL.DLD.COSTS) or tuple(scale**2 for scale in scales))
