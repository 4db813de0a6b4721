"""Both versions at work on the same records at the same time, room by room."""

from __future__ import annotations

import pytest

from compat.conftest import Sides
from compat.operations import SETTING
from compat.side import Refused
from compat.test_operations import pictures
from servers import until

SESSION = "SessionKey.of('shop', 'ada', 's')"
MEMORY = "store.memory.user('ada', app='shop')"
APPEND = (
    f"await store.sessions.append({SESSION}, Event(author='u', payload=n, state_delta={{'n': n}}))"
)

both_ways = pytest.mark.parametrize("first", ["earlier", "later"])


@both_ways
def test_a_log_that_both_write_is_read_alike_by_both(sides: Sides, first: str) -> None:
    one, two = sides.in_order(first)
    one.run(f"await store.sessions.create(*{SESSION})")
    for n in range(12):
        (one, two)[n % 2].run(APPEND, n=n)
        seen = [each.run(f"await store.sessions.get({SESSION})") for each in (one, two)]
        for session in seen:  # by both from their near-caches, and what is new
            assert [event["payload"] for event in session["events"]] == list(range(n + 1))
            assert (session["complete"], session["state"]) == (True, {"n": n})


@both_ways
def test_a_conflict_between_versions_is_told(sides: Sides, first: str) -> None:
    one, two = sides.in_order(first)
    known = one.run(f"await store.sessions.create(*{SESSION})")["version"]
    two.run(APPEND, n=1)
    with pytest.raises(Refused, match="StaleSession"):
        one.run(
            f"await store.sessions.append({SESSION}, Event(author='u', payload=2),"
            " expected_version=known)",
            known=known,
        )
    assert two.run(f"await store.sessions.get({SESSION})")["length"] == 1


@both_ways
def test_notices_of_one_reach_a_subscriber_of_the_other(sides: Sides, first: str) -> None:
    one, two = sides.in_order(first)
    two.ask("await following(store, 5)")
    one.run(f"await store.sessions.create(*{SESSION})")
    one.run(APPEND, n=1)
    one.run(f"await store.sessions.update({SESSION}, title='x')")
    one.run(f"await store.sessions.trim({SESSION}, keep=0)")
    one.run(f"await store.sessions.delete({SESSION})")
    kinds = [notice["kind"] for notice in two.answer()]
    assert kinds == ["created", "appended", "updated", "trimmed", "deleted"]


@both_ways
def test_what_one_computes_the_other_waits_for(sides: Sides, first: str) -> None:
    one, two = sides.in_order(first)
    scripts = lambda: sides.server.ask("INFO", "commandstats")["cmdstat_evalsha"]["calls"]  # noqa: E731
    one.ask("await store.cache.fetch('c', lambda: once_there('go'))")
    until("the lease is taken", lambda: sides.server.ask("KEYS", "compat:cache:*lease*"))
    before = scripts()
    two.ask("await store.cache.fetch('c', lambda: asyncio.sleep(0, 'by the other'))")
    until("the other has looked twice", lambda: scripts() >= before + 2)
    sides.server.ask("SET", "go", "1")
    assert (one.answer(), two.answer()) == ("go", "go")


@both_ways
def test_what_one_remembers_the_other_finds(sides: Sides, first: str) -> None:
    one, two = sides.in_order(first)
    find = f"sorted(hit.entry.key for hit in await {MEMORY}.search('blue'))"
    for n in range(4):
        writer, reader = (one, two) if n % 2 else (two, one)
        writer.run(f"await {MEMORY}.put(key, 'a blue thing')", key=f"k{n}")
        assert reader.run(find) == writer.run(find) == [f"k{m}" for m in range(n + 1)]
    one.run(f"await {MEMORY}.delete('k1')")
    two.run(f"await {MEMORY}.put('k2', 'red')")
    assert one.run(find) == two.run(find) == ["k0", "k3"]


@both_ways
def test_a_merge_of_one_keeps_what_the_other_merged(sides: Sides, first: str) -> None:
    one, two = sides.in_order(first)
    for n in range(6):
        for each, name in ((one, "one"), (two, "two")):
            each.run(f"await {MEMORY}.merge('k', {{f'{{name}}-{{n}}': n}})", name=name, n=n)
    assert len(two.run(f"await {MEMORY}.get('k')")) == 12


@both_ways
def test_messages_of_one_are_resumed_by_the_other(sides: Sides, first: str) -> None:
    one, two = sides.in_order(first)
    one.run("await streams(store).open(CONNECTION)")
    for n in range(1, 5):
        (one, two)[n % 2].run("await streams(store).add(CONNECTION, 's', str(n))", n=n)
    for each in (one, two):
        told = each.run("await streams(store).after(CONNECTION, 2)")
        assert [one["message"] for one in told] == ["2", "3", "4"]


@both_ways
def test_what_one_refused_the_other_counts(sides: Sides, first: str) -> None:
    one, two = sides.in_order(first)
    for each in (one, two):
        each.run("await store.guard().refused('shop', 'expired')")
    counts = lambda: two.run("await store.guard().fleet('shop')")  # noqa: E731
    until("both are counted", lambda: counts()["total_failed_attempts"] == 2)


@both_ways
def test_an_archive_of_one_is_verified_and_imported_by_the_other(
    sides: Sides, first: str, tmp_path: object
) -> None:
    one, two = sides.in_order(first)
    for step in SETTING:
        one.run(step)
    kept = pictures(one, two)
    sealed = any(each.version.options for each in (one, two))
    more = {"passphrase": "Earl Grey"} if sealed else {}
    given = {"path": f"{tmp_path}/archive", "more": more}
    exported = one.run("await transfer.export(store, path, cache=True, **more)", **given)
    assert _counts(two.run("await transfer.verify(path, **more)", **given)) == _counts(exported)

    sides.server.ask("FLUSHALL")
    for each in (one, two):
        each.open(sides.server.url, namespace="compat", notices=True)
    imported = two.run("await transfer.import_(store, path, **more)", **given)
    assert _counts(imported) == _counts(exported)
    assert _lasting(pictures(one, two)) == _lasting(kept)

    again = one.run("await transfer.import_(store, path, **more)", **given)
    assert (again["identical"], again["conflicts"]) == (_things(imported), 0)


def _counts(report: dict[str, dict[str, int]]) -> dict[str, int]:
    """How much of each kind there was, also of kinds that only one version knows."""
    return {kind: count for kind, count in report["counts"].items() if count}


def _things(imported: dict[str, dict[str, int]]) -> int:
    """How much of what was written an import would find again: events belong to their sessions."""
    counts = imported["counts"]
    return sum(counts[name] for name in ("sessions", "states", "memories", "artifacts", "cached"))


def _lasting(picture: dict[str, object]) -> dict[str, object]:
    """A picture without what an import leaves out: notices, streams, incarnations."""
    found = {k: v for k, v in picture.items() if not k.startswith(("notices", "stream"))}
    for name, value in found.items():
        if name.startswith(("listed", "session")):
            found[name] = {k: v for k, v in value.items() if k != "incarnation"}  # type: ignore[attr-defined]
    return found
