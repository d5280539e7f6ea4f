"""The viewer's page and what it asks for: the list, a view, the quality, the next artefact, the marks."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from qualityfm.service import words
from qualityfm.service.bodies import check_type
from qualityfm.service.gate import RefusedError
from qualityfm.service.notebook import Notebook
from qualityfm.service.page_files import PAGE_FILES
from qualityfm.service.recordings import OpenRecording, Recordings
from qualityfm.service.replies import json_reply
from qualityfm.strict_json import read_json

if TYPE_CHECKING:
    from qualityfm.records import Recording

#: Nothing from elsewhere, nothing inline, in nobody's frame; uPlot sets positions through style attributes.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

#: Most columns of a view and cells of a ribbon: wider than any screen.
MAX_COLUMNS = 4000
_DATA: dict[str, Any] = {"response_class": Response, "responses": words.ERRORS | words.NOT_FOUND}


def add_page(app: FastAPI) -> None:
    """Add the page's files; they hold no data and ask for the token themselves."""
    folder = Path(__file__).parent / "viewer"
    for path, (name, media_type) in PAGE_FILES.items():
        content = (folder / name).read_bytes()

        async def page_file(content: bytes = content, media_type: str = media_type) -> Response:
            return Response(content, media_type=media_type, headers=PAGE_HEADERS)

        app.add_api_route(path, page_file, include_in_schema=False, response_model=None)


def add_recordings(app: FastAPI, recordings: Recordings, notebook: Notebook | None) -> None:
    """Add the data behind the page."""

    @app.get("/v1/recordings", summary="The recordings that can be shown", **_DATA)
    async def listing() -> Response:
        return json_reply({"recordings": [_entry(one) for one in recordings.listed], "marks": notebook is not None})

    @app.get("/v1/recordings/{number}", summary="Channels of a recording", **_DATA)
    async def table(number: str) -> Response:
        opened = await run_in_threadpool(recordings.open, number)
        return json_reply({"name": recordings.entry(number).name, **_table(opened.recording)})

    @app.get(
        "/v1/recordings/{number}/view",
        summary="What a screen can show of a stretch",
        openapi_extra=words.STRETCH,
        **_DATA,
    )
    async def view(number: str, request: Request) -> Response:
        start_s, end_s, columns = _stretch(request)
        opened = await run_in_threadpool(recordings.open, number)
        return json_reply(await run_in_threadpool(_views, opened, start_s, end_s, columns))

    @app.get(
        "/v1/recordings/{number}/quality",
        summary="Grades and causes of a stretch",
        openapi_extra=words.STRETCH,
        **_DATA,
    )
    async def quality(number: str, request: Request) -> Response:
        start_s, end_s, cells = _stretch(request)
        ribbon = (await run_in_threadpool(recordings.open, number)).ribbon
        lines = await run_in_threadpool(ribbon.cells, start_s, end_s, cells)
        state = {"scored_s": ribbon.scored_s, "duration_s": ribbon.duration_s, "problem": ribbon.problem}
        return json_reply({**state, "channels": lines})

    @app.get("/v1/recordings/{number}/worst", summary="The artefact that costs most", **_DATA)
    async def worst(number: str) -> Response:
        ribbon = (await run_in_threadpool(recordings.open, number)).ribbon
        spot = await run_in_threadpool(ribbon.worst_spot)
        return json_reply({"spot": asdict(spot) if spot else None})

    @app.get("/v1/recordings/{number}/next", summary="The next artefact", openapi_extra=words.AFTER, **_DATA)
    async def following(number: str, request: Request) -> Response:
        after_s = _number(request, "after_s", -1.0)
        ribbon = (await run_in_threadpool(recordings.open, number)).ribbon
        spot = await run_in_threadpool(ribbon.next_spot, after_s)
        return json_reply({"spot": asdict(spot) if spot else None})

    if notebook is not None:
        _add_marks(app, recordings, notebook)


def _add_marks(app: FastAPI, recordings: Recordings, notebook: Notebook) -> None:
    @app.get("/v1/recordings/{number}/marks", summary="What users marked", **_DATA)
    async def marks(number: str) -> Response:
        return json_reply({"marks": [asdict(mark) for mark in notebook.of(recordings.entry(number).name)]})

    @app.post("/v1/recordings/{number}/marks", summary="Mark a stretch", openapi_extra=words.MARK, **_DATA)
    async def add_mark(number: str, request: Request) -> Response:
        check_type(request.headers.get("content-type"), "application/json")
        values, name = read_json(await request.body(), "mark"), recordings.entry(number).name
        duration_s = (await run_in_threadpool(recordings.open, number)).recording.duration_s
        return json_reply(asdict(await run_in_threadpool(notebook.add, name, duration_s, values)))

    @app.delete("/v1/recordings/{number}/marks/{place}", summary="Remove a mark", **_DATA)
    async def remove_mark(number: str, place: str) -> Response:
        name = recordings.entry(number).name
        known = place.isascii() and place.isdigit() and len(place) < 10
        if not known or not await run_in_threadpool(notebook.remove, name, int(place)):
            raise RefusedError(404, "no such mark")
        return json_reply({"removed": True})


def _entry(one: Any) -> dict[str, Any]:
    found = one.found
    duration_s = round(found.duration_s, 3) if found else None
    return {"number": one.number, "name": one.name, "duration_s": duration_s, "problem": bool(found and found.problem)}


def _table(recording: Recording) -> dict[str, Any]:
    channels = [
        {"name": s.name, "kind": str(s.kind), "unit": s.unit, "sample_rate_hz": s.sample_rate_hz}
        for s in recording.signals
    ]
    return {"duration_s": recording.duration_s, "channels": channels, "notes": list(recording.notes)}


def _views(opened: OpenRecording, start_s: float, end_s: float, columns: int) -> dict[str, Any]:
    channels = []
    for reducer in opened.reducers:
        view = reducer.view(start_s, end_s, columns)
        rounded = [float(f"{v:.5g}") if math.isfinite(v) else None for v in view.values.tolist()]
        channels.append({"times_s": np.round(view.times_s, 4).tolist(), "values": rounded, "gaps_s": view.gaps_s})
    return {"start_s": start_s, "end_s": end_s, "channels": channels}


def _stretch(request: Request) -> tuple[float, float, int]:
    start_s, end_s = _number(request, "start_s", 0.0), _number(request, "end_s", 30.0)
    columns = _number(request, "columns", 1000.0)
    if not (start_s < end_s and 1 <= columns <= MAX_COLUMNS):
        raise RefusedError(422, f"wrong view: expected start_s below end_s, and columns from 1 to {MAX_COLUMNS}")
    return start_s, end_s, int(columns)


def _number(request: Request, name: str, otherwise: float) -> float:
    text = request.query_params.get(name)
    try:
        value = otherwise if text is None else float(text[:40])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and abs(value) < 1e9):
        raise RefusedError(422, f"wrong view: {name}: expected a number")
    return value
