"""`sojourn sessions sweep`: the indexes of all users, made true."""

from __future__ import annotations

from sojourn.sessions import Sessions, Swept
from sojourn.surfaces.cli.listing import every_app


async def sweep_all(sessions: Sessions, app: str | None) -> Swept:
    """Sweep an app, or all, to the end; the sum of what was done."""
    total = Swept(0, 0, 0, 0, 0, 0, None)
    async for name in every_app(sessions, app):
        cursor = None
        while True:
            swept = await sessions.sweep(name, cursor=cursor)
            total = Swept(
                total.users + swept.users,
                total.expired + swept.expired,
                total.dropped + swept.dropped,
                total.restored + swept.restored,
                total.carried + swept.carried,
                total.corrupt + swept.corrupt,
                None,
            )
            cursor = swept.cursor
            if cursor is None:
                break
    return total
