"""L_roi and L_con against NumPy."""

import numpy as np
import pytest
import torch

from dld_spotter.modeling.dld.losses.recognition_distiller import alike
from dld_spotter.modeling.dld.losses.skd_feature_loss import feature_loss

R = 4


def test_feature_loss_is_the_mean_square():
    student, teacher = torch.randn(R, 2, 3, 4, requires_grad=True), torch.randn(R, 2, 3, 4, requires_grad=True)
    loss = feature_loss(student, teacher)
    difference = (student - teacher).detach().numpy().astype(np.float64)
    assert loss.item() == pytest.approx((difference**2).sum() / (R * 2 * 3 * 4), rel=1e-5)
    loss.backward()
    assert teacher.grad is None and student.grad is not None


@pytest.mark.parametrize("columns", [4, 6, 16])
def test_features_of_another_size_are_resized_between_their_centres(columns):
    """Against NumPy's interpolation: what lies at the same share of the word is compared."""
    student, teacher = torch.randn(3, columns, 5), torch.randn(3, 8, 5)
    centres = (np.arange(8) + 0.5) / 8
    own = (np.arange(columns) + 0.5) / columns
    expected = [[np.interp(centres, own, student[r, :, c]) for c in range(5)] for r in range(3)]
    resized, same = alike(student, teacher, "features")
    assert same is teacher
    np.testing.assert_allclose(resized.transpose(1, 2), expected, atol=1e-5)
    # The same along the rows and columns of a map.
    maps = alike(student.transpose(1, 2)[:, :, None].expand(-1, -1, 4, -1), torch.zeros(3, 5, 8, 8), "features")[0]
    np.testing.assert_allclose(maps, np.broadcast_to(np.array(expected)[:, :, None], (3, 5, 8, 8)), atol=1e-5)


def test_features_of_the_same_size_stay_as_they_are():
    student = torch.randn(2, 5, 4, 8)
    assert alike(student, torch.zeros(2, 5, 4, 8), "features")[0] is student
    with pytest.raises(ValueError, match="features have 5 channels, the teacher's 6"):
        alike(student, torch.zeros(2, 6, 4, 8), "features")
    assert len(alike(student[:0], torch.zeros(0, 5, 8, 32), "features")[0]) == 0


def test_no_words():
    nothing = torch.zeros(0, 7, 6, requires_grad=True)
    loss = feature_loss(nothing, nothing.detach())
    assert loss.item() == 0 and loss.requires_grad
