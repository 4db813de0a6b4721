"""An archive that is not as it was written is refused, and nothing of it is written."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transfer_kit import fill, lines_of, rewrite

import sojourn
from extent import examples
from sojourn import InvalidArchive, Sojourn, transfer
from sojourn.caps import Ceiling
from sojourn.memory.operations.read import ListMemoryApps
from sojourn.transfer.lines import (
    ArtifactLine,
    CacheLine,
    DataLine,
    EventsLine,
    Header,
    MemoryLine,
    SessionLine,
    StateLine,
    Trailer,
)

KINDS = (
    *(Header, SessionLine, EventsLine, StateLine, MemoryLine),
    *(ArtifactLine, DataLine, CacheLine, Trailer),
)


@functools.cache
def _sample() -> bytes:
    """An archive with lines of every kind."""

    async def made() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "archive"
            async with sojourn.open("memory://") as store:
                await fill(store)
                await transfer.export(store, path, cache=True)
            return path.read_bytes()

    return asyncio.run(made())


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "archive"


def _refused(path: Path) -> InvalidArchive:
    """What an import says; nothing may be written."""

    async def run() -> InvalidArchive:
        async with sojourn.open("memory://") as store:
            with pytest.raises(InvalidArchive) as error:
                await transfer.import_(store, path)
            assert (await store.admin.apps()).names == []
            assert await store.stores.memory.run(ListMemoryApps()) == set()
            return error.value

    return asyncio.run(run())


def _places(data: bytes, kind: Any) -> list[tuple[int, int, int]]:
    """Number, beginning and end of the lines of a kind."""
    word = json.dumps(kind.__struct_config__.tag).encode()
    found, start = [], 0
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        if line.startswith(b'{"kind":' + word):
            found.append((number, start, start + len(line)))
        start += len(line)
    return found


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=examples(15), deadline=None)
@given(data=st.data())
def test_a_changed_byte_is_found_and_its_line_named(kind: Any, path: Path, data: st.DataObject):
    whole = bytearray(_sample())
    places = _places(bytes(whole), kind)
    assert places
    number, start, end = data.draw(st.sampled_from(places))
    at = data.draw(st.integers(start, end - 2))
    whole[at] ^= data.draw(st.integers(1, 255).filter(lambda bit: whole[at] ^ bit != ord("\n")))
    path.write_bytes(whole)
    assert _refused(path).line == number


@settings(max_examples=examples(20), deadline=None)
@given(size=st.integers(0, len(_sample()) - 2))
def test_an_archive_that_is_cut_short_is_noticed(path: Path, size: int):
    path.write_bytes(_sample()[:size])
    assert "again" in str(_refused(path))


@settings(max_examples=examples(20), deadline=None)
@given(data=st.data())
def test_a_line_that_is_gone_doubled_or_moved_is_noticed(path: Path, data: st.DataObject):
    lines = _sample().splitlines(keepends=True)
    at = data.draw(st.integers(1, len(lines) - 2))
    match data.draw(st.sampled_from(["gone", "doubled", "moved"])):
        case "gone":
            del lines[at]
        case "doubled":
            lines.insert(at, lines[at])
            at += 1
        case _:
            lines[at], lines[at - 1] = lines[at - 1], lines[at]
            at -= 1
    path.write_bytes(b"".join(lines))
    assert _refused(path).line == at + 1


def _hostile(path: Path, kind: Any, **changes: Any) -> InvalidArchive:
    """What is said of an archive in which the first line of a kind says something else."""
    path.write_bytes(_sample())
    lines: list[Any] = lines_of(path)
    at = next(i for i, line in enumerate(lines) if isinstance(line, kind))
    lines[at] = msgspec.structs.replace(lines[at], **changes)
    rewrite(path, lines)
    error = _refused(path)
    assert error.line == at + 1
    return error


HUGE = 10**30
DEEP = msgspec.Raw(b"[" * 100_000 + b"]" * 100_000)
HOSTILE: list[tuple[Any, dict[str, Any]]] = [
    (SessionLine, {"seq": HUGE}),
    (SessionLine, {"version": 0}),
    (SessionLine, {"dropped": -1}),
    (SessionLine, {"dropped": 10, "seq": 5}),
    (SessionLine, {"until": 1e300, "expires": 1e300}),
    (SessionLine, {"title": "x" * 5000}),
    (SessionLine, {"metadata": msgspec.Raw(b'{"a":"' + b"x" * 70_000 + b'"}')}),
    (SessionLine, {"ttl": -1.0}),
    (SessionLine, {"ttl": 5.0, "expires": None}),
    (SessionLine, {"app": ""}),
    (SessionLine, {"session": "x" * 513}),
    (SessionLine, {"labels": {"": "x"}}),
    (SessionLine, {"labels": {f"l{n}": "x" for n in range(17)}}),
    (SessionLine, {"metadata": msgspec.Raw(b"[]")}),
    (SessionLine, {"metadata": DEEP}),
    (SessionLine, {"state": {"a": DEEP}}),
    (SessionLine, {"state": {"user:a": msgspec.Raw(b"1")}}),
    (SessionLine, {"state": {"x" * 1025: msgspec.Raw(b"1")}}),
    (SessionLine, {"state": {f"k{n}": msgspec.Raw(b"1") for n in range(10_001)}}),
    (SessionLine, {"events": [msgspec.Raw(b"{}")] * 3}),
    (EventsLine, {"first": 1}),
    (EventsLine, {"events": []}),
    (EventsLine, {"events": [msgspec.Raw(b'{"id":"1"}')]}),
    (EventsLine, {"events": [DEEP]}),
    (StateLine, {"values": {"a": DEEP}}),
    (StateLine, {"expires": float(HUGE)}),
    (MemoryLine, {"scope": "session"}),
    (MemoryLine, {"entries": []}),
    (MemoryLine, {"name": "x" * 513}),
    (ArtifactLine, {"versions": []}),
    (ArtifactLine, {"name": ""}),
    (DataLine, {"version": 7}),
    (DataLine, {"data": b""}),
    (CacheLine, {"tags": ["a\nb"]}),
    (CacheLine, {"name": ""}),
    (Trailer, {"lines": 3}),
    (Trailer, {"counts": transfer.Counts()}),
    (Header, {"format": "new"}),
    (Header, {"format": 0}),
]


@pytest.mark.parametrize(
    ("kind", "changes"), HOSTILE, ids=lambda each: re.sub(" at 0x.+?>", ">", str(each))[:60]
)
def test_a_line_that_no_store_has_written_is_refused(kind: Any, changes: Any, path: Path):
    _hostile(path, kind, **changes)


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":7',
        b'{"what":"of no kind"',
        b'{"kind":"void","more":1',
        b'{"kind":"void"',
        b'{"kind":"state","app":1,"user":null,"expires":null,"values":{}',
        b'{"kind":"state","app":"a","user":null,"expires":1e999,"values":{}',
        b'{"kind":"unreadable","what":"\xff"',
        b'{"kind":"unreadable","what":' + b"[" * 100_000 + b"]" * 100_000,
        b"[1",
        b"",
    ],
    ids=lambda body: str(body[:40]),
)
def test_a_line_of_something_else_is_refused(body: bytes, path: Path):
    header, *_ = _sample().splitlines(keepends=True)
    before = header[-35:-3].decode()
    own = sojourn.transfer.sealing._sum(body, before)
    path.write_bytes(header + body + b',"sum":"%b"}\n' % own.encode())
    error = _refused(path)
    assert error.line == 2


async def test_a_line_longer_than_allowed_is_not_read(archive: Path, store: Sojourn):
    with pytest.raises(InvalidArchive, match="max_line_bytes") as error:
        await transfer.import_(store, archive, max_line_bytes=1000)
    assert error.value.line > 0
    assert (await store.admin.apps()).names == []


async def test_what_no_store_takes_is_refused_before_anything_is_written(
    archive: Path, target, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sojourn.transfer.checking.CEILING", Ceiling(event=100))
    async with sojourn.open(target.url) as store:
        with pytest.raises(InvalidArchive, match="over the ceiling"):
            await transfer.import_(store, archive)
    assert target.ask("DBSIZE") == 0


async def test_a_missing_file_is_an_error_of_ours(store: Sojourn, tmp_path: Path):
    with pytest.raises(sojourn.ConfigurationError, match="nowhere"):
        await transfer.import_(store, tmp_path / "nowhere")
    with pytest.raises(sojourn.ConfigurationError, match="nowhere"):
        await transfer.export(store, tmp_path / "nowhere" / "archive")
