"""What every test shares: the helpers of tests/toy.py on the path, fixed seeds, few threads, the real photos."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

import toy  # noqa: E402 (needs the line above)

# More threads cost more than they bring on the tiny networks here.
torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Every test starts from the same random state, whichever ran before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (Detectron2's augmentations draw from NumPy's global generator)
    torch.manual_seed(0)


@pytest.fixture
def real_data() -> Path:
    """The folder of real photos, or the test is skipped."""
    return toy.real_data()
