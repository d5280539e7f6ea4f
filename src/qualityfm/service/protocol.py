"""HTTP as uvicorn speaks it, with an end to headers that never end: what comes before the gate sees a request."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from qualityfm.service.config import ServiceConfig


class LimitedProtocol(HttpToolsProtocol):
    """One connection; it is closed if a header takes too long, or if more than samples is sent without end.

    llhttp, the parser, bounds neither headers nor chunk extensions nor trailers, and uvicorn no time for a header.
    """

    limits = ServiceConfig()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._num_bytes = 0
        self._num_body_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first header."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the parser, unless they are too many that belong to no body."""
        if self.transport.is_closing():
            return
        self._num_bytes += len(data)
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()  # for the header that these bytes begin
        super().data_received(data)
        if (
            self._num_bytes > self.limits.max_header_bytes + 2 * self._num_body_bytes
            and not self.transport.is_closing()
        ):
            self.send_400_response("Header too long.")

    def on_headers_complete(self) -> None:
        """Leave the rest to the gate, which bounds bodies."""
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what is body."""
        self._num_body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Count the next request anew."""
        self._num_bytes = self._num_body_bytes = 0
        super().on_message_complete()

    def _wait(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(self.limits.header_timeout_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def protocol_of(config: ServiceConfig) -> type[LimitedProtocol]:
    """Return the protocol with these limits."""
    return type("ConfiguredProtocol", (LimitedProtocol,), {"limits": config})
