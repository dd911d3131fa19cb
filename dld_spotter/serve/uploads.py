"""The body of a request becomes the bytes of one photo. Nothing in it is taken for a path or an address."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from dld_spotter.serve.limits import FORM_BYTES, Limits, Refusal, too_many_bytes, too_slow_body

_MOST_NAME = 200  # characters
_LINGER = 1.0  # seconds for which the rest of a refused body is taken, so that its sender hears the answer
_MOST_FIELDS = 4
_NEVER_TO_DISK = sys.maxsize


@dataclass(frozen=True)
class Upload:
    """A posted photo.

    Attributes:
        data: of its file.
        name: what its sender calls it, without folders; no file is looked for under it.
    """

    data: bytes
    name: str


async def receive_photo(request: Request, limits: Limits) -> Upload:
    """The photo that is the body, or the one file of a form.

    Raises:
        Refusal: it is too large or too slow, there is none, or the form is damaged.
        ClientDisconnect: its sender is gone.
    """
    is_form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    most = limits.max_bytes + (FORM_BYTES if is_form else 0)
    if int_or_zero(request.headers.get("content-length")) > most:
        raise too_many_bytes(limits)
    chunks = _chunks(request, most, limits)
    try:
        async with asyncio.timeout(limits.timeout):
            upload = await (_from_form(request, chunks) if is_form else _from_body(request, chunks))
    except TimeoutError as error:
        raise too_slow_body(limits) from error
    if not upload.data:
        raise Refusal(422, "there is no photo: post the bytes of an image file.")
    if len(upload.data) > limits.max_bytes:
        raise too_many_bytes(limits)
    return Upload(upload.data, plain_name(upload.name))


async def discard_body(request: Request, most: int) -> None:
    """Take what is left of a refused body for a moment: a sender that is cut off would not see why.

    Args:
        request: of the body.
        most: bytes that are taken.
    """
    if "expect" in request.headers:  # its sender waits for the answer before it sends
        return
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):  # the last: there is nothing left
        async with asyncio.timeout(_LINGER):
            async for chunk in request.stream():
                most -= len(chunk)
                if most < 0:
                    return


def plain_name(name: str) -> str:
    """A file name as a label: without folders and what cannot be printed, and not too long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:_MOST_NAME] or "photo"


def int_or_zero(text: str | None) -> int:
    """A header's number; 0 where there is none. The server has refused what is not one."""
    return int(text) if text and text.isascii() and text.isdigit() else 0


async def _chunks(request: Request, most: int, limits: Limits) -> AsyncGenerator[bytes, None]:
    """The body piece by piece; between them others have their turn, and time can run out."""
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > most:
            raise too_many_bytes(limits)
        yield chunk
        await asyncio.sleep(0)


async def _from_body(request: Request, chunks: AsyncGenerator[bytes, None]) -> Upload:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
    return Upload(bytes(body), request.query_params.get("name", ""))


async def _from_form(request: Request, chunks: AsyncGenerator[bytes, None]) -> Upload:
    """The one file of a form."""
    parser = MultiPartParser(request.headers, chunks, max_files=1, max_fields=_MOST_FIELDS, max_part_size=FORM_BYTES)
    parser.spool_max_size = _NEVER_TO_DISK
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError) as error:
        raise Refusal(422, "the form is damaged, or has more than one file; post one photo at a time.") from error
    try:
        files = [part for part in form.values() if isinstance(part, UploadFile)]
        return Upload(await files[0].read(), files[0].filename or "") if files else Upload(b"", "")
    finally:
        await form.close()
