"""A process that is killed loses nothing: the next one goes on where it was."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from transfer_kit import LONG, fill, lines_of, picture, rewrite, run_mortal, said

import sojourn
from sojourn import Sojourn, transfer
from sojourn.sessions.archive import LogSlice
from sojourn.sessions.operations.archive import ReadLogSlice
from sojourn.transfer.lines import DataLine, EventsLine, SessionLine, VoidLine

KILLED = -signal.SIGKILL


@pytest.fixture
async def filled(store: Sojourn) -> Sojourn:
    """The store on the server, with something of everything."""
    await fill(store)
    return store


def _parts(path: Path) -> list[str]:
    """What an archive holds, in its order, however it is cut into lines."""
    found: list[str] = []
    for line in lines_of(path)[1:-1]:
        if isinstance(line, VoidLine):
            found.pop()
        elif not isinstance(line, EventsLine | DataLine):
            names = [str(getattr(line, name, "")) for name in ("app", "user", "session", "name")]
            entries = getattr(line, "entries", [])
            found += [" ".join((*names, entry.key)) for entry in entries] or [" ".join(names)]
    return found


@pytest.mark.parametrize("number", [1, 3, 6, 8])
async def test_a_killed_export_goes_on_in_the_same_file(
    filled: Sojourn, target, tmp_path: Path, number: int
):
    path = tmp_path / "archive"
    ended = await asyncio.to_thread(run_mortal, "export", target.url, path, "exporting", number)
    assert ended == KILLED
    with pytest.raises(sojourn.InvalidArchive, match="again"):
        await transfer.verify(path)
    left = path.read_bytes()
    assert left
    done = await transfer.export(filled, path)
    assert done.resumed
    assert path.read_bytes().startswith(left[: left.rindex(b"\n")])
    whole = tmp_path / "whole"
    other = await transfer.export(filled, whole)
    assert done.counts == other.counts
    assert _parts(path) == _parts(whole)


async def test_an_export_cut_anywhere_goes_on_with_what_is_missing(filled: Sojourn, tmp_path: Path):
    whole, path = tmp_path / "whole", tmp_path / "cut"
    done = await transfer.export(filled, whole, cache=True)
    data = whole.read_bytes()
    random = Random(7)
    for size in [0, 1, data.index(b"\n"), *(random.randrange(len(data)) for _ in range(25))]:
        path.write_bytes(data[:size])
        again = await transfer.export(filled, path, cache=True)
        assert again.counts == done.counts
        assert _parts(path) == _parts(whole)


async def test_a_log_goes_on_where_it_stopped(filled: Sojourn, tmp_path: Path):
    path = tmp_path / "archive"
    await transfer.export(filled, path)
    lines = lines_of(path)
    first = next(i for i, line in enumerate(lines) if isinstance(line, EventsLine))
    rewrite(path, lines[: first + 1])
    await filled.sessions.append(LONG, sojourn.Event(author="user", payload="later"))
    await transfer.export(filled, path)
    assert [line for line in lines_of(path) if isinstance(line, VoidLine)] == []
    async with sojourn.open("memory://") as other:
        await transfer.import_(other, path)
        found = await other.sessions.get(LONG)
    assert found is not None
    assert [event.seq for event in found.events] == list(range(8, 1301))


async def test_a_log_that_was_rewritten_meanwhile_is_begun_anew(filled: Sojourn, tmp_path: Path):
    path = tmp_path / "archive"
    await transfer.export(filled, path)
    lines = lines_of(path)
    first = next(i for i, line in enumerate(lines) if isinstance(line, EventsLine))
    rewrite(path, lines[:first])
    await filled.sessions.trim(LONG, drop=3)
    await transfer.export(filled, path)
    assert [line for line in lines_of(path) if isinstance(line, VoidLine)] != []
    async with sojourn.open("memory://") as other:
        await transfer.import_(other, path)
        found = await other.sessions.get(LONG)
    assert found is not None
    assert [event.seq for event in found.events] == list(range(8, 1298))


async def test_a_log_that_is_another_one_now_is_begun_anew(filled: Sojourn, tmp_path: Path):
    path = tmp_path / "archive"
    await transfer.export(filled, path)
    lines = lines_of(path)
    first = next(i for i, line in enumerate(lines) if isinstance(line, EventsLine))
    rewrite(path, lines[:first])
    await filled.sessions.save(LONG, events=[said(-n) for n in range(1, 1301)])
    await transfer.export(filled, path)
    async with sojourn.open("memory://") as other:
        await transfer.import_(other, path)
        found = await other.sessions.get(LONG)
    assert found is not None
    assert {event.payload["n"] for event in found.events} == set(range(-1300, 0))


async def test_a_long_half_line_is_cut_off(filled: Sojourn, tmp_path: Path):
    path = tmp_path / "archive"
    done = await transfer.export(filled, path)
    lines = lines_of(path)
    rewrite(path, lines[:-2])
    with path.open("ab") as file:
        file.write(b"{" * 3_000_000)
    assert (await transfer.export(filled, path)).counts == done.counts
    await transfer.verify(path)


async def test_a_log_that_is_cut_while_it_is_read_is_one_log_in_the_archive(
    filled: Sojourn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read, seen = ReadLogSlice.on_server, []

    async def busy(slice_: ReadLogSlice, server: Any) -> LogSlice | None:
        if slice_.key == LONG and slice_.first > 1 and not seen:
            seen.append(slice_.first)
            await filled.sessions.trim(LONG, keep=100)
        return await read(slice_, server)

    monkeypatch.setattr(ReadLogSlice, "on_server", busy)
    await transfer.export(filled, tmp_path / "archive")
    assert seen
    async with sojourn.open("memory://") as other:
        await transfer.import_(other, tmp_path / "archive")
        found = await other.sessions.get(LONG)
    assert found is not None
    assert found.complete
    assert [event.seq for event in found.events] == list(range(1201, 1301))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
async def test_a_killed_import_is_run_again_and_nothing_is_doubled(
    source: Sojourn, archive: Path, store: Sojourn, target, number: int
):
    ended = await asyncio.to_thread(run_mortal, "import_", target.url, archive, "importing", number)
    assert ended == KILLED
    page = await store.sessions.list("shop", "ada")  # lengthens no lifetime
    assert {each.length for each in page.sessions if each.key == LONG} <= {1300}
    done = await transfer.import_(store, archive)
    assert done.conflicts == 0
    async with sojourn.open(target.url) as reader:
        assert await picture(reader) == await picture(source)
    assert (await transfer.import_(store, archive)).counts == transfer.Counts()


async def test_a_long_session_goes_on_where_its_import_stopped(
    archive: Path, store: Sojourn, target
):
    calls: list[str] = []
    number = 1
    while not target.client().keys("*:staged:*"):
        target.ask("FLUSHALL")
        await asyncio.to_thread(run_mortal, "import_", target.url, archive, "importing", number)
        number += 1
    found = target.client().keys("*:staged:*")
    (staged,) = (key for key in found if not key.endswith(":ids"))
    assert 0 < target.ask("LLEN", staged) < 1293
    assert target.ask("TTL", staged) > 0
    store.on_call(lambda fact: calls.append(fact.name))
    await transfer.import_(store, archive)
    found = await store.sessions.get(LONG)
    assert found is not None
    assert len(found.events) == 1293
    staging = calls.count("sessions.stage_events") - 1  # the first only asks
    lines = sum(isinstance(line, EventsLine) for line in lines_of(archive))
    assert 0 < staging < 1 + lines
    assert not target.client().keys("*:staged:*")


async def test_a_session_of_which_rows_are_staged_is_not_there(
    archive: Path, store: Sojourn, target
):
    for number in range(1, 9):
        await asyncio.to_thread(run_mortal, "import_", target.url, archive, "importing", number)
        found = await store.sessions.get(LONG)
        listed = [each.key for each in (await store.sessions.list("shop", "ada")).sessions]
        assert (found is not None) == (LONG in listed)
        assert found is None or len(found.events) == 1293


async def test_a_file_that_is_complete_or_none_of_ours_is_left_alone(
    source: Sojourn, archive: Path, tmp_path: Path
):
    diary = b"Dear diary,\nnobody may lose this.\n"
    files = {archive: archive.open("rb").read(), tmp_path / "a": diary, tmp_path / "b": diary * 300}
    files |= {tmp_path / "c": b"x" * 10_000, tmp_path / "d": b"one line, no end"}
    for path, data in files.items():
        with path.open("wb") as file:
            file.write(data)
        with pytest.raises((sojourn.InvalidInput, sojourn.InvalidArchive)):
            await transfer.export(source, path, cache=True)
        with path.open("rb") as file:
            assert file.read() == data


async def test_an_archive_of_something_else_is_not_gone_on_with(
    source: Sojourn, archive: Path, tmp_path: Path
):
    lines = lines_of(archive)
    cut = next(i for i, line in enumerate(lines) if isinstance(line, SessionLine))
    rewrite(archive, lines[:cut])
    with pytest.raises(sojourn.InvalidInput, match="something else"):
        await transfer.export(source, archive, app="shop")


async def test_two_exports_do_not_write_the_same_file(source: Sojourn, tmp_path: Path):
    path = tmp_path / "archive"
    failed: list[Exception] = []

    async def second() -> None:
        try:
            await transfer.export(source, path)
        except sojourn.ConfigurationError as error:
            failed.append(error)

    tasks: list[asyncio.Task[None]] = []
    await transfer.export(source, path, watch=lambda _: tasks.append(asyncio.create_task(second())))
    await asyncio.gather(*tasks, return_exceptions=True)
    assert failed
    await transfer.verify(path)
