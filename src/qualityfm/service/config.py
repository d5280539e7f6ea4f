"""What the service allows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """Limits of the service, all our own choice.

    Attributes:
        token: Wanted in `Authorization: Bearer ...`; None lets everybody in who reaches the port.
        hosts: Names that a request's Host may carry, without port; none allows any. See `gate.check_host`.
        max_body_bytes: Longest body, bytes.
        max_json_bytes: Longest JSON body, bytes: read, it takes ten times its length.
        max_held_bytes: All bodies together that are held at a time, bytes; more are sent away with 503.
        max_header_bytes: Longest header of a request, bytes.
        header_timeout_s: A connection whose header is not there after this long is closed, s.
        body_timeout_s: A request whose body is not there after this long is ended, s.
        max_concurrent: Requests worked on at once; more are sent away with 503.
        max_streams: WebSocket streams open at once.
        idle_timeout_s: A stream without a message for this long is closed, s.
        inline_bytes: Bodies up to this length are scored without another thread, bytes.
    """

    token: str | None = None
    hosts: tuple[str, ...] = ()
    max_body_bytes: int = 64 * 2**20
    max_json_bytes: int = 8 * 2**20
    max_held_bytes: int = 256 * 2**20
    max_header_bytes: int = 2**16
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    max_concurrent: int = 16
    max_streams: int = 64
    idle_timeout_s: float = 120.0
    inline_bytes: int = 2**17
