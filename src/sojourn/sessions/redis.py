"""Sessions on a server: one script per write, plain commands per read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from sojourn.caps import CAPS
from sojourn.engine.call import Argument, Call, Script, only
from sojourn.engine.engine import Engine
from sojourn.engine.keys import Keys
from sojourn.errors import (
    CorruptRecord,
    OutcomeUnknown,
    SessionExists,
    SojournError,
    TooLarge,
    Unavailable,
)
from sojourn.ids import AppName, SessionId, SessionKey, UserKey, parse_session
from sojourn.resilience.deadline import end_of_operation, no_later_than, within
from sojourn.sessions import refusals
from sojourn.sessions.commons import LUA, Commons, Policy
from sojourn.sessions.forgetting import Forgetting
from sojourn.sessions.graves import Buried, Fate, Forgotten, names_of
from sojourn.sessions.hashes import FOREIGN
from sojourn.sessions.indexes import Indexes
from sojourn.sessions.inspection import Inspection
from sojourn.sessions.quarantine import Quarantine
from sojourn.sessions.recent import Entry, Recent
from sojourn.sessions.replies import (
    as_object,
    counted,
    guarded,
    ms,
    seconds,
)
from sojourn.sessions.snapshots import Snapshots
from sojourn.sessions.store import (
    Birth,
    Born,
    Change,
    Delta,
    Image,
    Label,
    Life,
    Listed,
    Named,
    Pairs,
    Place,
    Renamed,
    Rows,
    Stored,
    Tidied,
    Window,
    Write,
    Written,
)
from sojourn.sessions.upkeep import Upkeep

CREATE, APPEND, UPDATE, SAVE, TRIM, DELETE, ROTATE = (
    Script.load(LUA, name)
    for name in ("create", "append", "update", "save", "trim", "delete", "rotate")
)

_DONE = (b"ok", b"duplicate")
_SHORT = 64
"""Events up to which a save travels with small calls."""


class RedisSessions:
    """The sessions of one deployment, over an engine."""

    def __init__(self, engine: Engine, keys: Keys, policy: Policy, quarantine: Quarantine) -> None:
        self._engine = engine
        self._keys = keys
        self._policy = policy
        self._inspection = Inspection(engine, quarantine)
        self._commons = Commons(engine, keys, policy, self._inspection)
        self._recent = Recent(engine, keys)
        self._indexes = Indexes(engine, keys, self._commons, self._inspection, self._recent)
        self._upkeep = Upkeep(engine, keys, self._commons, self._indexes, self._recent)
        self._snapshots = Snapshots(engine, keys, self._commons, self._inspection)
        self._forgetting = Forgetting(engine, keys, self._commons)
        self._shared_ttl = ms(policy.state_ttl)

    async def create(self, key: SessionKey, birth: Birth) -> Born:
        """One round trip; one more for the first session of a user in this process, or app state.

        The user is entered into the app's index first: a user without sessions is harmless there,
        a session without its user would be invisible. One that has waited is written first: who was
        forgotten since is not to be entered anywhere.
        """
        waited = birth.age is not None
        if birth.age is not None and (fate := await self.buried(key, birth.age)):
            raise refusals.erased(fate)
        known = not waited and not await self._commons.enroll(key.owner, birth.life.span)
        reply, *states = await self._engine.settle_all(
            [self._create_call(key, birth), *self._commons.state_calls(key.owner)]
        )
        repeated = await self._created(reply, key, birth, known=known)
        if waited:
            await self._commons.enroll(key.owner, birth.life.span)
            await self._not_buried(key, birth)
        self._commons.keep_alive(key.owner, birth.life.span)  # the server may be another by now
        for state in states:
            _made_sure(state, birth)
        _, created, expires, _, _, until, _ = reply
        user_found, app_found = states
        flawed = await self._commons.report(key.owner, user_found, app_found)
        return Born(
            float(created),
            seconds(expires),
            seconds(until),
            {**user_found.pairs, **birth.state.user},
            {**app_found.pairs, **birth.state.app},
            repeated=repeated,
            readable=not (flawed or user_found.newer or app_found.newer),
        )

    async def ensure(self, key: SessionKey, birth: Birth, window: Window) -> Stored:
        """As `create`, and the reading travels with it unless it may be large."""
        known = not await self._commons.enroll(key.owner, birth.life.span)
        create, read = self._create_call(key, birth), self._snapshots.call(key, window)
        _, app_call = self._commons.state_calls(key.owner)
        # On the connection of the reading, which is done after it.
        short = [create._replace(bulk=True), read, app_call]
        together = short if self._snapshots.is_short(window) else [create]
        while True:
            reply, *seen = await self._engine.settle_all(together)
            try:
                await self._created(reply, key, birth, known=known)
                ours = True
            except SessionExists:
                ours = False
            if seen:
                for each in seen:
                    _made_sure(each, birth if ours else None)
                stored, settled = await self._snapshots.stored(key, window, *seen)
            else:
                stored, settled = None, False
            if not settled:
                stored = await self._snapshots.read(key, window)
            if stored is not None:  # else another client has deleted it in between
                return stored

    def _create_call(self, key: SessionKey, birth: Birth) -> Call[Any]:
        life = birth.life
        return Call(
            name="sessions.create",
            keys=(
                *self._keys.session(key),
                *self._keys.user(key)[:5],
                *(() if birth.age is None else (self._keys.erased(key.owner),)),
                *self._commons.told(key),
            ),
            read=only,
            script=CREATE,
            args=(
                birth.operation_id,
                key.session,
                "" if birth.created is None else birth.created,
                ms(life.ttl),
                self._shared_ttl,
                self._policy.max_state_bytes,
                as_object(birth.state.app),
                ms(life.max_age),
                ms(life.until),
                _cap(self._policy.max_sessions),
                *self._waited(key, birth),
                *counted(birth.fields),
                *counted(birth.state.session),
                *counted(birth.state.user),
            ),
            operation_id=birth.operation_id,
        )

    def _waited(self, key: SessionKey, birth: Birth) -> tuple[Argument, Argument]:
        """For how long a create has waited, and what may have been buried since."""
        if birth.age is None:
            return "", ""
        return self._forgetting.waited(birth.age), names_of(key)

    async def _not_buried(self, key: SessionKey, birth: Birth) -> None:
        """Raise what was revoked or forgotten while a create that had waited was done.

        What is buried in another slot, an app or a user of any app, the script cannot know; and a
        name may have been entered into an index after it was struck off.
        """
        fate = None if birth.age is None else await self.buried(key, birth.age)
        if fate == "forgotten":
            await self.forget(key.owner)
        elif fate is not None:
            await self.delete(key, Write(f"{birth.operation_id[:120]}.undone", birth.operation_id))
        if fate is not None:
            raise refusals.erased(fate)

    async def _created(self, reply: Any, key: SessionKey, birth: Birth, *, known: bool) -> bool:
        """Raise what became of a create; whether it is a repetition.

        `known` says that the user was not entered into the app's index with it.
        """
        if isinstance(reply, BaseException):
            raise reply
        status = reply[0]
        if status == b"exists":
            raise refusals.exists(key)
        if status == b"gone":
            raise refusals.gone(key)
        if status == b"full":
            raise refusals.full(key, int(reply[1]))
        if status == b"past":
            raise refusals.past(key, int(reply[1]))
        if status == b"erased":
            raise refusals.erased(reply[1].decode())
        if status not in (b"ok", b"duplicate"):
            self._not_fitting(reply, key)
        if known and status == b"ok":
            self._commons.enroll_again(key.owner, birth.life.span)
        _, created, expires, stamp, waiting, *_ = reply
        if status == b"ok":
            labels = birth.fields.get("labels", b"")
            self._recent.enter(Entry(key, created, expires, labels))
        app_delta: Pairs = birth.state.app if status == b"ok" else {}
        await self._commons.share(key.owner, birth.operation_id, app_delta, stamp, waiting)
        return bool(status == b"duplicate")

    async def append(
        self, key: SessionKey, rows: Sequence[bytes], delta: Delta, updated: float, write: Write
    ) -> Written:
        """One round trip; one more when the delta touches the app's state."""
        reply, end = await self._engine.run_first(
            self._append_call(key, rows, delta, updated, write)
        )
        return await self._appended(reply, key, Rows(rows, delta, updated), write, end)

    async def begin(self, key: SessionKey, birth: Birth, first: Rows, write: Write) -> Written:
        """One round trip as `append`; two where there is no session.

        The user is entered into the app's index while the append finds that out; the create and the
        append that is repeated behind it leave together. Where they do not arrive in that order
        (two connections, a Cluster that moves slots) the append is repeated once more.
        """
        with within(self._engine.timeout):
            return await self._begin(key, birth, first, write)

    async def _begin(self, key: SessionKey, birth: Birth, first: Rows, write: Write) -> Written:
        append, span = self._append_call(key, *first, write), birth.life.span
        due = self._commons.enrolment(key.owner, span)
        reply, *entered = await self._engine.settle_all(
            [append, *due], aside=len(due), by=self._commons.enrolled_by()
        )
        failed = [each for each in entered if isinstance(each, BaseException)]
        if due and not failed:
            self._commons.enrolled(key.owner, span)
        if _is_missing(reply):
            for each in failed:
                self._commons.check_lost(each)
            create = self._create_call(key, birth)
            made, reply = await self._engine.settle_all([create, append])
            try:
                await self._created(made, key, birth, known=not due or bool(failed))
            except SojournError as error:
                if _is_missing(reply) and not isinstance(error, SessionExists):
                    raise
            if _is_missing(reply):
                reply = await self._engine.run(append)
        if isinstance(reply, BaseException):
            raise reply
        return await self._appended(reply, key, first, write, end_of_operation())

    def _append_call(
        self, key: SessionKey, rows: Sequence[bytes], delta: Delta, updated: float, write: Write
    ) -> Call[Any]:
        ours, user = self._keys.session(key), self._keys.user(key)
        return Call(
            name="sessions.append",
            keys=(*ours, *user[:4], *self._commons.told(key)),
            read=only,
            script=APPEND,
            args=(
                *guarded(write),
                key.session,
                updated,
                self._shared_ttl,
                self._policy.max_state_bytes,
                _cap(self._policy.max_events),
                as_object(delta.app),
                len(rows),
                *rows,
                *counted(delta.session),
                *counted(delta.user),
            ),
            operation_id=write.operation_id,
        )

    async def _appended(
        self, reply: list[Any], key: SessionKey, sent: Rows, write: Write, end: float
    ) -> Written:
        """Raise what became of an append, or carry its app delta on."""
        if reply[0] not in _DONE:
            await self._refuse(reply, key, write)
        status, version, seq, stamp, waiting, ttl, expires, labels = reply
        if sent.delta.app or waiting:
            app_delta: Pairs = sent.delta.app if status == b"ok" else {}
            with no_later_than(end):
                await self._commons.share(key.owner, write.operation_id, app_delta, stamp, waiting)
        self._commons.keep_alive(key.owner, seconds(ttl))
        self._recent.changed(Entry(key, sent.updated, expires, labels))
        return Written(int(float(version)), int(seq), status == b"duplicate")

    async def update(self, key: SessionKey, change: Change, write: Write) -> Written:
        """One round trip."""
        ours, user = self._keys.session(key), self._keys.user(key)
        life = ("keep" if each == "keep" else ms(each) for each in (change.ttl, change.until))
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.update",
                keys=(*ours, *user[:2], *self._commons.told(key)),
                read=only,
                script=UPDATE,
                args=(
                    *guarded(write),
                    key.session,
                    *life,
                    refusals.MAX_LABELS,
                    *(part for pair in change.fields.items() for part in pair),
                    *self._commons.told_for(),
                ),
                operation_id=write.operation_id,
            )
        )
        if reply[0] not in _DONE:
            await self._refuse(reply, key, write)
        self._commons.keep_alive(key.owner, seconds(reply[2]))
        now = Entry(key, *reply[3:7])
        if now.labels == now.former and change.ttl == change.until == "keep":
            self._recent.changed(now)
        else:
            self._recent.enter(now)
        return Written(int(float(reply[1])), 0, reply[0] == b"duplicate")

    async def save(self, key: SessionKey, image: Image, write: Write) -> Written:
        """One round trip; one more for the first session of a user in this process."""
        change = image.change
        known = image.new and not await self._commons.enroll(key.owner, Life(image.ttl).span)
        user = self._keys.user(key)
        life = ("keep" if each == "keep" else ms(each) for each in (change.ttl, change.until))
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.save",
                keys=(
                    *self._keys.session(key),
                    *user[:2],
                    user.operations,
                    *self._commons.told(key),
                ),
                read=only,
                script=SAVE,
                args=(
                    *guarded(write),
                    key.session,
                    *life,
                    ms(image.ttl) if image.new else "none",
                    self._policy.max_state_bytes,
                    _cap(self._policy.max_events),
                    _cap(self._policy.max_sessions),
                    *counted(change.fields),
                    *counted(image.state),
                    len(image.rows),
                    *image.rows,
                    *self._commons.told_for(),
                ),
                operation_id=write.operation_id,
                bulk=len(image.rows) > _SHORT,
            )
        )
        if reply[0] not in _DONE:
            await self._refuse(reply, key, write)
        if known and reply[4]:
            self._commons.enroll_again(key.owner, Life(image.ttl).span)
        self._commons.keep_alive(key.owner, seconds(reply[2]))
        self._recent.enter(Entry(key, *reply[5:9]))
        return Written(int(float(reply[1])), int(reply[3]), reply[0] == b"duplicate")

    async def trim(self, key: SessionKey, drop: int, keep: int | None, write: Write) -> Written:
        """One round trip."""
        ours, user = self._keys.session(key), self._keys.user(key)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.trim",
                keys=(*ours, *user[:2], *self._commons.told(key)),
                read=only,
                script=TRIM,
                args=(
                    *guarded(write),
                    key.session,
                    drop,
                    "" if keep is None else keep,
                    *self._commons.told_for(),
                ),
                operation_id=write.operation_id,
            )
        )
        if reply[0] not in _DONE:
            await self._refuse(reply, key, write)
        self._commons.keep_alive(key.owner, seconds(reply[2]))
        self._recent.changed(Entry(key, *reply[4:7]))
        return Written(int(float(reply[1])), int(reply[3]), reply[0] == b"duplicate")

    async def delete(self, key: SessionKey, write: Write) -> bool:
        """One round trip."""
        ours, user = self._keys.session(key), self._keys.user(key)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.delete",
                keys=(*ours, *user[:2], user.operations, *self._commons.told(key)),
                read=only,
                script=DELETE,
                args=(
                    write.operation_id,
                    write.incarnation,
                    key.session,
                    *self._commons.told_for(),
                ),
                operation_id=write.operation_id,
            )
        )
        if reply[0] == b"ok":
            self._recent.enter(Entry(key, former=reply[1]))
        return bool(reply[0] != b"missing")

    async def rotate(
        self, key: SessionKey, new: SessionKey, incarnation: str, write: Write
    ) -> Renamed:
        """One round trip."""
        user = self._keys.user(key)
        reply: list[Any] = await self._engine.run(
            Call(
                name="sessions.rotate",
                keys=(
                    *self._keys.session(key),
                    *self._keys.session(new),
                    *user[:2],
                    user.operations,
                    *self._commons.told(key),
                ),
                read=only,
                script=ROTATE,
                args=(
                    write.operation_id,
                    write.incarnation,
                    key.session,
                    new.session,
                    incarnation,
                    *self._commons.told_for(),
                ),
                operation_id=write.operation_id,
            )
        )
        if reply[0] == b"exists":
            raise refusals.exists(new)
        if reply[0] not in _DONE:
            await self._refuse(reply, key, write)
        status, session, incarnation = (part.decode() for part in reply[:3])
        if status == "ok":
            now = Entry(new, *reply[3:])
            self._recent.enter(Entry(key, former=now.labels), now)
        return Renamed(parse_session(session), incarnation, status == "duplicate")

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    async def read(self, key: SessionKey, window: Window) -> Stored | None:
        """One round trip; one more when other writers moved the rows while they were read."""
        return await self._snapshots.read(key, window)

    async def shared_state(self, owner: UserKey) -> tuple[Pairs, Pairs]:
        """One round trip."""
        user, app = await self._engine.run_all(self._commons.state_calls(owner))
        if FOREIGN in user.flaws:
            key = self._keys.user(owner).state
            raise await self._inspection.refusal(owner, None, "user state", key, user.flaws)
        await self._commons.report(owner, user, app)
        return user.known(), app.known()

    async def list_sessions(
        self,
        owner: UserKey,
        after: Place | None,
        limit: int,
        label: Label | None = None,
        *,
        newest_first: bool = False,
    ) -> Listed:
        """Two round trips a page."""
        return await self._indexes.list_sessions(
            owner, after, limit, label, newest_first=newest_first
        )

    async def list_ids(self, owner: UserKey, after: Place | None, limit: int) -> Named:
        """One round trip a page."""
        return await self._indexes.list_ids(owner, after, limit)

    async def list_users(
        self, users: Sequence[tuple[UserKey, Place | None]], limit: int
    ) -> Sequence[Listed | CorruptRecord]:
        """Two round trips."""
        return await self._indexes.list_users(users, limit)

    async def list_recent(
        self, app: AppName, after: Place | None, limit: int, label: Label | None = None
    ) -> Listed:
        """Two round trips a page."""
        return await self._indexes.list_recent(app, after, limit, label)

    async def list_names(
        self, app: str | None, shard: int, after: Place | None, limit: int
    ) -> Named:
        """One round trip a page."""
        return await self._indexes.list_names(app, shard, after, limit)

    async def tidy(self, owner: UserKey) -> Tidied:
        """Three round trips for each 200 sessions, and three more."""
        return await self._upkeep.tidy(owner)

    async def tidy_recent(self, app: AppName, shard: int) -> int:
        """Two round trips for each 200 sessions, one more where some are gone."""
        return await self._upkeep.tidy_recent(app, shard)

    async def count(self, owner: UserKey) -> int:
        """One round trip."""
        return await self._upkeep.count(owner)

    # ── revoking and forgetting ────────────────────────────────────────────────────────────────

    async def bury(self, what: Buried, fate: Fate) -> float:
        """One round trip."""
        return await self._forgetting.bury(what, fate)

    async def buried(self, key: SessionKey, age: float) -> Fate | None:
        """One round trip."""
        return await self._forgetting.buried(key, age)

    async def was_appended(self, key: SessionKey, operation_id: str, ids: Sequence[str]) -> bool:
        """Two round trips for each time that the session was rotated, in the last day."""
        operations = self._keys.user(key.owner).operations
        names: list[bytes] = await self._engine.run(
            Call("sessions.operations", (operations,), only, [("ZRANGE", operations, 0, -1)])
        )
        became = dict(filter(None, map(_rotated, names)))
        while new := became.pop(key.session, None):
            key = key._replace(session=new)
            ours = self._keys.session(key)
            places: list[bytes | None] = await self._engine.run(
                Call(
                    name="sessions.operations",
                    keys=(ours.operations, ours.ids),
                    read=list,
                    commands=[
                        ("ZSCORE", ours.operations, f"a{operation_id}"),
                        *(("ZSCORE", ours.ids, each) for each in ids),
                    ],
                )
            )
            done, *found = places
            if done is not None or (found and None not in found):
                return True
        return False

    async def forget(self, owner: UserKey) -> Forgotten:
        """A round trip for each 1,000 keys of the server, two for each 200 sessions, and some."""
        return await self._forgetting.forget(owner)

    # ── refusals ───────────────────────────────────────────────────────────────────────────────

    async def _refuse(self, reply: list[Any], key: SessionKey, write: Write) -> NoReturn:
        """Raise why a write was not done; one more round trip for one of an incarnation."""
        status = reply[0]
        if status == b"missing":
            if write.incarnation and await self._was_rotated(key, write.incarnation):
                raise refusals.rotated(key)
            raise refusals.missing(key)
        if status == b"stale":
            raise refusals.stale(key, actual=int(reply[1]), expected=write.expected or 0)
        if status == b"gone":
            raise refusals.gone(key)
        if status == b"full":
            raise refusals.full(key, int(reply[1]))
        if status == b"event":
            raise refusals.event_exists(int(reply[1]), reply[2].decode(errors="replace"))
        if status == b"newer":
            raise refusals.newer("The session", reply[1].decode())
        if status == b"labels":
            raise refusals.too_many_labels(int(reply[1]))
        self._not_fitting(reply, key)

    async def _was_rotated(self, key: SessionKey, incarnation: str) -> bool:
        """Whether a session of this incarnation had this id until it was given another."""
        operations = self._keys.user(key).operations
        name = f"rotated-from:{len(key.session.encode())}:{key.session}:{incarnation}"
        call = Call(
            name="sessions.rotated",
            keys=(operations,),
            read=only,
            commands=[("ZSCORE", operations, name)],
        )
        try:
            return await self._engine.run(call) is not None
        except SojournError:  # then it is not known why, and the write is refused all the same
            return False

    def _not_fitting(self, reply: list[Any], key: SessionKey) -> NoReturn:
        if reply[0] == b"corrupt":
            head = self._keys.session(key).head
            raise CorruptRecord(
                f"The session at {head!r} cannot be read, so nothing was written. A read says what "
                "is wrong; deleting the session removes it.",
                key=head,
                raw=b"",
            )
        what = f"The {reply[0].decode()}"
        if len(reply) > 2:  # noqa: PLR2004 - it says what was counted
            raise TooLarge(what, int(reply[1]), CAPS.state_keys, unit=reply[2].decode())
        raise TooLarge(what, int(reply[1]), self._policy.max_state_bytes, "max_state_bytes")


def _made_sure(result: Any, birth: Birth | None) -> None:
    """Raise what a read has met that came with a create; None when that created nothing."""
    if birth is not None and isinstance(result, Unavailable):
        raise OutcomeUnknown(
            f"The session was created, but what is around it could not be read ({result})."
            f" Repeat it with operation_id={birth.operation_id!r}, it takes effect once.",
            operation_id=birth.operation_id,
        ) from result
    if isinstance(result, BaseException):
        raise result


def _is_missing(reply: Any) -> bool:
    return not isinstance(reply, BaseException) and reply[0] == b"missing"


def _cap(number: int | None) -> Argument:
    return "" if number is None else number


def _rotated(operation: bytes) -> tuple[SessionId, SessionId] | None:
    """The old and the new id of a session, when a user's operation says so (`rotate.lua`)."""
    if not operation.startswith(b"rotated:"):
        return None
    rest, texts = operation[8:], list[bytes]()
    for _ in range(3):  # old id, operation id, new id; each behind its length
        size, _, rest = rest.partition(b":")
        if not size.isdigit():
            return None
        texts.append(rest[: int(size)])
        rest = rest[int(size) + 1 :]
    return SessionId(texts[0].decode()), SessionId(texts[2].decode())
