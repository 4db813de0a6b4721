"""What one version left when it died, in its journal and on the server, done by the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compat.conftest import Pair
from compat.side import Side, Version
from servers import Server, until

SESSION = "SessionKey.of('shop', 'ada', 's')"
GET = f"await store.sessions.get({SESSION})"
APPEND = (
    f"await store.sessions.append({SESSION},"
    " Event(author='u', payload=n, id=f'e{n}', state_delta={'n': n, 'app:n': n}))"
)

both_ways = pytest.mark.parametrize("first", ["earlier", "later"])

Begin = Callable[..., Side]


@pytest.fixture
def server(pair: Pair, tmp_path: Path) -> Iterator[Server]:
    """A server of the same kind, which forgets nothing when it is stopped."""
    options = ["--appendonly", "yes", "--appendfsync", "always"]
    server = Server(tmp_path / "server", pair.server.binary, options).start()
    yield server
    server.close()


@pytest.fixture
def begin(server: Server, tmp_path: Path) -> Iterator[Begin]:
    """Start a process of a version with its store open."""
    sides: list[Side] = []

    def begin(version: Version, *, journal: bool = True) -> Side:
        side = Side(version, tmp_path)
        sides.append(side)
        options: dict[str, Any] = {"operation_timeout": 0.5} if journal else {}
        if journal:
            options |= {"on_outage": "buffer", "journal": str(tmp_path / "journal")}
        side.open(server.url, namespace="compat", notices=True, **options)
        return side

    yield begin
    server.resume()
    for side in sides:
        side.close()


def in_order(pair: Pair, first: str) -> tuple[Version, Version]:
    both = pair.earlier, pair.later
    return both if first == "earlier" else both[::-1]


def payloads(side: Side) -> list[int]:
    session = side.run(GET)
    assert session["complete"]
    return [event["payload"] for event in session["events"]]


@both_ways
def test_a_journal_of_one_is_replayed_by_the_other(
    pair: Pair, server: Server, begin: Begin, first: str
) -> None:
    older, newer = in_order(pair, first)
    one = begin(older)
    one.run(f"await store.sessions.create(*{SESSION})")
    one.run(APPEND, n=0)
    server.stop()
    assert not one.run(APPEND, n=1)["durable"]
    made = one.run("await store.sessions.create('shop', 'ada', title='made', metadata={'m': 1})")
    assert not made["durable"]
    one.run("await store.sessions.append(SessionKey(**key), Event(author='u', payload='first'))",
            key={k: v for k, v in made["key"].items() if k != "$type"})  # fmt: skip
    one.kill()
    server.start()

    two = begin(newer)
    two.run(APPEND, n=2)
    assert payloads(two) == [0, 1, 2]
    until("all is replayed", lambda: two.run("store.stats().buffered == 0 and len(reports) > 0"))
    (report,) = two.run("reports")
    assert (report["applied"], report["refused"]) == (3, [])
    found = two.run(
        "await store.sessions.get(SessionKey(**key))",
        key={k: v for k, v in made["key"].items() if k != "$type"},
    )
    assert (found["title"], found["metadata"], found["length"]) == ("made", {"m": 1}, 1)


@both_ways
def test_what_one_sent_and_also_kept_takes_effect_once(
    pair: Pair, server: Server, begin: Begin, first: str
) -> None:
    older, newer = in_order(pair, first)
    one = begin(older)
    one.run(f"await store.sessions.create(*{SESSION})")
    one.run(APPEND, n=0)
    server.pause()
    assert not one.run(APPEND, n=1)["durable"]  # it lies in the server's socket, and in the journal
    one.kill()
    server.resume()
    sent = older.name != "waiting"  # that asks for a key first, each time
    if sent:
        until(
            "the server has done it",
            lambda: server.ask("LLEN", "compat:session:{shop:ada}:s:events") == 2,
        )

    two = begin(newer)
    assert payloads(two) == [0, 1]
    until("all is replayed", lambda: two.run("store.stats().buffered == 0 and len(reports) > 0"))
    (report,) = two.run("reports")
    assert (report["applied"], report["duplicates"]) == ((0, 1) if sent else (1, 0))
    assert report["refused"] == []
    assert payloads(two) == [0, 1]


@both_ways
def test_a_user_whom_one_forgot_is_not_revived_by_the_other(
    pair: Pair, server: Server, begin: Begin, first: str
) -> None:
    older, newer = in_order(pair, first)
    one = begin(older)
    one.run(f"await store.sessions.create(*{SESSION})")
    one.run(APPEND, n=0)
    server.stop()
    assert not one.run("await store.sessions.create('shop', 'ada')")["durable"]
    one.run(APPEND, n=1)
    one.kill()
    server.start()
    begin(newer, journal=False).run("await store.admin.forget('ada')")

    third = begin(older)
    third.run("await store.sessions.get(SessionKey.of('shop', 'bob', 's'))")
    until("all is replayed", lambda: third.run("store.stats().buffered == 0 and len(reports) > 0"))
    (report,) = third.run("reports")
    assert report["applied"] == 0
    assert [each["reason"].partition(":")[0] for each in report["refused"]] == ["Erased"] * 2
    assert third.run("await store.sessions.count('shop', 'ada')") == 0
