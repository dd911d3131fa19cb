"""What Detectron2 makes torch warn of does not reach a user's terminal; other warnings do."""

import os
import subprocess
import sys

import pytest
import toy

ENV = os.environ | {"PYTHONPATH": str(toy.ROOT), "CUDA_HOME": "/usr/local", "CUDA_VISIBLE_DEVICES": ""}
SCRIPT = """
import logging, warnings
from dld_spotter import load_cfg
import torch
from detectron2.engine import defaults
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.utils.tracing import is_fx_tracing

is_fx_tracing()
torch.meshgrid(torch.arange(2), torch.arange(2))
torch.meshgrid(torch.arange(2), torch.arange(2))
warnings.warn("ours")
logging.getLogger("torch.fx._symbolic_trace").warning("another")
"""


def errors(code):
    """What Python writes to standard error as it runs the code."""
    return subprocess.run([sys.executable, "-c", code], env=ENV, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("module", ["dld_spotter.config", "dld_spotter.engine.weights_file", "dld_spotter.modeling"])
def test_no_import_warns(module):
    assert not errors(f"import {module}")


def test_warnings_of_detectron2_are_silenced_and_no_others():
    lines = [line for line in errors(SCRIPT).splitlines() if line.strip()]
    assert len(lines) == 2 and "ours" in lines[0] and "another" in lines[1], lines
