"""Delete all that is kept of a user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.errors import Unavailable
from sojourn.ids import SessionId, SessionKey, UserKey, escape, parse_session, unescape
from sojourn.sessions.tombstones import Forgotten

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

SCRIPT = Script.beside(__name__)

_STEP = 200
"""Sessions that one script deletes."""


class Forget(Operation[Forgotten], frozen=True):
    """Delete all that is kept of a user. Interrupted, it can be done again.

    Attributes:
        owner: which user.
    """

    owner: UserKey

    async def on_server(self, server: RedisSessions) -> Forgotten:
        """A round trip for each 1,000 keys of the server, two for each 200 sessions, and some."""
        # What its indexes lead to first, then what they have lost.
        owner, done = self.owner, Forgotten()
        while True:
            done = done.plus(Forgotten(app_deltas=await _carry_out(server, owner)))
            names = await _listed(server, owner)
            last, part = await _delete(server, owner, names)
            done = done.plus(part)
            if last:
                break
        lost = await _lost(server, owner)
        for start in range(0, len(lost), _STEP):
            _, part = await _delete(server, owner, lost[start : start + _STEP])
            done = done.plus(part)
        labels = server.keys.labels_by(server.keys.user(owner).by_update)
        await server.unlink(await server.find(labels))
        await server.engine.settle()
        await _out_of_recent(server, owner)
        await server.registry.unregister(owner)
        return done

    async def in_memory(self, memory: InMemorySessions) -> Forgotten:
        """As `Operation`."""
        owner, ours = self.owner, memory.keys_of(self.owner)
        gone = [session for key in ours if (session := memory.alive(key)) is not None]
        done = Forgotten(
            sessions=len(gone),
            events=sum(len(session.rows) for session in gone),
            operations=sum(len(session.operations) for session in gone)
            + len(memory.operations.get(owner, ())),
            user_state=len(memory.values(owner)),
        )
        for key in ours:
            memory.sessions.pop(key, None)
        for key, name in [each for each in memory.staged if each[0].owner == owner]:
            del memory.staged[key, name]
        memory.shared_state.pop(owner, None)
        memory.operations.pop(owner, None)
        return done


async def _out_of_recent(server: RedisSessions, owner: UserKey) -> None:
    """Take all that names the user out of the index of the app's sessions."""
    recent = server.keys.recent_of(owner)
    labelled = await server.find(server.keys.labels_by(recent.by_update))
    for index in (*recent, *labelled):
        names = await server.find_members(index, f"{escape(owner.user)}:*")
        for start in range(0, len(names), _STEP):
            part = names[start : start + _STEP]
            await server.engine.run(
                Call("sessions.forget", (index,), only, commands=[("ZREM", index, *part)])
            )


async def _carry_out(server: RedisSessions, owner: UserKey) -> int:
    """The deltas of app state that wait are the app's: they are not forgotten."""
    outbox = server.keys.user(owner).outbox
    size: Call[Any] = Call(
        "sessions.outbox", (outbox,), only, commands=[("HLEN", outbox)], allow_wrong_type=True
    )
    waiting = await server.engine.run(size)
    if not waiting or not isinstance(waiting, int):
        return 0
    drained = await server.shared_state.flush(owner)
    if drained.left or drained.newer:
        raise Unavailable(
            "Changes of app state that this user's sessions have made cannot be carried out "
            "now, so not all of the user was forgotten. Do it again; if the state of the app "
            "is a key of another type, delete that first; if a newer version of Sojourn wrote "
            "them, do it with that one."
        )
    if drained.damaged:  # there may have been no room in the quarantine
        call: Call[Any] = Call(
            "sessions.outbox", (outbox,), only, commands=[("HDEL", outbox, *drained.damaged)]
        )
        await server.engine.run(call)
    return waiting


async def _listed(server: RedisSessions, owner: UserKey) -> list[bytes]:
    """Some names in the indexes."""
    names: dict[bytes, None] = {}
    for index in server.keys.user(owner)[:2]:
        call: Call[Any] = Call(
            "sessions.index",
            (index,),
            only,
            commands=[("ZRANGE", index, 0, _STEP - 1)],
            allow_wrong_type=True,
        )
        listed = await server.engine.run(call)
        if isinstance(listed, list):
            names |= dict.fromkeys(cast("list[bytes]", listed))
    return list(names)


async def _lost(server: RedisSessions, owner: UserKey) -> list[bytes]:
    """Sessions that no index names any more. Rows that wait for their session are deleted."""
    kinds = await server.find(server.keys.sessions_by(owner))
    await server.unlink([key for key, kind in kinds.items() if kind == "staged"])
    ours = [key for key, kind in kinds.items() if kind in ("session", "events", "ops", "ids")]
    escaped = {key[key.index("}:") + 2 :].partition(":")[0] for key in ours}
    return [unescape(each).encode() for each in sorted(escaped)]


async def _delete(
    server: RedisSessions, owner: UserKey, names: Sequence[bytes]
) -> tuple[bool, Forgotten]:
    """Delete sessions, and all else if none is left; whether that was so."""
    sessions = [key for name in names if (key := _key(owner, name)) is not None]
    user = server.keys.user(owner)
    call: Call[list[int]] = Call(
        name="sessions.forget",
        keys=(
            *(user.by_update, user.by_expiry, user.operations, user.state, user.outbox),
            *(each for key in sessions for each in server.keys.session(key)),
        ),
        read=only,
        script=SCRIPT,
        args=names,
    )
    last, *counts = await server.engine.run(call)
    return bool(last), Forgotten(*counts)


def _key(owner: UserKey, name: bytes) -> SessionKey | None:
    try:
        return SessionKey(*owner, SessionId(parse_session(name.decode())))
    except ValueError:
        return None
