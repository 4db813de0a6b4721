"""Keys of the owners of session ids, of the counters of guards, and of failed guesses."""

from __future__ import annotations

from sojourn.calls.keys import APP_TAG, SHARD_TAG, USER_TAG, KeyKind, Keys
from sojourn.ids import escape

KINDS = (
    KeyKind("owner", rf"owner:{USER_TAG}"),
    KeyKind("security", rf"security:{APP_TAG}(?::flagged)?"),
    KeyKind("enumeration", rf"enumeration:{SHARD_TAG}"),
)


class SecurityRoomKeys(Keys):
    """Builds the keys of this room."""

    kinds = KINDS

    def owner(self, app: str, session: str) -> str:
        """The owner of a session id."""
        return f"{self.start}owner:{{{escape(app)}:{escape(session)}}}"

    def owners_by(self, app: str) -> str:
        """A glob of the owners of an app's session ids."""
        return f"{self.start}owner:{{{escape(app)}:*"

    def security(self, app: str) -> tuple[str, str]:
        """The counters of guards for an app, and the sessions that they flagged."""
        counts = self.of_app("security", app)
        return counts, f"{counts}:flagged"

    def enumeration(self, app: str, bucket: int) -> str:
        """Counts of failed guesses by the peers of a bucket: ids that are missing or not theirs."""
        return self.of_shard("enumeration", escape(app), bucket)
