"""From a request to the recording in it, and to what is made of that: beside the loop where it takes long."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from qualityfm.errors import QualityFMError
from qualityfm.records import Recording
from qualityfm.service.bodies import check_type, read_files, read_raw, read_samples
from qualityfm.service.config import ServiceConfig

Then = Callable[[Recording], bytes]


class Work:
    """Reads bodies, and answers with what a function makes of the recording.

    Args:
        config: Says up to which length a body is worked on at once.
        has_model: Whether a network may run, which always takes a thread.
    """

    def __init__(self, config: ServiceConfig, *, has_model: bool) -> None:
        self._inline_bytes = 0 if has_model else config.inline_bytes

    async def on_samples(self, request: Request, then: Then) -> bytes:
        """Work on a JSON body."""
        check_type(request.headers.get("content-type"), "application/json")
        return await self._on_body(request, read_samples, then)

    async def on_raw(self, request: Request, then: Then) -> bytes:
        """Work on a body of float32."""
        check_type(request.headers.get("content-type"), "application/octet-stream")
        query = request.query_params
        rate, channels = query.get("sample_rate_hz"), query.getlist("channel")
        return await self._on_body(request, lambda body: read_raw(body, rate, channels), then)

    async def on_file(self, request: Request, then: Then) -> bytes:
        """Work on uploaded files."""
        files, layout = await _files(request), request.query_params.get("layout")

        def run() -> bytes:
            with tempfile.TemporaryDirectory(prefix="qualityfm-") as folder:
                return then(_without_path(folder, lambda: read_files(files, Path(folder), layout)))

        return await run_in_threadpool(run)

    async def _on_body(self, request: Request, read: Callable[[bytes], Recording], then: Then) -> bytes:
        body = await request.body()
        if len(body) <= self._inline_bytes:
            return then(read(body))
        return await run_in_threadpool(lambda: then(read(body)))


async def _files(request: Request) -> list[tuple[str, bytes]]:
    """Return the uploaded files: the parts of a multipart form, or the body with its name in the query."""
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "multipart/form-data":
        check_type(content_type, "application/octet-stream")
        return [(request.query_params.get("name", ""), await request.body())]
    async with request.form(max_files=64, max_fields=8) as form:
        return [(part.filename or "", await part.read()) for _, part in form.multi_items() if not isinstance(part, str)]


def _without_path(folder: str, read: Callable[[], Recording]) -> Recording:
    """Read, and keep the service's own folder out of what a refusal says."""
    try:
        return read()
    except QualityFMError as error:
        raise type(error)(str(error).replace(f"{folder}/", "").replace(folder, "upload")) from error
