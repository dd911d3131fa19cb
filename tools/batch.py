#!/usr/bin/env python
"""Read millions of photos with Ray Data, on one machine or a cluster; a job that is killed goes on.

    python tools/batch.py photos/ --output words/
    python tools/batch.py s3://bucket/photos/ list.txt table.parquet --output words/ --address auto

Needs the extra [batch], and one of [openvino], [onnx] and [torch].
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dld_spotter.cli import batch
from dld_spotter.command_line import run_tool, says_mistakes


@says_mistakes
def main(argv: Sequence[str] | None = None) -> int:
    """Read; see ``dld_spotter.cli.batch.main`` for what is returned."""
    return batch.main(argv, __doc__)


if __name__ == "__main__":
    sys.exit(run_tool(main))
