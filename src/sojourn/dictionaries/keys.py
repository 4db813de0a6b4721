"""Names of the Redis keys that hold dictionaries."""

from __future__ import annotations

from sojourn.calls.keys import APP_TAG, Endless, KeyKind, Keys

KINDS = (KeyKind("dictionary", rf"dictionary:{APP_TAG}", Endless.ALWAYS),)


class DictionaryRoomKeys(Keys):
    """Builds the keys of this room."""

    kinds = KINDS

    def dictionary(self, app: str) -> str:
        """The dictionaries of an app."""
        return self.of_app("dictionary", app)
