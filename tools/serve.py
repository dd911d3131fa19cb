#!/usr/bin/env python
"""Read photos as a service, with a page for the browser.

    python tools/serve.py --model photos-dld --port 8000

Then open http://127.0.0.1:8000/, or post a photo to http://127.0.0.1:8000/v1/read. Needs the extra [serve].
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys

from dld_spotter.pretrained import DEFAULT_MODEL
from dld_spotter.reader_choice import RUNTIMES
from dld_spotter.serve.limits import Limits


def build_parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    limits = Limits()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder (default: %(default)s)")
    parser.add_argument("--runtime", choices=RUNTIMES, default="auto", help="what computes (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="that compute; 0 for all of the machine's")
    add = parser.add_argument
    add("--max-bytes", type=int, default=limits.max_bytes, metavar="N", help="of a photo's file (default: %(default)s)")
    add("--max-pixels", type=int, default=limits.max_pixels, metavar="N", help="of a photo (default: %(default)s)")
    add("--timeout", type=float, default=limits.timeout, metavar="S", help="seconds for a photo (default: %(default)s)")
    add("--queue", type=int, default=limits.queue, metavar="N", help="photos in the house (default: %(default)s)")
    batch = "photos that are given to the model together, at most (default: 8 with torch, else 1)"
    add("--batch-size", type=int, metavar="N", help=batch)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal comes; returns 0, or 1 after a one-line error."""
    args = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    # What is being read when SIGTERM comes is finished; uvicorn raises the signal again after that.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        from dld_spotter.serve.server import run

        return run(args)
    except KeyboardInterrupt:
        return 0
    except (ImportError, KeyError, OSError, ValueError) as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
