"""The journal on its own: bounds, order, disk, what a killed process leaves."""

from __future__ import annotations

import asyncio
import fcntl
import multiprocessing
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sojourn import BufferFull, ConfigurationError, Unavailable
from sojourn.resilience.journal import Bounds, Journal

WIDE = Bounds(100, 10_000, 60)


def opened(bounds: Bounds, folder: Path | str) -> Journal:
    journal = Journal(bounds, folder)
    journal.open()
    return journal


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """A disk that is full when a file has so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def drain(journal: Journal) -> list[bytes]:
    found = []
    while (entry := journal.oldest()) is not None:
        found.append(entry.data)
        journal.done()
    return found


def write_and_die(folder: str, done: int) -> None:
    journal = opened(WIDE, folder)
    for n in range(5):
        journal.add(b'{"n":%d}' % n)
    asyncio.run(journal.sync())
    for _ in range(done):
        journal.done()
    os.kill(os.getpid(), signal.SIGKILL)


def leave(folder: Path, done: int = 0) -> None:
    """What a process leaves that wrote five entries and was killed."""
    child = multiprocessing.get_context("spawn").Process(
        target=write_and_die, args=(str(folder), done)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


async def test_entries_come_back_in_order() -> None:
    journal = Journal(WIDE)
    for n in range(10):
        journal.add(b"%d" % n)
    await journal.sync()
    assert len(journal) == 10
    assert drain(journal) == [b"%d" % n for n in range(10)]
    assert journal.size == 0


@pytest.mark.parametrize(
    ("bounds", "option"),
    [
        (Bounds(2, 100, 60), "buffer_calls"),
        (Bounds(9, 7, 60), "buffer_bytes"),
        (Bounds(9, 100, 0.5), "buffer_seconds"),
    ],
)
def test_a_full_journal_takes_nothing_and_loses_nothing(bounds: Bounds, option: str) -> None:
    now = 100.0
    journal = Journal(bounds, clock=lambda: now)
    journal.add(b"one")
    journal.add(b"two")
    now += 1
    with pytest.raises(BufferFull, match=option):
        journal.add(b"three")
    assert drain(journal) == [b"one", b"two"]
    journal.add(b"three")  # there is room again


@pytest.mark.parametrize("done", [0, 2, 5])
def test_what_a_killed_process_left_is_taken_over(tmp_path: Path, done: int) -> None:
    leave(tmp_path, done)
    journal = opened(WIDE, tmp_path)
    assert all(entry.inherited for entry in journal.entries())
    assert drain(journal) == [b'{"n":%d}' % n for n in range(done, 5)]
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_what_was_taken_over_survives_the_next_crash(tmp_path: Path) -> None:
    leave(tmp_path)
    journal = opened(WIDE, tmp_path)
    journal.add(b'"new"')
    journal.done()
    os.close(journal._file._descriptor)  # type: ignore[union-attr]  # as the end of the process
    after = opened(WIDE, tmp_path)
    assert drain(after) == [b'{"n":%d}' % n for n in range(1, 5)] + [b'"new"']
    after.close()


def test_a_living_process_keeps_its_own(tmp_path: Path) -> None:
    first = opened(WIDE, tmp_path)
    first.add(b"mine")
    second = opened(WIDE, tmp_path)
    assert len(second) == 0
    assert drain(first) == [b"mine"]
    first.close()
    second.close()


def test_a_torn_line_ends_what_is_believed(tmp_path: Path) -> None:
    leave(tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    ends = [n + 1 for n, byte in enumerate(whole) if byte == 10]
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        journal = opened(WIDE, tmp_path)
        assert len(journal) == sum(end <= cut for end in ends), cut
        drain(journal)
        journal.close()


@pytest.mark.parametrize("done", [0, 2])
def test_what_stands_behind_a_changed_byte_is_done_all_the_same(tmp_path: Path, done: int) -> None:
    """Wherever it is, and no acknowledged write but the damaged one is missing."""
    leave(tmp_path, done)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for at in range(len(whole) - 1):
        folder = tmp_path / str(at)
        folder.mkdir()
        changed = bytearray(whole)
        changed[at] ^= 1
        (folder / "left.journal").write_bytes(changed)
        journal = opened(WIDE, folder)
        damaged = bytes(changed[:at]).count(b"\n")
        expected = {b'{"n":%d}' % n for n in range(done, 5) if n != damaged}
        assert expected <= set(drain(journal)), at
        aside = folder / "refused.jsonl"
        assert journal.damaged == (len(aside.read_bytes().splitlines()) if aside.exists() else 0)
        assert journal.damaged > 0 or whole[at] == 10, at
        journal.close()


def test_a_forked_child_has_a_journal_of_its_own(tmp_path: Path) -> None:
    journal = opened(WIDE, tmp_path)
    journal.add(b'"mine"')
    child = os.fork()
    if child == 0:
        ended = 1
        try:
            assert len(journal) == 0
            journal.add(b'"first"')
            journal.add(b'"second"')
            journal.done()
            asyncio.run(journal.sync())
            journal.close()
            ended = 0
        finally:
            os._exit(ended)
    assert os.waitpid(child, 0)[1] == 0
    after = opened(WIDE, tmp_path)
    assert drain(after) == [b'"second"']
    after.close()
    os.close(journal._file._descriptor)  # type: ignore[union-attr]  # as the end of the process
    after = opened(WIDE, tmp_path)
    assert drain(after) == [b'"mine"']
    after.close()


def test_a_full_disk_tears_no_line(tmp_path: Path) -> None:
    journal = opened(WIDE, tmp_path)
    for n in range(3):
        journal.add(b'{"n":%d}' % n)
    (path,) = tmp_path.iterdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, before[1]))
    try:
        with pytest.raises(BufferFull):
            journal.add(b'{"n":"too many"}')
        journal.done()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    journal.add(b'{"n":3}')
    os.close(journal._file._descriptor)  # type: ignore[union-attr]  # as the end of the process
    after = opened(WIDE, tmp_path)
    assert drain(after) == [b'{"n":%d}' % n for n in range(4)]  # one again: that does no harm
    after.close()


def test_files_are_private_and_an_empty_one_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = opened(WIDE, folder)
    journal.add(b"1")
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    journal.done()
    assert path.stat().st_size == 0
    journal.close()
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="folder"):
        Journal(WIDE, tmp_path / "file")


def test_a_journal_that_nobody_uses_takes_nothing(tmp_path: Path) -> None:
    leave(tmp_path)
    Journal(WIDE, tmp_path)
    journal = opened(WIDE, tmp_path)
    assert len(journal) == 5
    drain(journal)
    journal.close()


async def test_those_who_wait_together_share_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(WIDE, tmp_path)
    synced = 0
    real = os.fsync

    def counting(descriptor: int) -> None:
        nonlocal synced
        synced += 1
        real(descriptor)

    monkeypatch.setattr(os, "fsync", counting)
    for n in range(20):
        journal.add(b"%d" % n)
    await asyncio.gather(*(journal.sync() for _ in range(20)))
    assert synced == 1
    drain(journal)
    journal.close()


def test_a_journal_is_locked_before_another_process_can_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def another_comes_first(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        opened(WIDE, tmp_path)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", another_comes_first)
    journal = opened(WIDE, tmp_path)
    journal.add(b"{}")
    journal.close()
    assert [entry.data for entry in Journal(WIDE, tmp_path).open()] == [b"{}"]


def test_a_full_disk_does_not_stop_what_is_done(tmp_path: Path) -> None:
    journal = opened(WIDE, tmp_path)
    for n in range(3):
        journal.add(b"%d" % n)
    (file,) = tmp_path.glob("*.journal")
    with disk_of(file.stat().st_size + 4):
        journal.done()
        with pytest.raises(BufferFull):
            journal.add(b"3")
    journal.add(b"4")
    journal.close()
    assert [entry.data for entry in Journal(WIDE, tmp_path).open()] == [b"0", b"1", b"2", b"4"]


async def test_what_cannot_be_kept_aside_goes_on_waiting(tmp_path: Path) -> None:
    journal = opened(WIDE, tmp_path)
    (tmp_path / "refused.jsonl").mkdir()
    with pytest.raises(Unavailable):
        journal.keep_aside(b"{}")
