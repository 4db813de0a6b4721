"""What a process opens and yet cannot read is quarantined as it is stored, not as it was opened."""

from __future__ import annotations

import secrets

import redis

from sealing import TestKeys, open_sealed
from servers import Server
from sojourn import Event, SessionKey
from sojourn.codecs.codec import Codec, Place
from sojourn.codecs.serializers import MessagePack
from sojourn.integrations.adk import SessionService
from sojourn.integrations.adk.events import KIND

WORD = "bergamot"


async def test_no_opened_event_or_state_value_gets_into_the_quarantine(
    shared_server: Server,
) -> None:
    key = SessionKey.of(f"app-{secrets.token_hex(6)}", "ada", "s")
    name = f"session:{{{key.app}:{key.user}}}:{key.session}"
    keys = TestKeys()
    with redis.Redis.from_url(shared_server.url) as client:
        async with open_sealed(shared_server.url, keys) as store:
            await store.sessions.create(key.app, key.user, session=key.session, state={"k": 1})
            # No event as ADK has them, and no JSON.
            await store.sessions.append(key, Event(author="user", payload=[WORD], kind=KIND))
            log_id = (client.hget(name, "log_id") or b"").decode()
            place = Place("sessions", "state", key.app, key.user, log_id, "k")
            coder = await Codec(MessagePack(), keys=keys).coder(key.app, key.user, create=True)
            client.hset(name, "state:k", coder.encode(WORD.encode(), place, sized=True))
            service = SessionService(store)
            await service.get_session(app_name=key.app, user_id=key.user, session_id=key.session)
            records = await store.admin.quarantined(key.app, key.user)
        stored = [*client.lrange(f"{name}:events", 0, -1), client.hget(name, "state:k")]
    assert sorted(record.raw for record in records) == sorted(stored)
    assert not any(WORD.encode() in record.raw for record in records)
