"""The modules of projects/DLD/report, which is no package, on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "projects" / "DLD" / "report"))
