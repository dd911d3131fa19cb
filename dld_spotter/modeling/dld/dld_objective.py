"""How a DLDSpotter trains: weights and schedules of its losses, and what they need."""

from dataclasses import dataclass

from detectron2.config import CfgNode
from detectron2.utils.events import get_event_storage
from torch import nn

from dld_spotter.modeling.dld.losses.loss_weights import DistillationWeights
from dld_spotter.modeling.dld.losses.recognition_distiller import RecognitionDistiller
from dld_spotter.modeling.spotter import Spotter


@dataclass(frozen=True)
class DLDObjective:
    """The objective of a training step.

    Attributes:
        weights: of the losses.
        distiller: the losses between the student's and the teacher's recognition.
        accuracy_target: "kl" (the teacher's distribution) or "ce" (the true characters), for L_acc.
        temperature: of the Gumbel-softmax, until a hook sets another.
        pyramid_warmup: iterations over which the weight of the pyramid's distillation grows from 0.
        pad_multiple: sides of a batch are multiples of so many pixels, as the student pads them.
    """

    weights: DistillationWeights
    distiller: RecognitionDistiller
    accuracy_target: str = "kl"
    temperature: float = 5.0
    pyramid_warmup: int = 500
    pad_multiple: int = 32

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "DLDObjective":
        dld = cfg.MODEL.DLD
        weights = DistillationWeights.from_config(cfg)
        return cls(
            weights=weights,
            distiller=RecognitionDistiller(weights, dld.NUM_SEQUENCES),
            accuracy_target=dld.ACCURACY_TARGET,
            temperature=dld.TEMPERATURE,
            pyramid_warmup=cfg.SOLVER.WARMUP_ITERS,
            pad_multiple=cfg.MODEL.PAD_MULTIPLE or 32,
        )

    def check(
        self, student: Spotter, teacher: Spotter | None, selector: nn.Module | None, gamma_shift: float = 0.0
    ) -> None:
        """Raise ValueError, with what to do, if the losses cannot be had."""
        if selector is not None and student.full_resolution_option:
            raise ValueError(
                f"with {student.full_resolution_option} recognition does not depend on the scale, and the selector has "
                "nothing to learn: set MODEL.DLD.SELECTION to 'fixed' to keep the selector of MODEL.WEIGHTS, or to "
                "'random', and fit one afterwards (tools/fit_selector.py --by spotting)."
            )
        if gamma_shift != 0:
            raise ValueError(
                "MODEL.DLD.GAMMA_SHIFT is for inference with a fitted selector: set it to 0 in training, and "
                "MODEL.DLD.GAMMA to what you want."
            )
        compared = selector is not None and self.accuracy_target == "kl"
        if teacher is None and (compared or self.weights.lambda_skd > 0):
            raise ValueError(
                "MODEL.DLD.TEACHER is False, but the losses compare the student with a teacher: set it to True, or "
                "MODEL.DLD.LAMBDA_SKD to 0 and MODEL.DLD.ACCURACY_TARGET to 'ce'."
            )

    def pyramid_weight(self) -> float:
        """Of the pyramid's distillation at the current iteration."""
        done = get_event_storage().iter / self.pyramid_warmup if self.pyramid_warmup else 1.0
        return self.weights.lambda_skd * self.weights.eta_pyramid * min(1.0, done)
