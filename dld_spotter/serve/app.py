"""The service's routes: photos in, words out; the page, health, metrics and OpenAPI."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from dld_spotter import __version__
from dld_spotter.serve.answers import Health, ModelCard, Problem, ReadPhoto, read_photo
from dld_spotter.serve.limits import Limits, Refusal, from_another_page, queue_is_full, stopping, too_late
from dld_spotter.serve.page_files import HEADERS, TYPES, page_files
from dld_spotter.serve.photo_decoder import PhotoDecoder
from dld_spotter.serve.reading_queue import Decoder, Job, Reading, ReadingQueue
from dld_spotter.serve.served_model import ServedModel
from dld_spotter.serve.service_metrics import CONTENT_TYPE, ServiceMetrics
from dld_spotter.serve.uploads import discard_body, receive_photo

logger = logging.getLogger(__name__)

READ, MODEL, HEALTH, METRICS = "/v1/read", "/v1/model", "/health", "/metrics"
_ROUTES = {READ, MODEL, HEALTH, METRICS, "/openapi.json", "/", *(f"/{name}" for name in TYPES)}  # in the metrics
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    403: {"model": Problem, "description": "A browser asks for a page from elsewhere."},
    408: {"model": Problem, "description": "The photo did not arrive in time."},
    413: {"model": Problem, "description": "Too many bytes or pixels."},
    422: {"model": Problem, "description": "No photo, a damaged one, or a scale that the model does not have."},
    500: {"model": Problem, "description": "The model failed on this photo."},
    503: {"model": Problem, "description": "The queue is full, the time is over, or the service stops."},
}
# Nothing is sent anywhere, whatever the environment says; versions of FastAPI without telemetry ignore it.
_NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
_BYTES = {"type": "string", "format": "binary"}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of one image file, or a form with one file. Never a path or an address.",
        "content": {
            "image/*": {"schema": _BYTES},
            "application/octet-stream": {"schema": _BYTES},
            "multipart/form-data": {"schema": {"type": "object", "properties": {"photo": _BYTES}}},
        },
    }
}


class Service:
    """One model behind its queue, and the requests that are in the house.

    Args:
        model: reads.
        limits: of requests.
        make_decoder: makes what decodes, once for each thread that does.
    """

    def __init__(self, model: ServedModel, limits: Limits, make_decoder: Callable[[], Decoder] | None = None):
        self.model, self.limits, self.metrics = model, limits, ServiceMetrics()
        self.queue = ReadingQueue(model.read, make_decoder or (lambda: PhotoDecoder(limits)), limits, self.metrics)
        self.waiting = 0
        self.stopping = False

    @property
    def works(self) -> bool:
        """Whether photos are read."""
        return not self.stopping and self.queue.works

    async def read(self, request: Request, scale: float | None) -> dict[str, Any]:
        """The record of a posted photo.

        Raises:
            Refusal: why there is none.
            ClientDisconnect: nobody waits for it any more.
        """
        started = monotonic()
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):  # browsers alone say so
            raise from_another_page()
        with self._admitted():
            self.model.check_scale(scale)
            upload = await receive_photo(request, self.limits)
            job = Job(upload.data, upload.name, scale)
            del upload  # the job lets go of the bytes as soon as it can
            self.queue.submit(job)
            reading = await self._wait(request, job, self.limits.timeout - (monotonic() - started))
            record = read_photo(job, reading, self.model)
        self.metrics.photo(monotonic() - started, record["scale"], len(record["words"]))
        return record

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if not self.works:
            raise stopping()
        if self.waiting >= self.limits.queue:
            raise queue_is_full(self.limits)
        self.waiting += 1
        self.metrics.waiting(self.waiting)
        try:
            yield
        finally:
            self.waiting -= 1
            self.metrics.waiting(self.waiting)

    async def _wait(self, request: Request, job: Job, seconds: float) -> Reading:
        """The reading, unless time runs out or its sender leaves first."""
        reading: asyncio.Future[Any] = asyncio.wrap_future(job.future)
        gone: asyncio.Future[Any] = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait((reading, gone), timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return reading.result()
            raise ClientDisconnect if gone.done() else too_late(self.limits)
        finally:
            gone.cancel()
            reading.cancel()  # takes it out of the queue, unless it is being read


def create_app(service: Service) -> FastAPI:
    """The application; it reads from its start-up to its shut-down."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(service.model.warm_up)
        service.queue.start()
        yield
        service.stopping = True
        await asyncio.to_thread(service.queue.stop)

    app = FastAPI(
        title="dld_spotter",
        summary="Finds and reads the words of photos, each at the resolution that it needs.",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )
    app.include_router(_reading_routes(service))
    app.include_router(_page_routes())
    app.add_exception_handler(Refusal, _refuse(service))
    app.add_exception_handler(ClientDisconnect, lambda *_: Response(status_code=400))
    app.add_exception_handler(RequestValidationError, _say_what_is_invalid)
    app.add_exception_handler(HTTPException, _say_what_is_missing)
    app.add_middleware(_Observed, metrics=service.metrics)
    return app


def _reading_routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.post(
        READ,
        response_model=ReadPhoto,
        response_model_exclude_none=True,
        responses=_PROBLEMS,
        openapi_extra=_BODY,
        summary="Read one photo",
    )
    async def read(
        request: Request,
        scale: Annotated[
            float | None, Query(description="share of the full resolution; left out, the model chooses")
        ] = None,
        name: Annotated[str, Query(description="what the record calls the photo")] = "",
    ) -> JSONResponse:
        return JSONResponse(await service.read(request, scale))

    @router.get(MODEL, response_model=ModelCard, summary="The model and the limits")
    async def model() -> JSONResponse:
        return JSONResponse(service.model.describe(service.limits))

    @router.get(HEALTH, response_model=Health, responses={503: {"model": Health}}, summary="Whether photos are read")
    async def health() -> JSONResponse:
        status = "ok" if service.works else "stopping"
        content = {"status": status, "version": __version__, "waiting": service.waiting}
        return JSONResponse(content, 200 if service.works else 503)

    @router.get(METRICS, summary="Figures for Prometheus")
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return router


def _page_routes() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    for name, content in page_files().items():
        router.add_route("/" if name == "index.html" else f"/{name}", _file(content, TYPES[name]), methods=["GET"])
    return router


def _file(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return Response(content, headers={"Content-Type": media_type})

    return answer


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _refuse(service: Service) -> Callable[[Request, Any], Any]:
    async def answer(request: Request, refusal: Refusal) -> JSONResponse:
        headers = {"Connection": "close"}
        with suppress(AttributeError):
            await discard_body(request, service.limits.max_bytes)
        if refusal.retry:
            headers["Retry-After"] = "1"
        return JSONResponse({"error": refusal.sentence}, refusal.status, headers)

    return answer


async def _say_what_is_invalid(_: Request, error: Any) -> JSONResponse:
    first = error.errors()[0]
    return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}."}, 422)


async def _say_what_is_missing(_: Request, error: Any) -> JSONResponse:
    sentences = {404: "there is nothing here; POST a photo to " + READ + ".", 405: "this is not asked for in this way."}
    content = {"error": sentences.get(error.status_code, f"{error.detail}.")}
    return JSONResponse(content, error.status_code, error.headers)


class _Observed:
    """Counts answers, and adds the headers that keep a browser within this service."""

    def __init__(self, app: Any, metrics: ServiceMetrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in _ROUTES else "other"

        async def observe(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.metrics.answer(route, message["status"])
                added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = message | {"headers": [*message.get("headers", []), *added]}
            await send(message)

        await self.app(scope, receive, observe)
