"""Connections over which nothing is asked are closed: uvicorn itself waits for a request's head without end."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0


class ImpatientProtocol(H11Protocol):
    """Closes a connection whose next request has no whole head after ``HEAD_SECONDS`` to twice that."""

    _answered: Any = None  # the request that was the last one when the clock was looked at

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As the parent."""
        super().connection_made(transport)
        self.loop.call_later(HEAD_SECONDS, self._look)

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        idle = self.cycle is None or self.cycle.response_complete
        if idle and (self.cycle is None or self.cycle is self._answered):
            self.transport.close()
            return
        self._answered = self.cycle if idle else None
        self.loop.call_later(HEAD_SECONDS, self._look)
