"""Inspection of a user's records: unreadable ones go to the quarantine, with their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sojourn.calls.call import Call
from sojourn.engine.engine import Engine
from sojourn.errors import CorruptRecord, SojournError
from sojourn.ids import SessionId, UserKey
from sojourn.sessions.quarantine import LARGEST, Part, Quarantine, UnreadablePart, visible
from sojourn.sessions.session_codec import FOREIGN, FieldError


class CorruptionReporter:
    """Reports flaws, and looks at keys of another type that stand in place of ours."""

    def __init__(self, engine: Engine, quarantine: Quarantine) -> None:
        self._engine = engine
        self._quarantine = quarantine

    async def report(
        self,
        owner: UserKey | None,
        session: SessionId | None,
        part: Part,
        key: str,
        flaws: Sequence[FieldError],
    ) -> bool:
        """Report what is wrong with a key; whether anything is.

        Two round trips for a key of another type, once a day in a process; none otherwise.
        """
        if not flaws:
            return False
        if flaws[0] is not FOREIGN or self._quarantine.is_news(key):
            seen = await self._seen(key, flaws)
            self._quarantine.add([UnreadablePart(owner, session, part, *flaw) for flaw in seen])
        return True

    async def refusal(
        self,
        owner: UserKey | None,
        session: SessionId | None,
        part: Part,
        key: str,
        flaws: Sequence[FieldError],
    ) -> CorruptRecord:
        """Report what is wrong with a key without which nothing can be served.

        Returns:
            the error to raise.
        """
        seen = await self._seen(key, flaws)
        self._quarantine.add([UnreadablePart(owner, session, part, *flaw) for flaw in seen])
        why = "; ".join(": ".join(filter(None, (visible(flaw[0]), flaw[1]))) for flaw in seen)
        message = f"{key!r} cannot be read ({why}). Its bytes are in `raw` and in the quarantine."
        return CorruptRecord(message, key=key, raw=b"\n".join(flaw.raw for flaw in seen))

    async def _seen(self, key: str, flaws: Sequence[FieldError]) -> Sequence[FieldError]:
        """The flaws with their bytes; those of a key of another type are on the server yet."""
        if flaws[0] is not FOREIGN:
            return flaws
        try:
            kind, text, size = await self._engine.run(_look(key))
            flaw = FOREIGN._replace(reason=f"{FOREIGN.reason} ({kind.decode()})")
            if isinstance(text, bytes):
                return [flaw._replace(raw=text)]
            if (size or 0) > LARGEST:
                return [flaw._replace(reason=f"{flaw.reason}, too large to be kept")]
            return [flaw._replace(raw=await self._engine.run(_dump(key)))]
        except SojournError:
            return flaws


def _look(key: str) -> Call[list[Any]]:
    commands = [("TYPE", key), ("GETRANGE", key, 0, LARGEST - 1), ("MEMORY", "USAGE", key)]
    return Call(
        "sessions.foreign",
        (key,),
        list,
        commands=commands,
        separate_connection=True,
        allow_wrong_type=True,
    )


def _dump(key: str) -> Call[bytes]:
    return Call(
        "sessions.foreign", (key,), _bytes, commands=[("DUMP", key)], separate_connection=True
    )


def _bytes(replies: list[Any]) -> bytes:
    return replies[0] or b""
