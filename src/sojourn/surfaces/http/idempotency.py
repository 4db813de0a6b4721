"""Idempotency keys: a request repeated with the same key takes effect once."""

from __future__ import annotations

from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Header, Query, Request

from sojourn.ids import UserKey, operation_id_of, tenant_of
from sojourn.surfaces.http.caller import As, Caller
from sojourn.surfaces.http.pages import App, UserId
from sojourn.surfaces.http.problems import Problem

_LASTS = 24 * 3600.0
"""Seconds for which a key is known, as the operation ids of sessions are."""


async def operation_of(who: Caller, request: Request, app: str, user: str, key: str) -> str:
    """The operation id of a key, for one caller and one route.

    Two round trips: it is remembered in the cache of the user whose data it is about, for 24 h,
    which body the key came with.

    Raises:
        Problem: it came with another body before.
    """
    said = (who.holder.user, request.method, request.scope["path"], key)
    made = blake2b(digest_size=24)
    for each in said:
        made.update(len(each.encode()).to_bytes(4, "big") + each.encode())
    operation = f"http-{made.hexdigest()}"
    digest = blake2b(await request.body(), digest_size=16).hexdigest()
    tenant, cache = tenant_of(UserKey.of(app, user)), who.store.cache
    known = await cache.get(operation, tenant=tenant)
    if known is None:
        await cache.put(operation, digest, ttl=_LASTS, tenant=tenant)
    elif known != digest:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "This Idempotency-Key came with another body before: make up a new one.",
            kind="IdempotencyKeyReused",
        )
    return operation


async def _operation(
    who: As,
    request: Request,
    app: App,
    user: UserId,
    *,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="Make one up for each change. Repeat a request that got no answer with the "
            "same key: it takes effect once, within 24 h. Another body with it is refused (422).",
        ),
    ] = None,
    operation_id: Annotated[
        str | None,
        Query(description="Instead of it: as a problem `OutcomeUnknown` gave it."),
    ] = None,
) -> str | None:
    if not who.holder.is_for(app, user):
        return None  # the handler refuses it
    if idempotency_key is None:
        return None if operation_id is None else operation_id_of(operation_id)
    return await operation_of(who, request, app, user, idempotency_key)


OperationId = Annotated[str | None, Depends(_operation)]
"""The operation id of a change; None makes a new one."""
