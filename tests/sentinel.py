"""A primary, its replicas and the sentinels that watch them: real processes, on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import redis

from servers import Server, credentials, until

HASTE = {
    "ping-period": 200,  # also how soon they connect again: until then a server counts as down
    "info-period": 1000,  # how soon sentinels see what a server has become
    "publish-period": 500,  # and how soon they find each other, and demote a primary come back
    "tilt-trigger": 10_000,  # a slow machine is not a broken clock
    "tilt-period": 1000,
}
"""Milliseconds, by SENTINEL DEBUG. Redis 6.2 lacks it: there all takes longer."""


class SentinelSet:
    """A primary with two replicas, and three sentinels.

    Args:
        folder: each process has a folder of its own below it.
        binary: the program.
        options: further options of the primary and its replicas, as on their command line.
        name: what the sentinels call the primary.
        password: what clients must say to the primary and its replicas, not to the sentinels.
        user: the ACL user whose password that is; nobody else is then let in.
        tls: folder of certificates: servers and sentinels then speak TLS only.
        down_after: milliseconds of silence until a sentinel holds a server to be down. Where
            SENTINEL DEBUG is missing it must be well over 1000, the wait before connecting again:
            else each failover leads to another one.
        failover_timeout: milliseconds that a failover may take; twice that until the next try.
    """

    def __init__(
        self,
        folder: Path,
        binary: str,
        options: Sequence[str] = (),
        *,
        name: str = "mymaster",
        password: str = "",
        user: str = "",
        tls: Path | None = None,
        down_after: int = 1500,
        failover_timeout: int = 2000,
    ) -> None:
        self.name = name
        options = ["--repl-diskless-sync-delay", "0", "--masterauth", password, *options]
        options += ["--masteruser", user] if user else []

        def server(n: int, config: str) -> Server:
            place, access = folder / f"server-{n}", {"password": password, "user": user}
            return Server(place, binary, options, tls=tls, config=config, **access)

        first = server(1, "")
        follow = f"replicaof 127.0.0.1 {first.port}\n"
        self.servers = [first, server(2, follow), server(3, follow)]
        watch = [
            f"sentinel monitor {name} 127.0.0.1 {first.port} 2",
            f"sentinel down-after-milliseconds {name} {down_after}",
            f"sentinel failover-timeout {name} {failover_timeout}",
            f"sentinel parallel-syncs {name} 2",
            *([f'sentinel auth-pass {name} "{password}"'] if password else []),
            *([f"sentinel auth-user {name} {user}"] if user else []),
        ]
        file = "\n".join(watch) + "\n"
        self.sentinels = [
            Server(folder / f"sentinel-{n}", binary, ["--sentinel"], config=file, tls=tls)
            for n in (1, 2, 3)
        ]

    def start(self) -> Self:
        """Start all, and return when the replicas follow and the sentinels know everybody."""
        try:
            for server in self.servers:
                server.start()
            until("both replicas follow", lambda: self._follow(self.servers[0]))
            for sentinel in self.sentinels:
                self._start_sentinel(sentinel)
            self.settle()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        with ExitStack() as stack:
            for server in self.servers + self.sentinels:
                stack.callback(server.close)

    @property
    def url(self) -> str:
        first = self.servers[0]
        scheme = "rediss+sentinel" if first.tls else "redis+sentinel"
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        secret = credentials(first.user, first.password)
        return f"{scheme}://{secret}{hosts}/{self.name}/0{first.trust}"

    @property
    def primary(self) -> Server:
        """Whom all sentinels that run call the primary now, be it dead or alive."""
        return until("the sentinels name one primary", self._named)

    @property
    def replicas(self) -> list[Server]:
        """The other servers, dead or alive."""
        primary = self.primary
        return [server for server in self.servers if server is not primary]

    def client(self) -> redis.Redis:
        """Plain redis-py to the present primary."""
        return self.primary.client()

    def kill_primary(self) -> Server:
        primary = self.primary
        primary.stop(9)
        return primary

    def pause_primary(self) -> Server:
        primary = self.primary
        primary.pause()
        return primary

    def resume(self) -> None:
        """Let go on whatever was paused: a former primary believes that it still is the primary."""
        for server in self.servers + self.sentinels:
            if server.paused:
                server.resume()

    def failover(self) -> Server:
        """Have a sentinel begin a failover, with all alive. Gives the primary that has to go."""
        primary = self.primary
        sentinel = next(sentinel for sentinel in self.sentinels if sentinel.running)
        sentinel.ask("SENTINEL", "FAILOVER", self.name)
        return primary

    def await_new_primary(self, old: Server, seconds: float = 30) -> Server:
        """Wait until the sentinels agree on another primary and it knows that it is one."""

        def promoted() -> Server | None:
            new = self._named()
            return new if new not in (None, old) and new.ask("ROLE")[0] == "master" else None

        return until(f"another primary than {old}", promoted, seconds)

    def await_everywhere(self, key: str) -> None:
        """Wait until all servers have a key."""
        until(f"all have {key}", lambda: all(each.ask("EXISTS", key) for each in self.servers))

    def restart(self, server: Server) -> None:
        """Start a server or sentinel that was killed, and wait until it has found its place."""
        if server in self.sentinels:
            self._start_sentinel(server)
        else:
            server.start()
        self.settle()

    def settle(self, seconds: float = 30) -> Server:
        """Wait until all that run agree: on the primary, who follows it, who watches. Gives it."""
        return until("servers and sentinels agree", self._settled, seconds)

    def _start_sentinel(self, sentinel: Server) -> None:
        sentinel.start()
        with suppress(redis.ResponseError):
            sentinel.ask("SENTINEL", "DEBUG", *(x for pair in HASTE.items() for x in pair))

    def _named(self) -> Server | None:
        about = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
        ports = {int(sentinel.ask(*about)[1]) for sentinel in self.sentinels if sentinel.running}
        return next((server for server in self.servers if {server.port} == ports), None)

    def _follow(self, primary: Server) -> bool:
        """Whether the primary is one, and all others that run have its data and its stream."""
        role, _, *followers = primary.ask("ROLE")
        others = [server for server in self.servers if server.running and server is not primary]
        return (
            role == "master"
            and {int(port) for _, port, _ in followers[0]} == {server.port for server in others}
            and all(
                server.ask("ROLE")[:4] == ["slave", "127.0.0.1", primary.port, "connected"]
                for server in others
            )
        )

    def _settled(self) -> Server | None:
        primary = self._named()
        if primary is None or not primary.running or not self._follow(primary):
            return None
        return (
            primary
            if all(self._sees_all(s, primary) for s in self.sentinels if s.running)
            else None
        )

    def _sees_all(self, sentinel: Server, primary: Server) -> bool:
        """Whether a sentinel holds all that run to be well, and what they are."""
        about = lambda what: list(map(_fields, sentinel.ask("SENTINEL", what, self.name)))  # noqa: E731
        master = _fields(sentinel.ask("SENTINEL", "MASTER", self.name))
        replicas = {
            int(replica["port"])
            for replica in about("REPLICAS")
            if replica["flags"] == "slave"
            and replica["master-link-status"] == "ok"
            and int(replica["master-port"]) == primary.port
        }
        watching = {
            int(other["port"])
            for other in about("SENTINELS")  # with what they last thought of the primary: it stays
            if other["flags"].removesuffix(",master_down") == "sentinel"
        }
        return (
            master["flags"] == "master"
            and replicas == {s.port for s in self.servers if s.running and s is not primary}
            and watching == {s.port for s in self.sentinels if s.running and s is not sentinel}
        )


def _fields(reply: list[str]) -> dict[str, str]:
    return dict(zip(reply[::2], reply[1::2], strict=True))
