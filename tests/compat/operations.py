"""Every operation that changes something, as one version sends it and the other repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SETTING = (
    "await store.sessions.create('shop', 'ada', 's', title='t', metadata={'m': [1]},"
    " labels={'team': 'a', 'flow': 'x'},"
    " state={'a': 1, 'user:b': {'x': []}, 'app:c': 10**30}, operation_id='made')",
    "await store.sessions.append(SessionKey.of('shop', 'ada', 's'), *(Event(author='user',"
    " payload={'n': n}, id=f'e{n}', time=1.5e9 + n, state_delta={'a': n, 'user:b': n, 'app:c': n})"
    " for n in range(3)), operation_id='said')",
    "await store.sessions.create('shop', 'bob', 's', operation_id='bobs')",
    "await store.memory.user('ada', app='shop').put('k', {'v': 'blue'}, metadata={'m': 1},"
    " text='a blue one', operation_id='kept')",
    "await store.memory.user('ada', app='shop').put('other', [1], ttl=None)",
    "await store.cache.put('c', {'v': 1}, ttl=100, stale=50, tags=['t'], operation_id='cached')",
    "await store.artifacts.save(SessionKey.of('shop', 'ada', 's'), 'f', b'one', metadata={'m': 1},"
    " operation_id='saved')",
    "await store.artifacts.save(UserKey.of('shop', 'ada'), 'f', b'mine', operation_id='saved')",
    "await streams(store).open(CONNECTION)",
    "await streams(store).add(CONNECTION, 'a', 'hello', operation_id='told')",
)
"""What there is before: something of everything."""


RECORDS = ("session", "events", "ops", "remembered", "cached", "artifact", "artifactdata", "mcp")
"""Kinds of keys of one record each."""

ALL = (*RECORDS, "state", "quarantine", "notices", "operations", "cacheops", "memory", "memoryops")


class Write(NamedTuple):
    """An operation.

    Attributes:
        name: room and method.
        call: the expression; `op` in it is the operation id.
        before: further expressions, sent by the version that will repeat it.
        once: repeated with its id it has the same result and changes nothing more. What has no
            operation id is repeated all the same if that is true of it.
        seen: it changes what users see.
        between: what another writer does before it is repeated, which that must not undo.
        removes: kinds of keys of which it may take away something whole, so that what only a newer
            version knows goes with it.
        new: the baseline does not have it.
    """

    name: str
    call: str
    before: Sequence[str] = ()
    once: bool = True
    seen: bool = True
    between: str = ""
    removes: Sequence[str] = ()
    new: bool = False


_S = "SessionKey.of('shop', 'ada', 's')"
_NEW = "SessionKey.of('shop', 'ada', 'new')"
_EVENT = "Event(author='user', payload='x', id='x', time=1.6e9, state_delta={'a': 'x', 'app:z': 1})"
_MEMORY = "store.memory.user('ada', app='shop')"
WRITES = (
    # ── sessions ───────────────────────────────────────────────────────────────────────────────
    Write(
        "Sessions.create",
        "await store.sessions.create('shop', 'ada', 'new', title='n', metadata={'q': 1}, ttl=900,"
        " state={'a': 1, 'user:n': 2, 'app:n': 3}, operation_id=op)",
    ),
    Write(
        "Sessions.ensure",
        "await store.sessions.ensure('shop', 'ada', 'new', state={'a': 1, 'app:n': 1},"
        " operation_id=op)",
    ),
    Write(
        "Sessions.ensure of one that is there",
        "await store.sessions.ensure('shop', 'ada', 's', state={'a': 'not'}, operation_id=op)",
        seen=False,
    ),
    Write("Sessions.append", f"await store.sessions.append({_S}, {_EVENT}, operation_id=op)"),
    Write("AdapterSessions.begin", f"await store.adapters.begin({_S}, {_EVENT}, operation_id=op)"),
    Write(
        "AdapterSessions.begin of a new one",
        f"await store.adapters.begin({_NEW}, {_EVENT}, ttl=900, operation_id=op)",
    ),
    Write(
        "AdapterSessions.replay",
        f"await store.adapters.replay({_S}, {_EVENT}, state={{'a': 'r'}}, operation_id=op)",
    ),
    Write(
        "Batches.append",
        f"await store.batch.append([({_S}, [{_EVENT}]),"
        " (SessionKey.of('shop', 'bob', 's'), [Event(author='b', payload=1, id='b', time=1.6e9)])],"
        " operation_id=op)",
    ),
    Write(
        "Sessions.update",
        f"await store.sessions.update({_S}, title='u', status='done', metadata={{'u': 1}}, ttl=900,"
        " labels={'flow': 'y', 'team': None, 'new': 'é'},"
        " operation_id=op)",
        between=f"await store.sessions.update({_S}, title='of another')",
    ),
    Write(
        "Sessions.save",
        f"await store.sessions.save({_S}, events=[{_EVENT}], state={{'b': 1}}, title='s',"
        " operation_id=op)",
        removes=("events",),
    ),
    Write(
        "Sessions.save of a new one",
        f"await store.sessions.save({_NEW}, events=[{_EVENT}], state={{'b': 1}}, operation_id=op)",
    ),
    Write(
        "Batches.save",
        f"await store.batch.save({{{_S}: {{'state': {{'b': 1}}}},"
        f" {_NEW}: {{'title': 'x'}}}}, operation_id=op)",
        removes=("events",),
    ),
    Write(
        "Sessions.trim",
        f"await store.sessions.trim({_S}, keep=1, operation_id=op)",
        removes=("events",),
    ),
    Write(
        "Sessions.remove_state",
        f"await store.sessions.remove_state({_S}, 'a', operation_id=op)",
        between=f"await store.sessions.append({_S},"
        " Event(author='a', payload=1, id='y', time=1.7e9, state_delta={'a': 'y'}))",
        new=True,
    ),
    Write("Sessions.touch", f"await store.sessions.touch({_S})", once=False, seen=False),
    Write(
        "Sessions.delete", f"await store.sessions.delete({_S}, operation_id=op)", removes=RECORDS
    ),
    Write(
        "Sessions.delete of none",
        f"await store.sessions.delete({_NEW}, operation_id=op)",
        seen=False,
    ),
    Write("Sessions.rotate", f"await store.sessions.rotate({_S}, operation_id=op)"),
    Write("SessionAdmin.revoke", f"await store.admin.revoke({_S})", once=False, removes=RECORDS),
    Write(
        "SessionAdmin.revoke_user",
        "await store.admin.revoke_user('shop', 'ada')",
        once=False,
        removes=RECORDS,
    ),
    Write(
        "SessionAdmin.revoke_app",
        "await store.admin.revoke_app('shop')",
        once=False,
        removes=RECORDS,
    ),
    Write("SessionAdmin.sweep", "await store.admin.sweep('shop')", seen=False),
    Write(
        "SessionAdmin.release",
        "[await store.admin.release('shop', 'ada', each.id)"
        " for each in await store.admin.quarantined('shop', 'ada')]",
        before=(
            "await raw('HSET', 'compat:session:{shop:ada}:s', 'state:a', 'no JSON')",
            f"await store.sessions.get({_S})",
            f"await store.sessions.append({_S}, {_EVENT})",
        ),
        once=False,
        removes=("quarantine",),
    ),
    # ── what is built on sessions ──────────────────────────────────────────────────────────────
    Write(
        "History.append",
        f"await store.history({_S}).append('user', 'hi', {{'m': 1}}, operation_id=op)",
    ),
    Write(
        "History.extend",
        f"await store.history({_NEW}).extend([{{'role': 'user', 'content': ['hi']}}],"
        " operation_id=op)",
    ),
    Write("History.pop", f"await store.history({_S}).pop()", once=False, removes=("events",)),
    Write("History.clear", f"await store.history({_S}).clear()", once=False, removes=("events",)),
    Write("Sojourn.rotate", f"await store.rotate({_S}, operation_id=op)"),
    Write("Sojourn.remember", f"await store.remember({_S}, summary='blue', end=True)", once=False),
    Write("Admin.forget", "await store.admin.forget('ada', app='shop')", once=False, removes=ALL),
    # ── cache ──────────────────────────────────────────────────────────────────────────────────
    Write(
        "Cache.put",
        "await store.cache.put('c', [2], ttl=100, tags=['u'], operation_id=op)",
        between="await store.cache.put('c', 'of another', ttl=100)",
    ),
    Write("Cache.delete", "await store.cache.delete('c', operation_id=op)", removes=RECORDS),
    Write("Cache.invalidate", "await store.cache.invalidate('t')", once=False, removes=RECORDS),
    Write(
        "Cache.fetch",
        "await store.cache.fetch('new', lambda: asyncio.sleep(0, {'by': op}), ttl=100)",
    ),
    Write(
        "CacheAdmin.forget",
        "await store.admin.cache.forget('')",
        once=False,
        removes=("cached", "cacheops"),
    ),
    # ── memory ─────────────────────────────────────────────────────────────────────────────────
    Write(
        "MemoryScope.put",
        f"await {_MEMORY}.put('k', 'red', metadata={{'m': 2}}, text='blue red', operation_id=op)",
        between=f"await {_MEMORY}.put('k', 'of another')",
    ),
    Write(
        "MemoryScope.put of a version",
        f"await {_MEMORY}.put('k', 'red', expected_version=1, operation_id=op)",
    ),
    Write(
        "MemoryScope.put of a tenant",
        "await store.memory.user('ada', app='shop', tenant='t').put('x', 'blue', operation_id=op)",
    ),
    Write(
        "MemoryScope.put_many",
        f"await {_MEMORY}.put_many({{'k': 1, 'n': 'blue'}}, operation_id=op)",
    ),
    Write(
        "MemoryScope.add",
        f"await {_MEMORY}.add({{'k': Draft(value='not'),"
        " 'n': Draft(value='blue', metadata={'m': 1})}, operation_id=op)",
    ),
    Write(
        "MemoryScope.add of others",
        f"await {_MEMORY}.add({{'k': Draft(value='now', text='blue')}}, replace=True,"
        " operation_id=op)",
    ),
    Write(
        "MemoryScope.merge",
        f"await {_MEMORY}.merge('k', {{'w': 1}}, operation_id=op)",
        between=f"await {_MEMORY}.merge('k', {{'w': 2}})",
    ),
    Write("MemoryScope.delete", f"await {_MEMORY}.delete('k', operation_id=op)", removes=RECORDS),
    Write("MemoryScope.clear", f"await {_MEMORY}.clear()", once=False, removes=RECORDS),
    Write(
        "MemoryAdmin.forget",
        "await store.admin.memory.forget('ada', app='shop')",
        once=False,
        removes=("remembered", "memory", "memoryops"),
    ),
    # ── artifacts ──────────────────────────────────────────────────────────────────────────────
    Write(
        "Artifacts.save",
        f"await store.artifacts.save({_S}, 'f', b'two', mime_type='a/b', metadata={{'m': 2}},"
        " operation_id=op)",
    ),
    Write(
        "Artifacts.save in pieces",
        f"await store.artifacts.save({_S}, 'g', b'x' * 600_000, operation_id=op)",
    ),
    Write(
        "Artifacts.move",
        f"await store.artifacts.move({_S}, {_NEW})",
        before=(f"await store.sessions.create(*{_NEW})",),
        once=False,
    ),
    Write(
        "Artifacts.delete",
        f"await store.artifacts.delete({_S}, 'f', operation_id=op)",
        removes=RECORDS,
    ),
    Write("Artifacts.clear", f"await store.artifacts.clear({_S})", once=False, removes=RECORDS),
    Write(
        "ArtifactAdmin.forget",
        "await store.admin.artifacts.forget('shop', 'ada')",
        once=False,
        removes=RECORDS,
    ),
    # ── streams ────────────────────────────────────────────────────────────────────────────────
    Write("Streams.open", "await streams(store).open(CONNECTION)", seen=False),
    Write("Streams.add", "await streams(store).add(CONNECTION, 'a', 'more', operation_id=op)"),
    Write("Streams.touch", "await streams(store).touch(CONNECTION)", seen=False),
    Write("Streams.close", "await streams(store).close(CONNECTION)", once=False, removes=RECORDS),
)

READS = {
    "Sojourn": {"ping", "health", "disconnect", "close"},
    "Sessions": {"get", "events", "list", "search", "count", "user_state"},
    "Batches": {"get"},
    "AdapterSessions": {"get_as"},
    "SessionAdmin": {"recent", "users", "apps", "quarantined"},
    "Admin": {
        "apps_of",
        "metrics",
        "reseal",
        "retire_dictionary",
        "upgrade",
    },  # nothing, where all is as it is written
    "History": {"all", "last"},
    "Cache": {"get", "close", "fingerprint"},
    "CacheAdmin": {"names"},
    "Memory": {"close"},
    "MemoryAdmin": {"scopes"},
    "MemoryScope": {"get", "entry", "get_many", "list", "latest", "search"},
    "Artifacts": {"load", "find", "versions", "names"},
    "ArtifactAdmin": {"owners"},
    "Streams": {"after"},
}
"""Operations that change nothing but lifetimes."""
