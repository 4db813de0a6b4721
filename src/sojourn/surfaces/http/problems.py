"""Problems: errors as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from sojourn.errors import (
    AccessDenied,
    ConfigurationError,
    Conflict,
    CorruptRecord,
    DictionaryMissing,
    Erased,
    InvalidArchive,
    InvalidInput,
    KeyMissing,
    NewerFormat,
    OutcomeUnknown,
    Refused,
    ServerFault,
    SessionNotFound,
    SojournError,
    StaleEntry,
    StaleSession,
    Tampered,
    Throttled,
    TooLarge,
    Unavailable,
    Undecodable,
)

log = logging.getLogger("sojourn.http")

MEDIA_TYPE = "application/problem+json"

_STATUS: dict[type[SojournError], HTTPStatus] = {
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    InvalidInput: HTTPStatus.BAD_REQUEST,
    InvalidArchive: HTTPStatus.BAD_REQUEST,
    SessionNotFound: HTTPStatus.NOT_FOUND,
    StaleSession: HTTPStatus.PRECONDITION_FAILED,
    StaleEntry: HTTPStatus.PRECONDITION_FAILED,
    Erased: HTTPStatus.GONE,
    Conflict: HTTPStatus.CONFLICT,
    OutcomeUnknown: HTTPStatus.GATEWAY_TIMEOUT,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Throttled: HTTPStatus.TOO_MANY_REQUESTS,
    Refused: HTTPStatus.FORBIDDEN,
    AccessDenied: HTTPStatus.BAD_GATEWAY,
    ServerFault: HTTPStatus.BAD_GATEWAY,
    Undecodable: HTTPStatus.NOT_IMPLEMENTED,
    SojournError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""For an error of the kind, and its kin."""

_DETAILS: dict[type[SojournError], str] = {
    OutcomeUnknown: "It may have happened or not: the store did not answer in time. Repeat the "
    "request with the same Idempotency-Key, or with operation_id: it takes effect once either way.",
    Unavailable: "The store does not answer now. Nothing is lost: try again in some seconds.",
    Tampered: "What is stored there was changed or moved. It cannot be trusted.",
    CorruptRecord: "What is stored there cannot be read. Its bytes are in the quarantine.",
    KeyMissing: "It is sealed with a key that this server does not have.",
    DictionaryMissing: "It is compressed with a dictionary that this server does not have.",
    NewerFormat: "A newer version of Sojourn stored it: this server needs an upgrade.",
    ConfigurationError: "This server is not set up for it. Its log says why.",
    SojournError: "The store refuses to work. The log of this server says why.",
}
"""Texts in place of messages that may name the server or its keys."""

_OWN_WORDS = (InvalidInput, Conflict, Refused, SessionNotFound, InvalidArchive)
"""Errors whose messages are for callers."""

_MEMBERS = ("expected", "actual", "operation_id", "retry_after", "size", "limit", "option")
"""Attributes of errors that a problem has as members of its own."""

RETRY_AFTER = 1
"""Seconds after which a request that found no store may be repeated."""


_DOCUMENT = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:sojourn:SessionNotFound"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, and what to do."},
        "instance": {"type": "string", "description": "The id of the request."},
    },
}


class Problem(Exception):
    """An answer that is not what was asked for.

    Args:
        status: of HTTP.
        detail: what happened and what to do; for the caller.
        kind: the last part of `type`; made of the status if not given.
        headers: of the answer.
        members: other members of the document.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        self.status = status
        self.detail = detail
        self.kind = kind or "".join(map(str.capitalize, status.phrase.split()))
        self.headers = dict(headers or {})
        self.members = members
        super().__init__(detail)

    def response(self, request_id: str) -> Response:
        """The answer."""
        document = {
            "type": f"urn:sojourn:{self.kind}",
            "title": _words(self.kind),
            "status": int(self.status),
            "detail": self.detail,
            "instance": request_id,
            **self.members,
        }
        return Response(
            msgspec.json.encode(document),
            status_code=self.status,
            headers=self.headers,
            media_type=MEDIA_TYPE,
        )


def not_found(what: str) -> Problem:
    """The problem of what is not there, or is somebody else's.

    Args:
        what: as `session`.
    """
    return Problem(HTTPStatus.NOT_FOUND, f"There is no such {what}.")


def problem_of(error: SojournError) -> Problem:
    """What a caller may know of an error."""
    members = {
        name: value for name in _MEMBERS if (value := getattr(error, name, None)) not in (None, "")
    }
    if isinstance(error, KeyMissing) and error.key_id:
        members["key_id"] = error.key_id
    headers: dict[str, str] = {}
    if isinstance(error, Throttled):
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    elif isinstance(error, Unavailable):
        headers["Retry-After"] = str(RETRY_AFTER)
    detail = str(error) if isinstance(error, _OWN_WORDS) else _of_kind(error, _DETAILS)
    kind = type(error).__name__
    if isinstance(error, SessionNotFound):  # SessionRotated is told to nobody
        detail, kind = "There is no such session.", SessionNotFound.__name__
    return Problem(_of_kind(error, _STATUS), detail, kind=kind, headers=headers, **members)


def request_id_of(request: Request) -> str:
    """The id of a request, as it came or as it was made."""
    return str(request.scope.get("sojourn.request_id", ""))


def add_handlers(app: FastAPI) -> None:
    """Let an application answer all errors with problems."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, SojournError)  # noqa: S101 - it is registered for these
        problem = problem_of(error)
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("%s %s: %s", request_id_of(request), type(error).__name__, error)
        return problem.response(request_id_of(request))

    async def told(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101
        return error.response(request_id_of(request))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        status = HTTPStatus(error.status_code)
        problem = Problem(status, _sentence(error.detail), headers=error.headers)
        return problem.response(request_id_of(request))

    async def wrong(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return _validation(error).response(request_id_of(request))

    app.add_exception_handler(SojournError, ours)
    app.add_exception_handler(Problem, told)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, wrong)


_MOST, _LONGEST = 10, 100
"""Faults that are named, and characters of a place: its names may be any that were sent."""


def _validation(error: RequestValidationError) -> Problem:
    """What is wrong with a request. No value that was sent is repeated."""
    faults = [
        {"where": ".".join(map(str, fault["loc"]))[:_LONGEST], "what": fault["msg"]}
        for fault in error.errors()[:_MOST]
    ]
    first = f": {faults[0]['where']}: {faults[0]['what']}" if faults else ""
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"The request is not as the API takes it{first}.",
        kind="InvalidRequest",
        faults=faults,
    )


def _of_kind(error: SojournError, table: Mapping[type[SojournError], Any]) -> Any:
    return next(table[kind] for kind in type(error).__mro__ if kind in table)


def _sentence(text: object) -> str:
    return f"{text}".rstrip(".") + "."


def _words(name: str) -> str:
    """`StaleSession` as `Stale session`."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", name)
