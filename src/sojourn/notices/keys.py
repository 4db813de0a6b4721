"""Key of a user's notices."""

from __future__ import annotations

from functools import lru_cache

from sojourn.calls.keys import REMEMBERED, USER_TAG, Endless, KeyKind, Keys
from sojourn.ids import UserKey

KINDS = (KeyKind("notices", rf"notices:{USER_TAG}", Endless.STATE_TTL),)


class NoticeRoomKeys(Keys):
    """Builds the key of this room. Scripts of sessions add to it, in one step with the change."""

    kinds = KINDS

    def __init__(self, namespace: str = "") -> None:
        super().__init__(namespace)
        self.notices = lru_cache(REMEMBERED)(self._notices)

    def _notices(self, owner: UserKey) -> str:
        """The changes of a user's sessions."""
        return self.of_user("notices", owner)
