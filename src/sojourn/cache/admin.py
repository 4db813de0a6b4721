"""Cache operations for operators: names of entries, and erasure of a tenant."""

from __future__ import annotations

from sojourn.cache.operations.reads import ListCached
from sojourn.cache.operations.writes import ForgetTenant
from sojourn.calls.operation import RoomStore
from sojourn.ids import parse_tenant
from sojourn.process_bound import stays_here


@stays_here("its URL, and open the store there")
class CacheAdmin:
    """The calls of `store.admin.cache`.

    Args:
        store: where entries are kept.
    """

    def __init__(self, store: RoomStore) -> None:
        self._store = store

    async def names(self, *, tenant: str = "") -> list[str]:
        """The names of all entries of a tenant, in order.

        No index knows them: a round trip for each 1,000 keys of the server.
        """
        return await self._store.run(ListCached(parse_tenant(tenant)))

    async def forget(self, tenant: str) -> int:
        """Delete everything of a tenant; how many entries there were.

        Values being computed are not stored. A round trip for each 1,000 keys of the server.
        """
        return await self._store.run(ForgetTenant(parse_tenant(tenant)))
