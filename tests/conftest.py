"""What every test shares: the helpers of tests/toy.py on the path, fixed seeds, few threads, the real photos."""

import logging
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
    torch.set_flush_denormal(False)  # a trainer turns it on for its process; some toy gradients are that small


@pytest.fixture(autouse=True)
def loggers_as_they_were():
    """Detectron2's setup_logger adds handlers for the streams of the moment, which end with the test."""
    loggers = [logging.getLogger(name) for name in ("detectron2", "dld_spotter", "fvcore")]
    before = [(logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    yield
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def real_data() -> Path:
    """The folder of real photos, or the test is skipped."""
    return toy.real_data()
