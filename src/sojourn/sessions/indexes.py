"""The indexes: a user's sessions, an app's users, and the apps, in pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sojourn.engine.call import Call, Command, Script, only
from sojourn.engine.engine import Engine
from sojourn.engine.keys import Keys
from sojourn.ids import SessionId, SessionKey, UserKey, parse_app, parse_session, parse_user
from sojourn.sessions.commons import LUA, Commons
from sojourn.sessions.hashes import FOREIGN, Flaw, parse_head, user_state
from sojourn.sessions.inspection import Inspection
from sojourn.sessions.quarantine import field_of
from sojourn.sessions.store import Listed, Named, Place, Stored

_PRUNE, _MEND = (Script.load(LUA, name) for name in ("prune", "mend"))

_MENDED = 1000
"""Sessions that have gone which one page of a list takes out."""


class Indexes:
    """What leads to the sessions of one deployment, over an engine."""

    def __init__(
        self, engine: Engine, keys: Keys, commons: Commons, inspection: Inspection
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._commons = commons
        self._inspection = inspection

    async def list_sessions(self, owner: UserKey, after: Place | None, limit: int) -> Listed:
        """Two round trips a page."""
        user = self._keys.user(owner)
        page = await self._page(owner, user.by_update, after, limit, parse_session)
        keys = [SessionKey(*owner, SessionId(place.name)) for place in page.places]
        if not keys:
            return Listed([], None)
        heads = [self._keys.session(key).head for key in keys]
        call = Call(
            name="sessions.list",
            keys=(*heads, user.state),
            read=list,
            commands=[("HGETALL", head) for head in (*heads, user.state)],
            bulk=True,
            lenient=True,
        )
        _, app_call = self._commons.state_calls(owner)
        replies, app = await self._engine.run_all([call, app_call])
        ours = user_state(replies.pop())
        shared = await self._commons.report(owner, ours, app)
        sessions: list[tuple[SessionKey, Stored]] = []
        corrupt: list[SessionKey] = []
        newer: list[SessionKey] = []
        gone: list[SessionKey] = []
        for key, head, reply in zip(keys, heads, replies, strict=True):
            if not reply:
                gone.append(key)
                continue
            found = parse_head(reply)
            if found.newer or ours.newer or app.newer:
                newer.append(key)
                continue
            if found.flaws:
                await self._inspection.report(owner, key.session, "session", head, found.flaws)
            if found.head is None:
                corrupt.append(key)
                continue
            readable = not (found.flaws or shared)
            stored = Stored(
                found.head, found.state, ours.pairs, app.pairs, [], 0, readable=readable
            )
            sessions.append((key, stored))
        if gone:
            self._engine.post(self.prune_call(owner))
            self._engine.post(self.mend_call(owner, gone[:_MENDED]))  # evicted
        return Listed(sessions, page.places[-1] if page.more else None, corrupt, newer)

    def prune_call(self, owner: UserKey) -> Call[int]:
        """Take sessions that have expired out of a user's indexes; gives how many."""
        return Call(
            name="sessions.prune",
            keys=(*self._keys.user(owner)[:2], *self._commons.told(owner)),
            read=only,
            script=_PRUNE,
            args=self._commons.told_for(),
        )

    def mend_call(self, owner: UserKey, keys: Sequence[SessionKey]) -> Call[list[int]]:
        """Make the indexes true of some sessions; gives how many went out, and how many came in."""
        heads = [self._keys.session(key).head for key in keys]
        return Call(
            name="sessions.sweep",
            keys=(*self._keys.user(owner)[:2], *heads),
            read=only,
            script=_MEND,
            args=[key.session for key in keys],
        )

    async def list_names(
        self, app: str | None, shard: int, after: Place | None, limit: int
    ) -> Named:
        """One round trip a page."""
        if app is None:
            return await self._page(None, self._keys.apps(), after, limit, parse_app)
        return await self._page(None, self._keys.users(app, shard), after, limit, parse_user)

    async def _page(
        self,
        owner: UserKey | None,
        index: str,
        after: Place | None,
        limit: int,
        parse: Callable[[str], str],
    ) -> Named:
        """Entries of a sorted set behind a place: those of its score may be on both sides of it.

        Each read begins with that score: from an offset, what others take out in between would make
        it pass over some.
        """
        low = "-inf" if after is None else after.score
        size = limit + (1 if after is None else 2)
        while True:
            found: list[Place] = []
            flaws: list[Flaw] = []
            command: Command = ("ZRANGEBYSCORE", index, low, "+inf", "WITHSCORES")
            flat: list[bytes] | Exception = await self._engine.run(
                Call(
                    name="sessions.index",
                    keys=(index,),
                    read=only,
                    commands=[(*command, "LIMIT", 0, size)],
                    lenient=True,
                )
            )
            if isinstance(flat, Exception):
                raise await self._inspection.refusal(owner, None, "index", index, [FOREIGN])
            for name, score in zip(flat[::2], flat[1::2], strict=True):
                try:
                    place = Place(float(score), parse(name.decode()))
                except ValueError:
                    flaws.append(Flaw(field_of(name), "not an id", name))
                    continue
                if after is None or place > after:
                    found.append(place)
            if len(found) > limit or len(flat) < 2 * size:
                break
            size *= 4
        await self._inspection.report(owner, None, "index", index, flaws)
        return Named(found[:limit], len(found) > limit)
