"""The features of Sequential Knowledge Distillation, L_SKD = L_roi + eta_1 L_con + eta_2 L_seq (DLD method, section 4).

Shapes: R words over the whole batch, C channels, N positions of the context, D its channels.
"""

from torch import Tensor
from torch.nn import functional as F


def feature_loss(student: Tensor, teacher: Tensor, count: Tensor | None = None) -> Tensor:
    """L_roi and L_con: squared distance, averaged over channels, positions and words.

    Args:
        student: (R, C, rows, columns) or (R, N, D); the teacher's has no gradient.
        teacher: likewise.
        count: divide by this instead of R (see ``training_batch.global_counts``).
    """
    if len(student) == 0:
        return student.sum() * 0.0
    share = 1.0 if count is None else len(student) / count
    return F.mse_loss(student.float(), teacher.detach().float()) * share
