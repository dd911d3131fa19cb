"""The command's work: a model, a socket, and uvicorn until a signal comes."""

from __future__ import annotations

import argparse
import math
import socket

from dld_spotter.serve.limits import Limits

_BACKLOG = 2048  # connections that wait to be taken
_BATCH_OF_TORCH = 8
_TO_SAY_GOODBYE = 2  # seconds beyond the time limit of a photo


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes.

    Args:
        args: of ``tools/serve.py``.

    Raises:
        ImportError: the extra [serve], or what the model computes with, is not installed.
        OSError: the address is taken, or not one of this machine.
        KeyError, ValueError: an option does not fit.
    """
    limits = Limits(args.max_bytes, args.max_pixels, args.timeout, args.queue, args.batch_size or 1)
    try:
        import uvicorn

        from dld_spotter.serve.app import Service, create_app
        from dld_spotter.serve.connections import ImpatientProtocol
    except ImportError as error:
        raise ImportError(f"the service needs more packages ({error}): `pip install 'dld_spotter[serve]'`.") from error
    from dld_spotter.serve.served_model import ServedModel

    listening = listen(args.host, args.port)
    model = ServedModel.load(args.model, args.runtime, args.threads)
    if args.batch_size is None and model.runtime == "torch":  # graphs read one photo after the other
        limits = Limits(args.max_bytes, args.max_pixels, args.timeout, args.queue, _BATCH_OF_TORCH)
    config = uvicorn.Config(
        create_app(Service(model, limits)),
        http=ImpatientProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=math.ceil(limits.timeout) + _TO_SAY_GOODBYE,
    )
    host, port = listening.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    print(f"{model.name} ({model.runtime}) reads at http://{address}:{port}/ - Ctrl-C stops it.", flush=True)
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address.

    Raises:
        OSError: it is taken, or not one of this machine; the message names it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise OSError(f"{host}:{port} cannot be listened at ({error}); give another --host or --port.") from error
