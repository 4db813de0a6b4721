"""Names of the Redis keys that hold data keys, and the marks of those that were destroyed."""

from __future__ import annotations

from sojourn.calls.keys import APP_TAG, USER_TAG, Endless, KeyKind, Keys, same_slot
from sojourn.ids import escape
from sojourn.keys.model import KeyOwner

KINDS = (
    KeyKind("datakeys", rf"keys:(?:{USER_TAG}|{APP_TAG})", Endless.ALWAYS),
    KeyKind("destroyed", r"destroyed:\{\d+\}"),
)


class DataKeyRoomKeys(Keys):
    """Builds the keys of this room."""

    kinds = KINDS

    def data_keys(self, owner: KeyOwner) -> tuple[str, str]:
        """The data keys of an owner, and the marks of owners whose keys were destroyed."""
        slot = same_slot(name_of(owner))
        return f"{self.start}keys:{{{name_of(owner)}}}", f"{self.start}destroyed:{{{slot}}}"

    def owner_of(self, key: str) -> KeyOwner:
        """Whose data keys a key holds."""
        app, *user = self.tag_of(key)
        return KeyOwner(app, user[0] if user else None)


def name_of(owner: KeyOwner) -> str:
    """The hash tag of an owner; it is also what is hashed in a mark."""
    app = escape(owner.app)
    return app if owner.user is None else f"{app}:{escape(owner.user)}"
