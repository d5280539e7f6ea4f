"""The application: what it answers where. Made by `make_app`, served by `qualityfm serve`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from qualityfm.errors import QualityFMError
from qualityfm.inference.report import write_report
from qualityfm.inference.stream_protocol import segment_row
from qualityfm.quality.score import score_quality
from qualityfm.records import QualityScore, Recording
from qualityfm.service import answer_words, words
from qualityfm.service.alarm_routes import Review, add_alarms
from qualityfm.service.alarms import Decisions
from qualityfm.service.config import ServiceConfig
from qualityfm.service.gate import Gate, Metrics, RefusedError, error_body
from qualityfm.service.notebook import Notebook
from qualityfm.service.recordings import Recordings
from qualityfm.service.socket import StreamDoor
from qualityfm.service.task_answers import answer_bytes, asked_of
from qualityfm.service.task_line import TaskAnswerer
from qualityfm.service.viewer_routes import add_page, add_recordings
from qualityfm.service.work import Work
from qualityfm.strict_json import UnreadableJsonError
from qualityfm.version import __version__

if TYPE_CHECKING:
    from qualityfm.inference.scoring import Scorer


def make_app(
    config: ServiceConfig | None = None,
    predictor: Scorer | None = None,
    recordings: Recordings | None = None,
    notebook: Notebook | None = None,
    review: Review | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        config: Limits and token.
        predictor: A loaded model; without one the scores are classical and there are no embeddings.
        recordings: What the viewer shows; without it there is no viewer.
        notebook: Where the viewer's marks are kept; without it nothing can be marked.
        review: The alarms of these recordings; without it only what a task model finds.
    """
    config, metrics = config or ServiceConfig(), Metrics()
    app = FastAPI(title="QualityFM", version=__version__, description=words.DESCRIPTION)
    app.state.config, app.state.metrics, app.state.predictor = config, metrics, predictor
    _add_answers(app, metrics)
    _add_work(app, Work(config, has_model=predictor is not None), predictor)
    if recordings is not None:
        add_page(app)
        add_recordings(app, recordings, notebook)
        add_alarms(app, review or Review(recordings, Decisions()))
    door = StreamDoor(config, metrics, predictor)
    app.add_api_websocket_route("/v1/stream", door.serve)
    _add_errors(app)
    app.add_middleware(Gate, config=config, metrics=metrics)
    return app


def _add_answers(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/health", summary="Whether the service lives", responses=words.ERRORS)
    async def health() -> dict[str, str]:
        predictor = app.state.predictor
        return {"status": "ok", "version": __version__, "model": predictor.name if predictor else "none"}

    @app.get("/metrics", summary="Counts for Prometheus", response_class=Response, responses=words.ERRORS)
    async def counts() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_work(app: FastAPI, work: Work, predictor: Scorer | None) -> None:
    score: Callable[[Recording], QualityScore] = predictor.score if predictor else score_quality

    @app.post("/v1/score", openapi_extra=words.SAMPLES, **answer_words.SCORE)
    async def score_samples(request: Request) -> Response:
        return _json(await work.on_samples(request, lambda found: score_bytes(score(found))))

    @app.post("/v1/score/raw", openapi_extra=words.RAW, **answer_words.SCORE)
    async def score_raw(request: Request) -> Response:
        return _json(await work.on_raw(request, lambda found: score_bytes(score(found))))

    @app.post("/v1/score/file", openapi_extra=words.FILE, **answer_words.SCORE)
    async def score_file(request: Request) -> Response:
        return _json(await work.on_file(request, lambda found: score_bytes(score(found))))

    @app.post("/v1/report/file", openapi_extra=words.FILE, **answer_words.REPORT)
    async def report_file(request: Request) -> Response:
        return Response(await work.on_file(request, lambda found: _report(found, score(found))), media_type="text/html")

    if predictor is not None:

        @app.post("/v1/embed", openapi_extra=words.SAMPLES, **answer_words.EMBED)
        async def embed_samples(request: Request) -> Response:
            return _json(await work.on_samples(request, lambda found: _embedding(predictor, found)))

        @app.post("/v1/embed/raw", openapi_extra=words.RAW, **answer_words.EMBED)
        async def embed_raw(request: Request) -> Response:
            return _json(await work.on_raw(request, lambda found: _embedding(predictor, found)))

        @app.post("/v1/embed/file", openapi_extra=words.FILE, **answer_words.EMBED)
        async def embed_file(request: Request) -> Response:
            return _json(await work.on_file(request, lambda found: _embedding(predictor, found)))

    if isinstance(predictor, TaskAnswerer):
        _add_task(app, work, predictor)


def _add_task(app: FastAPI, work: Work, model: TaskAnswerer) -> None:
    @app.post("/v1/task", openapi_extra=words.task(words.SAMPLES), **answer_words.TASK)
    async def task_samples(request: Request) -> Response:
        asked = asked_of(request.query_params)
        return _json(await work.on_samples(request, lambda found: answer_bytes(model, found, asked)))

    @app.post("/v1/task/file", openapi_extra=words.task(words.FILE), **answer_words.TASK)
    async def task_file(request: Request) -> Response:
        asked = asked_of(request.query_params)
        return _json(await work.on_file(request, lambda found: answer_bytes(model, found, asked)))


def score_bytes(score: QualityScore) -> bytes:
    """Return a score as the JSON that the service answers with."""
    segments = [segment_row(score, number) for number in range(len(score.overall))]
    return json.dumps({"recording": score.recording_id, "segments": segments}, ensure_ascii=False).encode()


def _report(recording: Recording, score: QualityScore) -> bytes:
    with tempfile.TemporaryDirectory(prefix="qualityfm-") as folder:
        return write_report(recording, score, Path(folder) / "report.html").read_bytes()


def _embedding(predictor: Scorer, recording: Recording) -> bytes:
    found = predictor.embed(recording)
    vectors = [[float(v) for v in row] if row[0] == row[0] else None for row in found.vectors]
    answer = {"recording": found.recording_id, "start_s": found.segment_start_s.tolist(), "vectors": vectors}
    return json.dumps(answer).encode()


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _add_errors(app: FastAPI) -> None:
    """Give every refusal its status and the one shape; what is not foreseen goes to the gate, and to the log."""

    def refuse(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
        return Response(error_body(status, message), status, headers, "application/json")

    @app.exception_handler(QualityFMError)
    async def unusable(request: Request, error: QualityFMError) -> Response:
        return refuse(400 if isinstance(error, UnreadableJsonError) else 422, str(error))

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> Response:
        return refuse(error.status, error.message, error.headers)

    @app.exception_handler(HTTPException)
    async def elsewhere(request: Request, error: HTTPException) -> Response:
        return refuse(error.status_code, str(error.detail), dict(error.headers or {}))
