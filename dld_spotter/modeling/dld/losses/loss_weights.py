"""How much each loss of DLD, and of its rivals, counts."""

from typing import NamedTuple

from detectron2.config import CfgNode


class DistillationWeights(NamedTuple):
    """Weights of the losses; those of the paper by its names. A method without a part of them has it at 0.

    ``lambda_skd`` multiplies all distillation losses, the rivals' too.
    """

    gamma: float = 0.1
    eta_roi: float = 1.0
    eta_context: float = 1.0
    eta_sequence: float = 1.0
    eta_logits: float = 0.0
    eta_hint: float = 0.0
    eta_attention: float = 0.0
    eta_affinity: float = 0.0
    eta_pyramid: float = 0.0
    eta_detection: float = 0.0
    lambda_selector: float = 1.0
    lambda_skd: float = 1.0

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "DistillationWeights":
        dld = cfg.MODEL.DLD
        etas = {name: getattr(dld, name.upper()) for name in cls._fields if name.startswith("eta_")}
        return cls(gamma=dld.GAMMA, lambda_selector=dld.LAMBDA_DRS, lambda_skd=dld.LAMBDA_SKD, **etas)

    @property
    def distils_recognition(self) -> bool:
        """Whether a loss compares how words are recognised."""
        compared = self._replace(gamma=0, lambda_selector=0, lambda_skd=0, eta_pyramid=0, eta_detection=0)
        return self.lambda_skd > 0 and any(weight > 0 for weight in compared)

    @property
    def distils_attention(self) -> bool:
        """Whether a loss compares where words are looked at."""
        return self.lambda_skd > 0 and self.eta_attention > 0

    @property
    def distils_pyramid(self) -> bool:
        """Whether a loss compares the detectors' feature maps."""
        return self.lambda_skd > 0 and self.eta_pyramid > 0

    @property
    def distils_detection(self) -> bool:
        """Whether a loss compares the detectors' outputs."""
        return self.lambda_skd > 0 and self.eta_detection > 0
