"""The one way in which the viewer's data are answered."""

from __future__ import annotations

import json

from fastapi import Response


def json_reply(value: object) -> Response:
    """Return a value as JSON that no browser takes for anything else; what is no Unicode is replaced."""
    content = json.dumps(value, ensure_ascii=False, allow_nan=False).encode(errors="replace")
    return Response(content, media_type="application/json", headers={"X-Content-Type-Options": "nosniff"})
