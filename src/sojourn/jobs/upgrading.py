"""Upgrade of records to a later major format, as the work of a job."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sojourn.codecs import growth
from sojourn.codecs.upgrades import upgrade_fields, upgrade_row
from sojourn.errors import CorruptRecord, NewerFormat
from sojourn.ids import UserKey
from sojourn.jobs.records import Fields, LogRows


class UpgradeWork:
    """Brings records to a major format.

    Args:
        to: which one.
    """

    name = "upgrade"
    owner: UserKey | None = None
    whole = True
    kinds: Collection[str] | None = None
    replaced = missed = 0

    def __init__(self, to: int) -> None:
        self.what = str(to)
        self._to = to

    async def fields(self, kind: str, key: str, fields: Fields) -> Fields:
        """A hash in that format."""
        try:
            growth.check_format(fields.get(b"format"), key)
            return upgrade_fields(kind, fields, self._to)
        except ValueError as error:
            raise CorruptRecord(
                f"{key} cannot be upgraded ({error}): others wrote it, or it was damaged.",
                key=key,
                raw=b"",
            ) from error

    async def rows(self, session: str, log: LogRows) -> Sequence[bytes]:  # noqa: ARG002
        """Rows in that format. Those that are damaged, or of a newer one, stay as they are."""
        return [_row(row, self._to) for row in log.rows]


def _row(row: bytes, to: int) -> bytes:
    try:
        return upgrade_row(row, to)
    except (ValueError, NewerFormat):
        return row
