"""What the page asks for to review alarms: the list, the reasons of one, the decision; and a task's answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from qualityfm.service import words
from qualityfm.service.alarms import Alarm, Decisions, is_of
from qualityfm.service.bodies import check_type
from qualityfm.service.gate import RefusedError
from qualityfm.service.reasons import reasons_of
from qualityfm.service.recordings import OpenRecording, Recordings
from qualityfm.service.replies import json_reply
from qualityfm.strict_json import read_json

_DATA: dict[str, Any] = {"response_class": Response, "responses": words.ERRORS | words.NOT_FOUND}


class Review:
    """The alarms of the shown recordings: of a table, or else where the task model begins to say yes.

    Args:
        recordings: What is shown.
        decisions: What was decided.
        alarms: Of the table; None without one.
    """

    def __init__(self, recordings: Recordings, decisions: Decisions, alarms: tuple[Alarm, ...] | None = None) -> None:
        self.recordings, self.decisions, self._has_table = recordings, decisions, alarms is not None
        self._of = {
            one.name: tuple(alarm for alarm in known if is_of(alarm, one.name))
            for known in [alarms or ()]
            for one in recordings.listed
        }

    def of(self, name: str, opened: OpenRecording) -> tuple[Alarm, ...]:
        """Return the alarms of a recording in time order."""
        if self._has_table or opened.task is None:
            return self._of[name]
        return opened.task.alarms(name)

    def counts(self) -> list[dict[str, Any]]:
        """Return, for each recording with alarms in the table, how many, and how many are decided."""
        return [
            {
                "number": one.number,
                "alarms": len(self._of[one.name]),
                "decided": sum(self.decisions.on(one.name, alarm) is not None for alarm in self._of[one.name]),
            }
            for one in self.recordings.listed
            if self._of[one.name]
        ]

    def row(self, name: str, alarm: Alarm) -> dict[str, Any]:
        """Return an alarm with what was decided on it."""
        made = self.decisions.on(name, alarm)
        decided = {"decision": made.decision if made else "", "reason": made.reason if made else ""}
        return {"alarm": alarm.alarm, "alarm_s": alarm.alarm_s, **decided}


def add_alarms(app: FastAPI, review: Review) -> None:
    """Add the review of alarms."""
    recordings = review.recordings

    async def opened_at(number: str) -> tuple[str, OpenRecording]:
        return recordings.entry(number).name, await run_in_threadpool(recordings.open, number)

    async def alarm_at(number: str, place: str) -> tuple[str, OpenRecording, Alarm]:
        name, opened = await opened_at(number)
        alarms = review.of(name, opened)
        if not (place.isascii() and place.isdigit() and len(place) < 10 and int(place) < len(alarms)):
            raise RefusedError(404, "no such alarm")
        return name, opened, alarms[int(place)]

    @app.get("/v1/alarms", summary="Recordings with alarms of the table, and how many are decided", **_DATA)
    async def counts() -> Response:
        return json_reply({"recordings": review.counts()})

    @app.get("/v1/recordings/{number}/alarms", summary="Alarms of a recording with their decisions", **_DATA)
    async def alarms(number: str) -> Response:
        name, opened = await opened_at(number)
        rows = [review.row(name, alarm) for alarm in review.of(name, opened)]
        return json_reply({"alarms": rows, "can_decide": review.decisions.can_keep})

    @app.get("/v1/recordings/{number}/alarms/{place}", summary="What speaks for keeping or muting", **_DATA)
    async def reasons(number: str, place: str) -> Response:
        name, opened, alarm = await alarm_at(number, place)
        found = await run_in_threadpool(reasons_of, opened.recording, alarm)
        suggestion = ""
        if opened.task is not None:
            suggestion, said = await run_in_threadpool(opened.task.suggestion, alarm)
            found += said
        return json_reply({**review.row(name, alarm), "reasons": found, "suggestion": suggestion})

    @app.post(
        "/v1/recordings/{number}/alarms/{place}",
        summary="Keep or mute an alarm",
        openapi_extra=words.DECISION,
        **_DATA,
    )
    async def decide(number: str, place: str, request: Request) -> Response:
        check_type(request.headers.get("content-type"), "application/json")
        values = read_json(await request.body(), "decision")
        name, _, alarm = await alarm_at(number, place)
        made = await run_in_threadpool(review.decisions.decide, name, alarm, values)
        return json_reply({"decided": asdict(made) if made else None})

    @app.get("/v1/recordings/{number}/task", summary="The task model's answers so far", **_DATA)
    async def task(number: str) -> Response:
        _, opened = await opened_at(number)
        if opened.task is None:
            return json_reply({"windows": [], "num_windows": 0, "problem": ""})
        line = opened.task
        return json_reply({"windows": line.windows[:], "num_windows": line.num_windows, "problem": line.problem})
