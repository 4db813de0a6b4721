"""Keys of jobs under way, and of the format that a deployment writes."""

from __future__ import annotations

from sojourn.calls.keys import ID, Endless, KeyKind, Keys, user_tag
from sojourn.ids import UserKey

KINDS = (
    KeyKind("job", rf"job:\{{[a-z]+(?::{ID}:{ID})?\}}"),
    KeyKind("format", "format", Endless.ALWAYS),
)


class JobRoomKeys(Keys):
    """Builds the keys of jobs."""

    kinds = KINDS

    def job(self, name: str, owner: UserKey | None = None) -> str:
        """How far a job is: of all records, or of those of a user."""
        return f"{self.start}job:{{{name}{'' if owner is None else f':{user_tag(owner)}'}}}"

    def format(self) -> str:
        """The format that the processes of this deployment write."""
        return f"{self.start}format"
