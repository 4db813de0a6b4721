"""Routes of the artifacts room: files of a user and of the user's sessions, in versions."""

from __future__ import annotations

import asyncio
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from time import monotonic
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response

from sojourn.artifacts import Artifact, ArtifactVersion
from sojourn.errors import CorruptRecord, InvalidInput, Undecodable
from sojourn.security import User
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.idempotency import OperationId
from sojourn.surfaces.http.pages import App, Cursor, Limit, UserId, documented, json, page
from sojourn.surfaces.http.problems import not_found

router = APIRouter(tags=["artifacts"])
ROUTES = [router]

OWN = "/apps/{app:id}/users/{user:id}/artifacts"
ONE = OWN + "/{name:id}"

_VERSION: dict[str, Any] = {
    "version": 0,
    "size": 48213,
    "mime_type": "application/pdf",
    "metadata": {},
    "created": 1767225600.0,
    "newer": False,
    "sealed": None,
}
_ARTIFACT: dict[str, Any] = {
    "name": "invoice.pdf",
    "session": None,
    "versions": 1,
    "latest": _VERSION,
}

_Name = Annotated[str, Path(description="Of the artifact; percent-encoded.", examples=["a.png"])]
_Of = Annotated[
    str | None, Query(description="Of this session; of the user's own if left out.", max_length=512)
]
_Which = Annotated[int | None, Query(ge=0, lt=2**53, description="Which version; else the last.")]

_AT_ONCE, _SESSIONS = 16, 50
"""Artifacts of a list, and sessions, that are looked at together."""
_SECONDS = 2.0
"""Seconds after which a list is cut."""

_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
_SHOWN = re.compile(r"image/(png|jpeg|gif|webp|avif|bmp)|audio/[a-z0-9.+-]+|text/plain")
"""Types that browsers show and never run."""
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_BINARY = "application/octet-stream"


@router.get(
    OWN,
    responses=documented({"items": [_ARTIFACT], "cursor": None, "partial": False}, "Artifacts."),
)
async def list_artifacts(
    who: As,
    app: App,
    user: UserId,
    *,
    session: _Of = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List artifacts: of a session; or the user's own, then those of the sessions that are listed.

    `latest` is null where the artifact cannot be read. After 2 seconds there is a shorter page
    (`partial`), and its cursor goes on.
    """
    own = who.user(app, user)
    place, end = _ListPlace.parse(cursor), monotonic() + _SECONDS
    found: list[tuple[str | None, str]] = []
    more: _ListPlace | None = place
    while more is not None and len(found) < limit and (more == place or monotonic() < end):
        named, more = await _names(own, session, more)
        room = limit - len(found)
        if len(named) > room:
            more = _ListPlace(*named[room - 1])
        found += [(each.session, each.name) for each in named[:room]]
    turn = asyncio.Semaphore(_AT_ONCE)

    async def document(of: str | None, name: str) -> dict[str, Any] | None:
        async with turn:
            try:
                versions = await own.artifacts.versions(name, session=of)
            except (CorruptRecord, Undecodable):
                return {"name": name, "session": of, "versions": None, "latest": None}
        if not versions:
            return None
        latest = _document(versions[-1])
        return {"name": name, "session": of, "versions": len(versions), "latest": latest}

    items = await asyncio.gather(*(document(*each) for each in found))
    partial = more is not None and len(found) < limit
    return page(
        [each for each in items if each is not None],
        None if more is None else more.text(),
        partial=partial,
    )


class _ListPlace(NamedTuple):
    """Where a list of artifacts goes on.

    Attributes:
        sessions: cursor of the page of sessions at hand, a space for the first one; empty before.
        session: the session of the last artifact listed; None for the user's own.
        name: its name; empty for none of them yet.
    """

    sessions: str = ""
    session: str | None = None
    name: str = ""

    def text(self) -> str:
        """The cursor for a caller to hand back."""
        return urlsafe_b64encode(msgspec.json.encode(self)).decode()

    @classmethod
    def parse(cls, cursor: str | None) -> _ListPlace:
        """The place of a cursor; the start for None.

        Raises:
            InvalidInput: it is not one.
        """
        if cursor is None:
            return cls()
        try:
            return msgspec.json.decode(urlsafe_b64decode(cursor.encode()), type=cls)
        except (ValueError, msgspec.MsgspecError) as error:
            raise InvalidInput("The cursor is not one that this list gave.") from error


class _Named(NamedTuple):
    """An artifact, and the page of sessions in which it was found."""

    sessions: str
    session: str | None
    name: str


async def _names(
    own: User, session: str | None, place: _ListPlace
) -> tuple[list[_Named], _ListPlace | None]:
    """The next names, and where to go on; None at the end."""
    if session is not None or (place.session is None and not place.sessions):
        names = await own.artifacts.names(session=session)
        named = [_Named("", session, name) for name in names if name > place.name]
        return named, None if session is not None else _ListPlace(" ")
    listed = await own.sessions.list(
        newest_first=True, limit=_SESSIONS, cursor=place.sessions.strip() or None
    )
    ids: list[str] = [each.key.session for each in listed.sessions]
    if place.session in ids:
        ids = ids[ids.index(place.session) :]
    found = await asyncio.gather(*(own.artifacts.names(session=each) for each in ids))
    named = [
        _Named(place.sessions, each, name)
        for each, names in zip(ids, found, strict=True)
        for name in names
        if each != place.session or name > place.name
    ]
    return named, None if listed.cursor is None else _ListPlace(listed.cursor)


@router.get(
    ONE + "/versions", responses=documented({"items": [_VERSION], "cursor": None}, "Versions.")
)
async def list_artifact_versions(
    who: As, app: App, user: UserId, name: _Name, *, session: _Of = None
) -> Response:
    """List the versions of an artifact, the newest first."""
    found = await who.user(app, user).artifacts.versions(name, session=session, newest_first=True)
    if not found:
        raise not_found("artifact")
    return page(list(map(_document, found)), None)


_ANY: dict[str, Any] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes.",
        "content": _ANY,
    },
    206: {
        "description": "A range of the bytes.",
        "content": _ANY,
    },
    304: {"description": "As `If-None-Match` says."},
    416: {"description": "The range is behind the end."},
}


@router.get(ONE, response_class=Response, responses=_BYTES)
async def get_artifact(
    who: As,
    app: App,
    user: UserId,
    name: _Name,
    *,
    session: _Of = None,
    version: _Which = None,
    download: Annotated[bool, Query(description="To be saved, and never shown.")] = False,
    range_: Annotated[str | None, Header(alias="Range", description="One range of bytes.")] = None,
    if_range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Read the bytes of an artifact, or a range of them.

    Types that a browser could run are sent as a download. Each read renews the lifetime.
    """
    own = who.user(app, user).artifacts
    if if_none_match is not None:
        found = await own.find(name, session=session, version=version)
        if found is not None and if_none_match == _etag(found):
            return Response(status_code=304, headers={"ETag": _etag(found)})
    loaded = await own.load(name, session=session, version=version)
    if loaded is None:
        raise not_found("artifact")
    headers = _headers(name, loaded, download=download)
    if range_ is not None and (if_range is None or if_range == headers["ETag"]):
        part = _part(range_, len(loaded.data))
        if part is not None:
            return _partial(loaded, part, headers)
    return Response(loaded.data, headers=headers)


@router.put(
    ONE,
    status_code=201,
    responses=documented({"name": "invoice.pdf", "version": 1}, "Saved.", status=201),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": _ANY,
        }
    },
)
async def put_artifact(
    who: As,
    app: App,
    user: UserId,
    name: _Name,
    request: Request,
    *,
    operation: OperationId,
    session: _Of = None,
) -> Response:
    """Save a new version: the body, of the type that `Content-Type` says."""
    kind = request.headers.get("content-type", _BINARY)
    saved = await who.user(app, user).artifacts.save(
        name, await request.body(), session=session, mime_type=kind, operation_id=operation
    )
    return json({"name": name, "version": saved}, status=201)


