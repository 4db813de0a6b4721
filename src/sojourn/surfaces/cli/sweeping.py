"""`sojourn sessions sweep`: the indexes of all users, made true."""

from __future__ import annotations

from sojourn.admin import Admin
from sojourn.sessions import Swept
from sojourn.surfaces.cli.listing import every_app


async def sweep_all(admin: Admin, app: str | None) -> Swept:
    """Sweep an app, or all, to the end; the sum of what was done."""
    total = Swept(0, 0, 0, 0, 0, 0, None)
    async for name in every_app(admin, app):
        cursor = None
        while True:
            swept = await admin.sweep(name, cursor=cursor)
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
