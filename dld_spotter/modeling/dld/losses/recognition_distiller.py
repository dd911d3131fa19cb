"""All losses between a teacher's and a student's recognition of the same words, as the weights ask for them."""

from dataclasses import dataclass
from functools import partial

from torch import Tensor
from torch.nn import functional as F

from dld_spotter.modeling.dld.losses.loss_weights import DistillationWeights
from dld_spotter.modeling.dld.losses.skd_feature_loss import feature_loss
from dld_spotter.modeling.dld.losses.skd_sequence_loss import sequence_loss
from dld_spotter.modeling.dld.losses.step_losses import affinity_loss, attention_loss, hint_loss, logit_loss
from dld_spotter.modeling.dld.training_batch import global_counts
from dld_spotter.modeling.spotter import RecognitionOutput, Spotter
from dld_spotter.modeling.spotter_parts import AttentionTrace, AttentionTraceSpotter, require


@dataclass(frozen=True)
class RecognitionDistiller:
    """L_SKD and its rivals.

    Args:
        weights: of the losses; what has none is not computed.
        num_sequences: K, teacher sequences a word in L_seq.
        beam_width: width of the beam search that finds them; at least K is taken.
        logit_temperature: tau of the distillation of logits.
    """

    weights: DistillationWeights
    num_sequences: int = 1
    beam_width: int = 5
    logit_temperature: float = 2.0

    def __call__(
        self,
        student: Spotter,
        teacher: Spotter,
        student_output: RecognitionOutput,
        teacher_output: RecognitionOutput,
        num_words: Tensor,
    ) -> dict[str, Tensor]:
        """Weighted losses of the student's output.

        Args:
            student: that learns.
            teacher: that it learns from.
            student_output: the same words in the same order, their own characters fed in.
            teacher_output: likewise.
            num_words: what sums over the words are divided by (see ``training_batch.global_counts``).

        Raises:
            ValueError: the features differ in channels, or the spotter lacks what a loss compares.
        """
        weights, losses = self.weights, {}
        if weights.eta_roi > 0:
            pair = alike(student_output.roi, teacher_output.roi, "word features")
            losses["loss_skd_roi"] = weights.eta_roi * feature_loss(*pair, num_words)
        if weights.eta_context > 0:
            pair = alike(student_output.context, teacher_output.context, "contextual features")
            losses["loss_skd_context"] = weights.eta_context * feature_loss(*pair, num_words)
        if weights.eta_sequence > 0:
            found = teacher.beam_search(teacher_output, max(self.beam_width, self.num_sequences))
            sequences, scores = (part[:, : self.num_sequences] for part in found)
            log_probs = partial(sequence_log_probs, student)
            loss = sequence_loss(log_probs, student_output.context, sequences, scores, num_words)
            losses["loss_skd_sequence"] = weights.eta_sequence * loss
        if weights.eta_logits > 0:
            logits, valid = (student_output.logits, teacher_output.logits), teacher_output.valid
            loss = logit_loss(*logits, valid, global_counts(valid)[0], self.logit_temperature)
            losses["loss_kd_logits"] = weights.eta_logits * loss
        if weights.eta_hint > 0 or weights.eta_attention > 0 or weights.eta_affinity > 0:
            traces = _trace(student, student_output), _trace(teacher, teacher_output)
            losses |= self._trace_losses(*traces, teacher_output.valid, num_words)
        return {name: weights.lambda_skd * loss for name, loss in losses.items()}

    def _trace_losses(
        self, student: AttentionTrace, teacher: AttentionTrace, valid: Tensor, num_words: Tensor
    ) -> dict[str, Tensor]:
        weights, losses = self.weights, {}
        num_steps = global_counts(valid)[0]
        if weights.eta_hint > 0:
            losses["loss_kd_hint"] = weights.eta_hint * hint_loss(student.features, teacher.features, valid, num_steps)
        if weights.eta_attention > 0:
            if student.attention is None or teacher.attention is None:
                raise ValueError("the spotter does not tell where it looks: set MODEL.DLD.ETA_ATTENTION to 0.")
            loss = attention_loss(student.attention, teacher.attention, valid, num_steps)
            losses["loss_kd_attention"] = weights.eta_attention * loss
        if weights.eta_affinity > 0:
            loss = affinity_loss(student.features, teacher.features, valid, num_words)
            losses["loss_kd_affinity"] = weights.eta_affinity * loss
        return losses


def _trace(spotter: Spotter, output: RecognitionOutput) -> AttentionTrace:
    why = "set MODEL.DLD.ETA_HINT, ETA_ATTENTION and ETA_AFFINITY to 0"
    return require(spotter, AttentionTraceSpotter, why).attention_trace(output)  # type: ignore[type-abstract]


def sequence_log_probs(spotter: Spotter, context: Tensor, sequences: Tensor) -> Tensor:
    """(R,) log-probabilities that a spotter gives to token sequences (R, T) over contextual features (R, N, D)."""
    log_probs = spotter.decode(context, sequences).float().log_softmax(dim=-1)
    return spotter.log_likelihood(log_probs, sequences)


def alike(student: Tensor, teacher: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Features of the same size: a student's smaller or larger map of a word is resized to its teacher's, bilinearly.

    Args:
        student: (R, C, rows, columns), or (R, positions, C) along the word.
        teacher: likewise.
        name: of the features, for messages.

    Raises:
        ValueError: they differ in channels.
    """
    along = student.dim() == 3
    own, given = (t.transpose(1, 2)[:, :, None] if along else t for t in (student, teacher))
    if own.shape[1] != given.shape[1]:
        raise ValueError(
            f"the student's {name} have {own.shape[1]} channels, the teacher's {given.shape[1]}: give both the same "
            "ROI_TEXT_HEAD.CONV_DIM and HIDDEN_SIZE (MODEL.DLD.STUDENT_OPTS)."
        )
    if own.shape[2:] != given.shape[2:] and len(own) > 0:
        own = F.interpolate(own.float(), size=given.shape[2:], mode="bilinear", align_corners=False)
        student = own[:, :, 0].transpose(1, 2) if along else own
    return student, teacher
