"""Fonts, words and grounds for synthetic scenes."""

import numpy as np
import pytest
from synthetic_checks import write_font

from dld_spotter.data.synthetic.fonts import check_face
from dld_spotter.data.synthetic.textures import texture_bank


@pytest.fixture(scope="session")
def face(tmp_path_factory):
    return check_face(write_font(tmp_path_factory.mktemp("font")))


@pytest.fixture(scope="session")
def words():
    """A dictionary of 676 made-up words."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [first + "on" + second + "ar"[: len(second + first) % 3] for first in letters for second in letters]


@pytest.fixture(scope="session")
def bank():
    return texture_bank(np.random.default_rng(0), 8, (200, 280))
