"""OpenAPI document: what FastAPI makes of the routes, with keys and problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from sojourn.surfaces.http.pages import schema_of
from sojourn.surfaces.http.problems import MEDIA_TYPE

_PROBLEM = {
    "type": "urn:sojourn:StaleSession",
    "title": "Stale session",
    "status": 412,
    "detail": "The session has changed since version 1: it is at 2. Nothing was written.",
    "instance": "2feedc290e8cfd8d",
    "expected": 1,
    "actual": 2,
}
_OPEN = ("/healthz", "/login", "/logout")


def described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The document of an application, made when it is first asked for."""
    made = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        found = made()
        parts: dict[str, Any] = found.setdefault("components", {})
        parts["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "`sojourn token` makes one."}
        }
        problem = schema_of(_PROBLEM) | {"required": ["type", "title", "status", "detail"]}
        parts["schemas"] = {"Problem": problem}
        parts["responses"] = {
            "Problem": {
                "description": "Why not. `type` says which error of Sojourn it is; an error may "
                "have more members: what was expected, what is, after how many seconds to retry.",
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": "#/components/schemas/Problem"},
                        "example": _PROBLEM,
                    }
                },
            }
        }
        found["security"] = [{"key": []}]
        for path, methods in found["paths"].items():
            for operation in methods.values():
                answers = operation["responses"]
                answers.pop("422", None)
                for status in ("4XX", "5XX"):
                    answers.setdefault(status, {"$ref": "#/components/responses/Problem"})
                if path in _OPEN:
                    operation["security"] = []
        return found

    return document