@router.delete(ONE, status_code=204, responses={204: {"description": "Deleted."}})
async def delete_artifact(
    who: As, app: App, user: UserId, name: _Name, *, operation: OperationId, session: _Of = None
) -> Response:
    """Delete an artifact, with all of its versions."""
    if not await who.user(app, user).artifacts.delete(
        name, session=session, operation_id=operation
    ):
        raise not_found("artifact")
    return Response(status_code=204)


def _document(found: ArtifactVersion) -> dict[str, Any]:
    sealed = found.sealed
    return {
        "version": found.version,
        "size": found.size,
        "mime_type": found.mime_type,
        "metadata": found.metadata,
        "created": found.created,
        "newer": found.newer,
        "sealed": None if sealed is None else {"key": sealed.key, "size": sealed.bytes},
    }


def _etag(found: ArtifactVersion) -> str:
    return f'"{found.version}.{found.size}.{found.created}"'


def _headers(name: str, found: Artifact, *, download: bool) -> dict[str, str]:
    """What stands above the bytes, so that no browser takes them for more than they are."""
    kind = found.mime_type.partition(";")[0].strip().lower()
    if not _TYPE.fullmatch(kind):
        kind = _BINARY
    shown = not download and _SHOWN.fullmatch(kind) is not None
    return {
        "ETag": _etag(found),
        "Accept-Ranges": "bytes",
        "Content-Type": "text/plain; charset=utf-8" if kind == "text/plain" else kind,
        "Content-Disposition": (
            f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(name, safe='')}"
        ),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-cache",
    }


def _part(said: str, size: int) -> range | None:
    """The bytes of a `Range` header; None for one that is passed over."""
    met = _RANGE.fullmatch(said.strip())
    if met is None or met.groups() == ("", ""):  # several, or nothing
        return None
    first, last = met.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


def _partial(found: Artifact, part: range, headers: dict[str, str]) -> Response:
    size = len(found.data)
    if not part:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return Response(found.data[part.start : part.stop], status_code=206, headers=headers)
