"""A stream over a WebSocket: the messages of docs/STREAM.md, one a frame."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from qualityfm.errors import QualityFMError
from qualityfm.inference.stream import BlockModel, Stream
from qualityfm.inference.stream_protocol import farewell, greeting, open_stream, segment_row, take_message
from qualityfm.service.config import ServiceConfig
from qualityfm.service.gate import Metrics, RefusedError, check_host, check_token

#: Close codes of RFC 6455: done, refused, try again later.
DONE, POLICY, TRY_LATER = 1000, 1008, 1013


class StreamDoor:
    """Takes WebSocket connections, each with a stream of its own.

    Args:
        config: The limits.
        metrics: Where it counts.
        model: Gives its estimate beside the classical quality; None for none.
    """

    def __init__(self, config: ServiceConfig, metrics: Metrics, model: BlockModel | None = None) -> None:
        self._config, self._metrics, self._model = config, metrics, model
        self._num_open = 0

    async def serve(self, socket: WebSocket) -> None:
        """Take one connection: table, greeting, then packets and finished segments, then the farewell."""
        try:
            headers = dict(socket.scope["headers"])
            check_host(headers, self._config.hosts)
            check_token(headers, self._config.token)
        except RefusedError as refused:
            await socket.close(POLICY, refused.message[:100])
            return
        if self._num_open >= self._config.max_streams:
            await socket.close(TRY_LATER, "too many streams")
            return
        self._num_open += 1
        self._metrics.streams.set(self._num_open)
        try:
            await socket.accept()
            await self._talk(socket)
        except WebSocketDisconnect:
            pass
        finally:
            self._num_open -= 1
            self._metrics.streams.set(self._num_open)

    async def _talk(self, socket: WebSocket) -> None:
        try:
            stream = open_stream(await self._message(socket), model=self._model)
            await _send(socket, greeting(stream))
            while not stream.is_closed:
                await self._packet(socket, stream)
            await _send(socket, farewell(stream))
            await socket.close(DONE)
        except TimeoutError:
            await _send(socket, {"error": {"message": f"no message for {self._config.idle_timeout_s:g} s"}})
            await socket.close(POLICY, "idle")
        except QualityFMError as error:
            await _send(socket, {"error": {"message": str(error)}})
            await socket.close(POLICY, "no channel table")

    async def _packet(self, socket: WebSocket, stream: Stream) -> None:
        """Take one packet; a wrong one is answered and disturbs nothing."""
        message = await self._message(socket)
        try:
            done = await run_in_threadpool(take_message, stream, message)
        except QualityFMError as error:
            await _send(socket, {"error": {"message": str(error)}})
            return
        for score in done:
            await _send(socket, segment_row(score))

    async def _message(self, socket: WebSocket) -> bytes:
        async with asyncio.timeout(self._config.idle_timeout_s):
            message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", DONE))
        text: str | None = message.get("text")
        return text.encode() if text is not None else bytes(message.get("bytes") or b"")


async def _send(socket: WebSocket, value: dict[str, Any]) -> None:
    await socket.send_text(json.dumps(value, ensure_ascii=False))
