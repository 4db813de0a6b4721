"""The floor of an append: the bytes of one, and a script that does nothing but the RPUSH."""

from msgspec.structs import replace

import sojourn
from sojourn import Event
from sojourn.calls.call import Script
from sojourn.ids import SessionKey
from sojourn.integrations.adk.events import to_event
from sojourn.sessions.checks import write_of
from sojourn.sessions.encoding import by_scope, encode_event
from sojourn.sessions.operations import Append

SCRIPT = Script(
    "floor", "return {'ok', redis.call('RPUSH', KEYS[2], ARGV[11]), 1, 1, 0, '86400000', '', ''}"
)


class Floor:
    """A store of which only the engine is used.

    Args:
        url: of the server.
        script: what takes the keys and arguments of an append.
    """

    def __init__(self, url, script=SCRIPT):
        self._script = script
        self._store = sojourn.open(url)
        self._server = self._store.stores.sessions

    def calls(self, events):
        """What appends of ADK's events would send, with the script in place of its own."""
        return [self._call("append-1000-0", to_event(event)) for event in events]

    def _call(self, session, event):
        row, state = encode_event(event, 2**20)
        key = SessionKey.of("bench", "ada", session)
        append = Append(key, [row], by_scope(state), event.time, write_of(None))
        return replace(append.call(self._server), name="bench.floor", script=self._script)

    async def keys(self, session):
        """The keys of a session's appends; the connection is open then."""
        await self._store.ping()
        some = Event(author="user", payload="")
        return self._call(session, some).keys

    async def run(self, call, keys):
        """Send it, for another session."""
        await self._server.engine.run(replace(call, keys=keys))

    async def close(self):
        await self._store.close()
