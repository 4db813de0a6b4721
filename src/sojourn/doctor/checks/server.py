"""Checks of the server's version, mode, role and client limit."""

from __future__ import annotations

from sojourn.doctor.model import Level, Verdict
from sojourn.doctor.reading import NotAllowed, NotRead, Reading
from sojourn.engine.product import Product

CROWDED, FULL = 0.80, 0.95
"""Of maxclients."""


def version(reading: Reading) -> Verdict:
    """Which product, and that it is Redis 6.2 or Valkey 7.2 at least."""
    info, hello = reading.info, reading.hello
    if isinstance(info.values, NotAllowed) and isinstance(hello.values, NotAllowed):
        return Verdict(
            Level.UNKNOWN,
            f"It does not tell what it is ({hello.values.why}; {info.values.why}): a proxy, or a "
            "server whose commands are renamed or denied.",
            "Examine the server behind it by its own address, or as a user who may ask; through a "
            "proxy each command that it lacks is an error of the call that needs it.",
        )
    product = Product.of(info.told, hello.told)
    if product.is_tested and product.number is None:
        told = product.version or info["redis_version"]  # or why that is not there
        raise NotRead(NotAllowed(f"{told!r} is no version that Sojourn can read"))
    if product.is_old:
        return Verdict(
            Level.PROBLEM,
            f"{product} is too old: it lacks commands that Sojourn uses.",
            "Run Redis 6.2 or Valkey 7.2, or newer.",
        )
    if product.is_tested:
        return Verdict(Level.OK, f"{product}.")
    return Verdict(
        Level.ADVICE,
        f"{product}. Sojourn is tested on Redis and Valkey; this has the commands that it uses.",
        "Try what you rely on before you do: writes at once, expiry, failover and what is kept.",
    )


def mode(reading: Reading) -> Verdict:
    """A plain server, and the URL says so."""
    info, hello, address = reading.info, reading.hello, reading.address
    kind = info.get("redis_mode") or info.get("server_mode") or hello["mode"]
    if kind == "sentinel":
        return Verdict(
            Level.PROBLEM,
            "This is a Sentinel: it knows where the server is, and keeps no data itself.",
            "Put the address of the primary into the URL, or let Sentinel name it: "
            "redis+sentinel://HOST:26379/NAME",
        )
    if kind == "cluster" or info.get("cluster_enabled") == "1":
        if reading.wanted.cluster:
            return Verdict(Level.OK, "A node of a Cluster, and the URL says so.")
        return Verdict(
            Level.PROBLEM,
            "This is one node of a Cluster, and the URL reaches only the keys that it holds.",
            f"Start the URL with {address.scheme.replace('redis', 'redis+cluster')}:// and name "
            "any of the nodes.",
        )
    if address.database:
        return Verdict(
            Level.ADVICE,
            f"The URL names database {address.database}: it shares memory and limits with the "
            "other databases, and a Cluster has none but 0.",
            "Use database 0 and a namespace: ?namespace=NAME in the URL.",
        )
    return Verdict(Level.OK, "A plain server, no Cluster and no Sentinel.")


def role(reading: Reading) -> Verdict:
    """A primary: a replica refuses writes."""
    info, scheme = reading.info, reading.address.scheme
    if (info.get("role") or reading.hello["role"]) == "master":
        return Verdict(Level.OK, "A primary: it takes writes.")
    if not info.get("master_host"):
        return Verdict(
            Level.PROBLEM,
            "This is a replica: it takes no writes.",
            "Put the address of the primary into the URL.",
        )
    primary = f"{info.get('master_host')}:{info.get('master_port')}"
    return Verdict(
        Level.PROBLEM,
        f"This is a replica of {primary} (link {info.get('master_link_status')}): it takes no "
        "writes.",
        f"Put the primary into the URL: {scheme if 'redis' in scheme else 'redis'}://{primary}",
    )


def clients(reading: Reading) -> Verdict:
    """Room for more connections."""
    info = reading.info
    connected = info.number("connected_clients")
    most = (info if info.get("maxclients") else reading.config).number("maxclients")
    what = f"{connected:,.0f} of {most:,.0f} clients are connected"
    if connected >= CROWDED * most:
        return Verdict(
            Level.PROBLEM if connected >= FULL * most else Level.WARNING,
            f"{what}: soon the server refuses connections.",
            f"maxclients {2 * most:.0f}, and as many open files (ulimit -n); or find out who "
            "holds so many: redis-cli CLIENT LIST",
        )
    if refused := int(info.get("rejected_connections") or 0):
        return Verdict(
            Level.ADVICE,
            f"{what} now, but {refused:,} connections were refused since the server started.",
            "Find out when there are more (redis-cli INFO clients), and raise maxclients if that "
            "is normal.",
        )
    return Verdict(Level.OK, f"{what}; Sojourn takes 2 for each event loop.")
