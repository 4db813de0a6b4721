"""ETags: the incarnation and the version of a session, and what a request expects of them."""

from __future__ import annotations

import re
from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote, unquote

import msgspec
from fastapi import Depends, Header, Request

from sojourn.surfaces.http.problems import Problem

_TAG = re.compile(r'"([^".]+)\.(\d{1,15})(?:\.[0-9a-f]+)?"')


class Expected(NamedTuple):
    """What a session must still be.

    Attributes:
        incarnation: this one; empty for any.
        version: of this version; None for any.
    """

    incarnation: str = ""
    version: int | None = None


def etag_of(incarnation: str, version: int, *more: Any) -> str:
    """The ETag of a session, or of an answer with more in it than its version tells of.

    Args:
        incarnation: of the session.
        version: of the session.
        more: JSON that may change without it.
    """
    tag = f"{quote(incarnation, safe='').replace('.', '%2E')}.{version}"
    if more:
        tag += f".{blake2b(msgspec.json.encode(more), digest_size=8).hexdigest()}"
    return f'"{tag}"'


def is_known(request: Request, etag: str) -> bool:
    """Whether the caller has what the ETag stands for: then the answer is 304."""
    said = request.headers.get("if-none-match", "")
    return any(each.strip().removeprefix("W/") in (etag, "*") for each in said.split(","))


async def _if_match(
    if_match: Annotated[
        str | None,
        Header(description="The ETag of a session as it must still be; else 412.", max_length=1024),
    ] = None,
) -> Expected:
    if if_match is None or if_match.strip() == "*":
        return Expected()
    found = _TAG.fullmatch(if_match.strip())
    if found is None:
        raise Problem(
            HTTPStatus.PRECONDITION_FAILED, "If-Match is not an ETag of a session: read it again."
        )
    return Expected(unquote(found[1]), int(found[2]))


IfMatch = Annotated[Expected, Depends(_if_match)]
