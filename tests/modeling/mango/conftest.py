"""The helpers of the other models' tests on the path."""

import sys
from pathlib import Path

MODELING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(MODELING), str(MODELING / "text_perceptron")]
