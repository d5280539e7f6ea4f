"""What stands before every request: token, room, length and time of the body; and one shape for every error."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qualityfm.service.config import ServiceConfig
from qualityfm.service.page_files import PAGE_FILES

_LOG = logging.getLogger("qualityfm.service")

#: Open to everybody who reaches the port: whether the service lives, and the viewer's page, which holds no data.
PUBLIC = frozenset({"/health", *PAGE_FILES})


class RefusedError(Exception):
    """A request that the gate or a handler does not take."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


def error_body(status: int, message: str) -> bytes:
    """Return the one shape of every error."""
    return json.dumps({"error": {"status": status, "message": message}}, ensure_ascii=False).encode()


class Metrics:
    """Counts for Prometheus, one registry for each application; with the process's CPU seconds and memory on Linux."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter("qualityfm_requests", "Requests answered", ["status"], registry=self.registry)
        self.seconds = Histogram("qualityfm_request_seconds", "Time to the answer, s", registry=self.registry)
        self.working = Gauge("qualityfm_working", "Requests being worked on", registry=self.registry)
        self.streams = Gauge("qualityfm_streams", "Streams open", registry=self.registry)


class Gate:
    """ASGI middleware: hands on whole requests within the limits, answers all others itself.

    Args:
        app: What is behind it.
        config: The limits.
        metrics: Where it counts.
    """

    def __init__(self, app: ASGIApp, config: ServiceConfig, metrics: Metrics) -> None:
        self._app, self._config, self._metrics = app, config, metrics
        self._num_working = 0
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._serve(scope, receive, sending)
        except RefusedError as refused:
            await answer(sending, refused.status, refused.message, refused.headers)
        except Exception:
            _LOG.exception("request failed")
            if not status:
                await answer(sending, 500, "the service failed; its log says why")
        self._metrics.requests.labels(str(status)).inc()
        self._metrics.seconds.observe(time.perf_counter() - began)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        check_host(headers, self._config.hosts)
        if scope["path"] not in PUBLIC:
            check_token(headers, self._config.token)
            if self._num_working >= self._config.max_concurrent:
                raise busy()
        self._num_working += 1
        self._metrics.working.set(self._num_working)
        held: list[bytes] = []
        try:
            await self._hold(headers, receive, held)
            held[:] = [b"".join(held)]
            await self._app(scope, _replay(held[0], receive), send)
        finally:
            self._held_bytes -= sum(map(len, held))
            self._num_working -= 1
            self._metrics.working.set(self._num_working)

    async def _hold(self, headers: dict[bytes, bytes], receive: Receive, held: list[bytes]) -> None:
        """Take the body's parts; what is held counts until the request is answered."""
        limit = self._config.max_body_bytes
        is_json = headers.get(b"content-type", b"").startswith(b"application/json")
        limit = min(limit, self._config.max_json_bytes) if is_json else limit
        too_long = RefusedError(413, f"body too long: expected at most {limit} bytes", {"Connection": "close"})
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced[:20]) > limit:
            raise too_long
        length = 0
        try:
            async with asyncio.timeout(self._config.body_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "the client left")
                    held.append(message.get("body", b""))
                    length += len(held[-1])
                    self._held_bytes += len(held[-1])
                    if length > limit:
                        raise too_long
                    if self._held_bytes > self._config.max_held_bytes:
                        raise busy({"Connection": "close"})
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            expected = f"the whole body within {self._config.body_timeout_s:g} s"
            raise RefusedError(408, f"body too slow: expected {expected}", {"Connection": "close"}) from None


def busy(headers: dict[str, str] | None = None) -> RefusedError:
    """Return the refusal of what may come back later."""
    return RefusedError(503, "the service is busy; try again", {"Retry-After": "1", **(headers or {})})


def check_host(headers: dict[bytes, bytes], hosts: tuple[str, ...]) -> None:
    """Refuse a request that names another host, as a page elsewhere does whose name was turned to this machine.

    Such a page's own `Origin` tells it as well; only WebSockets come with a foreign one and this service's host.
    Source: OWASP on DNS rebinding and on cross-site WebSocket hijacking.

    Args:
        headers: Of the request.
        hosts: Names that are served; none for any name.

    Raises:
        RefusedError: With status 421.
    """
    origin = headers.get(b"origin", b"").partition(b"://")[2]
    for found in (headers.get(b"host", b""), *([origin] if b"origin" in headers else [])):
        if hosts and _without_port(found.decode("latin-1")) not in hosts:
            raise RefusedError(421, f"wrong host: expected one of {', '.join(hosts)}")


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return (name if separator and port.isdigit() else host).lower().strip("[]")


def check_token(headers: dict[bytes, bytes], token: str | None) -> None:
    """Refuse a request without the token.

    Raises:
        RefusedError: With status 401.
    """
    if token is None:
        return
    if not hmac.compare_digest(headers.get(b"authorization", b""), f"Bearer {token}".encode()):
        raise RefusedError(401, "wrong token: expected Authorization: Bearer ...", {"WWW-Authenticate": "Bearer"})


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body first, and then what comes."""
    waiting = [body]

    async def receiving() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return receiving


async def answer(send: Send, status: int, message: str, headers: dict[str, str] | None = None) -> None:
    """Send an error."""
    body = error_body(status, message)
    plain: dict[str, Any] = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
    pairs = [(name.lower().encode(), value.encode()) for name, value in plain.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
