"""What Detectron2 makes torch warn of does not reach a user's terminal; other warnings do."""

import os
import subprocess
import sys

import toy

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


def test_warnings_of_detectron2_are_silenced_and_no_others():
    env = os.environ | {"PYTHONPATH": str(toy.ROOT), "CUDA_HOME": "/usr/local", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 2 and "ours" in lines[0] and "another" in lines[1], done.stderr
