"""What decides, at inference, on the scale of a DLDSpotter and on the words that it returns."""

from dataclasses import dataclass, field

from detectron2.config import CfgNode

from dld_spotter.modeling.score_threshold import WordScoring


@dataclass(frozen=True)
class DLDInference:
    """How a DLDSpotter infers.

    Attributes:
        fixed_scale: infer at this scale, whatever the selector says; 0 lets it decide.
        gamma_shift: added to the gamma that the selector was fitted for (see ``selector.regression``).
        scale_limit: the selector chooses among the scales up to this one; 0 for all.
        scoring: which words are returned.
        gamma: that the selector was fitted for.
    """

    fixed_scale: float = 0.0
    gamma_shift: float = 0.0
    scale_limit: float = 0.0
    scoring: WordScoring = field(default_factory=WordScoring)
    gamma: float = 0.0

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "DLDInference":
        dld = cfg.MODEL.DLD
        return cls(dld.FIXED_SCALE, dld.GAMMA_SHIFT, dld.SCALE_LIMIT, WordScoring.from_config(cfg), dld.GAMMA)
