"""`sojourn cache`: how much a cache holds, and results that are to be forgotten."""

from __future__ import annotations

from typing import Annotated

import typer

from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import show, write_json
from sojourn.surfaces.cli.options import Json, Namespace, Url
from sojourn.surfaces.cli.plain import counted, visible
from sojourn.surfaces.cli.root import epilog, group

_Tenant = Annotated[
    str, typer.Option(metavar="TENANT", help="Whose entries; else those of no tenant.")
]

commands = group("cache", "Look into the cache of a store.")


@commands.command(
    "stats",
    epilog=epilog(
        "sojourn cache stats",
        "sojourn cache stats --tenant ada --json",
        more="Hits and misses are counted by each process: `store.stats().cache`.",
    ),
)
def _stats(
    *,
    tenant: _Tenant = "",
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Count the entries of a tenant. Looks at every key of the server."""
    with connect(url, namespace) as store:
        names = store.run(store.admin.cache.names(tenant=tenant))
        if as_json:
            write_json([{"tenant": tenant, "entries": len(names)}])
        else:
            count = counted(len(names), "entry", "entries")
            show(f"{count} of {_named(tenant)} on {store.where}.")


@commands.command(
    "invalidate",
    epilog=epilog(
        "sojourn cache invalidate weather", "sojourn cache invalidate prices --tenant ada"
    ),
)
def _invalidate(
    tag: Annotated[str, typer.Argument(metavar="TAG", show_default=False)],
    *,
    tenant: _Tenant = "",
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Let all entries of a tag count as missing, also those that are being computed now."""
    with connect(url, namespace) as store:
        store.run(store.store.cache.invalidate(tag, tenant=tenant))
        if as_json:
            write_json([{"tenant": tenant, "tag": tag, "invalidated": True}])
        else:
            show(f"Invalidated tag {visible(tag)} of {_named(tenant)} on {store.where}.")


def _named(tenant: str) -> str:
    return f"tenant {visible(tenant)}" if tenant else "no tenant"
