"""Session store on a server: the basis of all operations."""

from __future__ import annotations

from typing import Any, NoReturn

from sojourn.calls.call import Argument, Call, Script, only
from sojourn.caps import CAPS
from sojourn.codecs.growth import refusal
from sojourn.engine.engine import Engine
from sojourn.engine.scan import members
from sojourn.engine.store import RedisStore
from sojourn.errors import CorruptRecord, SojournError, TooLarge
from sojourn.ids import AppName, SessionKey, UserKey
from sojourn.sessions import refusals
from sojourn.sessions.index_registry import IndexRegistry
from sojourn.sessions.indexes import Indexes
from sojourn.sessions.inspection import CorruptionReporter
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.policy import Policy
from sojourn.sessions.quarantine import Quarantine
from sojourn.sessions.recent import Recent
from sojourn.sessions.replies import DONE, guarded, ms
from sojourn.sessions.shared_state import SharedState
from sojourn.sessions.snapshots import Snapshots
from sojourn.sessions.store import WriteOptions


class RedisSessions(RedisStore[SessionRoomKeys]):
    """The sessions of one deployment, over an engine.

    Its attributes are for operations.
    """

    def __init__(
        self, engine: Engine, keys: SessionRoomKeys, policy: Policy, quarantine: Quarantine
    ) -> None:
        super().__init__(engine, keys)
        self.policy = policy
        self.inspection = CorruptionReporter(engine, quarantine)
        self.shared_state = SharedState(engine, keys, policy, self.inspection)
        self.registry = IndexRegistry(engine, keys, policy)
        self.recent = Recent(engine, keys)
        self.indexes = Indexes(engine, keys, self.shared_state, self.inspection)
        self.snapshots = Snapshots(engine, keys, self.shared_state, self.registry, self.inspection)
        self.shared_ttl = ms(policy.state_ttl)

    async def find_members(self, key: str, pattern: str) -> list[bytes]:
        """The members of a sorted set that match. A round trip for each 1,000 there are."""
        return await members(self.engine, key, pattern)

    def state_key(self, of: UserKey | AppName) -> str:
        """The key of the state of a user or an app."""
        return self.keys.user(of).state if isinstance(of, UserKey) else self.keys.app_state(of)

    async def change(
        self,
        script: Script,
        key: SessionKey,
        write: WriteOptions,
        *args: Argument,
        operations: bool = False,
        separate_connection: bool = False,
    ) -> list[Any]:
        """Run a script that changes a session, with what all of them take. One round trip.

        Args:
            script: which one.
            key: of the session.
            write: operation id, incarnation, expected version.
            args: what the script takes behind these.
            operations: whether it writes to the operations of the user.
            separate_connection: whether it travels apart from small calls.

        Returns:
            its reply: `ok` or `duplicate`, and what it says then.

        Raises:
            SojournError: why nothing was written.
        """
        user = self.keys.user(key)
        reply: list[Any] = await self.engine.run(
            Call(
                name=f"sessions.{script.name}",
                keys=(
                    *self.keys.session(key),
                    *user[:2],
                    *((user.operations,) if operations else ()),
                    *self.policy.notice_keys(user),
                ),
                read=only,
                script=script,
                args=(*guarded(write), key.session, *args, *self.policy.notice_args()),
                operation_id=write.operation_id,
                separate_connection=separate_connection,
            )
        )
        if reply[0] not in DONE:
            await self.refuse(reply, key, write)
        return reply

    async def retire(
        self,
        script: Script,
        key: SessionKey,
        write: WriteOptions,
        *args: Argument,
        others: tuple[str, ...] = (),
    ) -> list[Any]:
        """Run a script that takes a session away from its id. One round trip.

        Args:
            script: which one.
            key: of the session.
            write: operation id and incarnation.
            args: what the script takes behind these and the session's id.
            others: more keys of sessions.

        Returns:
            its reply, whatever that says.
        """
        user = self.keys.user(key)
        reply: list[Any] = await self.engine.run(
            Call(
                name=f"sessions.{script.name}",
                keys=(
                    *self.keys.session(key),
                    *others,
                    *user[:2],
                    user.operations,
                    *self.policy.notice_keys(user),
                ),
                read=only,
                script=script,
                args=(
                    write.operation_id,
                    write.incarnation,
                    key.session,
                    *args,
                    *self.policy.notice_args(),
                ),
                operation_id=write.operation_id,
            )
        )
        return reply

    async def refuse(self, reply: list[Any], key: SessionKey, write: WriteOptions) -> NoReturn:
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
        self.refuse_size(reply, key)

    async def _was_rotated(self, key: SessionKey, incarnation: str) -> bool:
        """Whether a session of this incarnation had this id until it was given another."""
        operations = self.keys.user(key).operations
        name = f"rotated-from:{len(key.session.encode())}:{key.session}:{incarnation}"
        call = Call(
            name="sessions.rotated",
            keys=(operations,),
            read=only,
            commands=[("ZSCORE", operations, name)],
        )
        try:
            return await self.engine.run(call) is not None
        except SojournError:  # then it is not known why, and the write is refused all the same
            return False

    def refuse_size(self, reply: list[Any], key: SessionKey) -> NoReturn:
        """Raise that a session cannot be read, or that state would be over its cap."""
        if reply[0] == b"corrupt":
            head = self.keys.session(key).head
            raise CorruptRecord(
                f"The session at {head!r} cannot be read, so nothing was written. A read says what "
                "is wrong; deleting the session removes it.",
                key=head,
                raw=b"",
            )
        if reply[0] == b"sealed":
            raise refusal("The session", self.keys.session(key).head, value=reply[1])
        what = f"The {reply[0].decode()}"
        if len(reply) > 2:  # noqa: PLR2004 - it says what was counted
            raise TooLarge(what, int(reply[1]), CAPS.state_keys, unit=reply[2].decode())
        raise TooLarge(what, int(reply[1]), self.policy.max_state_bytes, "max_state_bytes")
