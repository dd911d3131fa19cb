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
        """MODEL.DLD.SCALES and COSTS; a scale whose cost was not measured, or that is the only one, costs its square.

        Raises:
            ValueError: COSTS of another number than SCALES.
        """
        scales = tuple(cfg.MODEL.DLD.SCALES)
        costs = tuple(cfg.MODEL.DLD.COSTS) if len(scales) > 1 else ()
        costs = costs or tuple(scale**2 for scale in scales)
        if len(costs) != len(scales):
            raise ValueError(
                f"MODEL.DLD.COSTS has {len(costs)} values for {len(scales)} MODEL.DLD.SCALES: give one cost a scale "
                "(tools/analyze_cost.py measures them), or none for the square of each."
            )
        return cls(scales, costs)
