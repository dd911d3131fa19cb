"""A running service with a stand-in for the model, and requests to it, byte by byte."""

import contextlib
import io
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPResponse

import numpy as np
import uvicorn
from PIL import Image

from dld_spotter.network_size import NetworkSize
from dld_spotter.results import TextResult, Word
from dld_spotter.scale_costs import ScaleCosts
from dld_spotter.serve.app import Service, create_app
from dld_spotter.serve.connections import ImpatientProtocol
from dld_spotter.serve.limits import Limits
from dld_spotter.serve.served_model import ServedModel
from dld_spotter.serve.server import listen

CHOSEN = 0.5
COSTS = ScaleCosts((0.25, 0.5, 1.0), (0.2, 0.4, 1.0))
WORD = Word("exit", 0.9, 0.95, 0.9, [[1.0, 1.0], [9.0, 1.0], [9.0, 5.0], [1.0, 5.0]])


@dataclass
class FakeReader:
    """What the service asks of a reader."""

    costs: ScaleCosts | None = COSTS
    size: NetworkSize = field(default_factory=lambda: NetworkSize(720, 1584, 32))


@dataclass
class FakePredictor:
    """Finds one word in every photo but those that are all red, at which it fails.

    Attributes:
        seconds: that a batch takes.
        batches: (number of images, scale) of each call.
        reading: set while a batch is read.
    """

    seconds: float = 0.0
    reader: FakeReader = field(default_factory=FakeReader)
    runtime: str = "fake"
    batches: list = field(default_factory=list)
    reading: threading.Event = field(default_factory=threading.Event)

    def stream(self, images, batch_size, scale=None):
        self.batches.append((len(images), scale))
        self.reading.set()
        time.sleep(self.seconds)
        self.reading.clear()
        for image in images:
            height, width = image.shape[:2]
            if (image == (0, 0, 255)).all():
                yield TextResult("array_0", error="array_0: reading it failed (RuntimeError: red).")
            else:
                yield TextResult("array_0", height, width, scale or (CHOSEN if self.reader.costs else None), [WORD])


def photo(height=40, width=60, color=(90, 120, 30), format="PNG"):
    """The bytes of an image file of one RGB colour."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), color).save(file, format)
    return file.getvalue()


@dataclass(frozen=True)
class Answer:
    """Status, headers and content of an answer."""

    status: int
    headers: dict
    content: bytes

    @property
    def json(self):
        return json.loads(self.content)

    @property
    def sentence(self):
        """Of an answer without words."""
        return self.json["error"]


@dataclass(frozen=True)
class Running:
    """A service that runs in a thread.

    Attributes:
        port: of 127.0.0.1.
        service: behind it.
        predictor: its stand-in.
        stop: tells it to stop, as SIGTERM does.
    """

    port: int
    service: Service
    predictor: FakePredictor
    stop: object

    def connect(self, seconds=30.0):
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def send(self, *pieces, pause=0.0, seconds=30.0):
        """The answer to bytes; None if the connection ends without one."""
        with self.connect(seconds) as connection:
            with contextlib.suppress(ConnectionError):  # it may have answered and closed already
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause)
            return receive(connection)

    def ask(self, path, body=None, method=None, **headers):
        """The answer to a request."""
        return self.send(request(path, body, method, **headers))

    def read(self, body, query=""):
        """The answer to a posted photo."""
        return self.ask("/v1/read" + query, body)


def request(path, body=None, method=None, **headers):
    """The bytes of a request."""
    method = method or ("GET" if body is None else "POST")
    named = {"Host": "test", "Connection": "close"} | ({} if body is None else {"Content-Length": len(body)})
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")


def receive(connection):
    """The answer on a connection; None if it ends without one."""
    response = HTTPResponse(connection)
    try:
        response.begin()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    except (ConnectionError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        return None


def form(*parts, boundary="frontier", end=True):
    """The body of a form: (name, file name or None, content) of each part."""
    body = b""
    for name, file_name, content in parts:
        file = "" if file_name is None else f'; filename="{file_name}"'
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return body + (f"--{boundary}--\r\n".encode() if end else b"")


@contextlib.contextmanager
def running(limits=None, predictor=None, make_decoder=None, model=None):
    """A service until the block ends; with a stand-in unless a model is given."""
    predictor = predictor or FakePredictor()
    service = Service(model or ServedModel(predictor, "fake-dld"), limits or Limits(), make_decoder)
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        create_app(service), http=ImpatientProtocol, ws="none", log_level="critical", timeout_graceful_shutdown=20
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)

    def stop():
        server.should_exit = True

    try:
        yield Running(listening.getsockname()[1], service, predictor, stop)
    finally:
        stop()
        thread.join(30)
        assert not thread.is_alive()


def noise(height, width):
    """(H, W, 3) uint8 that no format compresses."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
