"""Notices as a room of a store."""

from __future__ import annotations

from sojourn.calls.room import OpenRoom, Room, RoomContext, at_once, nobodys
from sojourn.notices.inmemory import InMemoryNotices
from sojourn.notices.keys import NoticeRoomKeys
from sojourn.notices.operations import ForgetNotices
from sojourn.notices.redis import RedisNotices
from sojourn.notices.service import Notices
from sojourn.notices.store import NoticeStore


def _open(at: RoomContext) -> OpenRoom:
    options = at.options
    store: NoticeStore
    if at.engine is None:
        store = memory = InMemoryNotices(options.state_ttl)
        apps_of, tell = at_once(memory.apps_of), memory.tell if options.notices else None
    else:
        store = RedisNotices(at.engine, NoticeRoomKeys(options.namespace))
        apps_of, tell = nobodys, None
    notices = Notices(
        store,
        enabled=options.notices,
        poll=options.health_check_interval,
        operation_timeout=options.operation_timeout,
    )

    async def close() -> None:
        notices.close()

    return OpenRoom(
        service=notices,
        forget={"notices": lambda owner: store.run(ForgetNotices(owner))},
        apps_of=apps_of,
        session_changed=tell,
        close=close,
    )


ROOM = Room(
    name="notices",
    keys=NoticeRoomKeys,
    open=_open,
    wraps=(Notices,),
    handles={"notices": None},
)
