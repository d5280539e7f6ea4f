"""`qualityfm serve`: the scores over HTTP."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from qualityfm.cli.terminal import remark
from qualityfm.errors import ConfigError, problem

EXAMPLES = (
    "qualityfm serve",
    "qualityfm serve --recordings archive/ --annotations marks.csv",
    "qualityfm serve --recordings archive/ --alarms alarms.csv --decisions decisions.csv",
    "QUALITYFM_TOKEN=... qualityfm serve --host 0.0.0.0 --port 8080",
)

#: Where the token comes from: an option would show it in the list of processes.
TOKEN_VARIABLE = "QUALITYFM_TOKEN"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `serve`."""

    host: str = "127.0.0.1"
    """Address to listen on; any but loopback needs a token in QUALITYFM_TOKEN."""
    port: int = 8765
    """Port to listen on."""
    model: Annotated[str | None, tyro.conf.arg(metavar="RUN_OR_NAME")] = None
    """Add a model's estimate and embeddings: a run, a checkpoint, or a shipped name."""
    max_concurrent: int = 16
    """Requests worked on at once; more are answered 503."""
    max_body_mb: int = 64
    """Longest body, MB."""
    recordings: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER_OR_FILE")] = None
    """Show these recordings in the browser, at the address that is served."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_TOML")] = None
    """Layout of recordings that do not describe themselves."""
    annotations: Annotated[Path | None, tyro.conf.arg(metavar="CSV")] = None
    """Keep what is marked in the browser in this file; it may exist."""
    alarms: Annotated[Path | None, tyro.conf.arg(metavar="CSV")] = None
    """Review these alarms in the browser: columns record, alarm, and alarm_s unless all sound at 300 s."""
    decisions: Annotated[Path | None, tyro.conf.arg(metavar="CSV")] = None
    """Keep what is decided on alarms in this file; it may exist."""


def run(options: Options) -> int:
    """Serve until the system or Ctrl-C asks to end; what is being worked on is finished first."""
    token = os.environ.get(TOKEN_VARIABLE) or None
    if token is None and options.host not in LOOPBACK:
        expected = f"a token in {TOKEN_VARIABLE} for any address but loopback"
        raise ConfigError(problem("not served", where="serve", field="--host", found=options.host, expected=expected))
    import uvicorn

    from qualityfm.quality.score import score_quality
    from qualityfm.service.alarm_routes import Review
    from qualityfm.service.alarms import Decisions, read_alarms
    from qualityfm.service.app import make_app
    from qualityfm.service.config import ServiceConfig
    from qualityfm.service.notebook import Notebook
    from qualityfm.service.protocol import protocol_of
    from qualityfm.service.recordings import Recordings
    from qualityfm.service.task_line import TaskAnswerer
    from qualityfm.service.warm import warm_up

    config = ServiceConfig(
        token=token,
        hosts=() if token else LOOPBACK,  # a page elsewhere has no token
        max_concurrent=options.max_concurrent,
        max_body_bytes=options.max_body_mb * 2**20,
    )
    predictor, model = None, None
    if options.model is not None:
        from qualityfm.inference.loading import load_model

        predictor = load_model(options.model, runtime="auto")
        model = predictor if isinstance(predictor, TaskAnswerer) else None
    recordings = None if options.recordings is None else Recordings(options.recordings, options.layout, model)
    alarms = None if options.alarms is None else read_alarms(options.alarms)
    review = None if recordings is None else Review(recordings, Decisions(options.decisions), alarms)
    notebook = None if options.annotations is None else Notebook(options.annotations)
    warm_up(predictor.score if predictor else score_quality)
    viewer = "" if recordings is None else f"; {len(recordings.listed)} recordings to look at there"
    remark(f"serving on http://{options.host}:{options.port}; documents at /docs{viewer}")
    uvicorn.run(
        make_app(config, predictor, recordings, notebook, review),
        host=options.host,
        port=options.port,
        http=protocol_of(config),
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=1000,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=30,
        ws_max_size=4 * 2**20,
    )
    return 0
