"""Compression: the exact inverse, small results, and nothing that a forged frame could do."""

from __future__ import annotations

import contextlib
import json
import os
import random
import runpy
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sojourn.codecs import compression
from sojourn.codecs.compression import SHIPPED, Dictionary, Zstd, compressor, shipped
from sojourn.errors import ConfigurationError, DictionaryMissing

ROOT = Path(__file__).parents[2]
EVER_SHIPPED = {"sB13X3"}
"""Records were written with them: none may ever go."""
MOST = 1 << 20
MAGIC = b"\x28\xb5\x2f\xfd"
TEXT = " ".join(" ".join(topics.values()).split())


def event(n: int, size: int = 800) -> bytes:
    """A row of an ADK event, but for its id and its checksum, whose text nobody wrote for us."""
    start = n * 997 % (len(TEXT) - size)
    part = json.dumps({"text": TEXT[start : start + size]})
    rng = random.Random(n)
    return (
        b'{"time":%r,"author":"user","kind":"adk","payload":{"content":{"parts":[%b],"role":"user"},'
        b'"invocation_id":"e-%032x","actions":{"artifact_delta":{},"requested_auth_configs":{},'
        b'"requested_tool_confirmations":{}},"node_info":{"path":""}}}'
        % (1.7e9 + rng.random() * 1e7, part.encode(), rng.getrandbits(128))
    )


@pytest.fixture(scope="module")
def zstd() -> Zstd:
    return Zstd()


def frame(data: bytes, *, sized: bool = True) -> bytes:
    """A frame that somebody else made, without a dictionary."""
    return zstandard.ZstdCompressor(write_content_size=sized).compress(data)[len(MAGIC) :]


blobs = st.one_of(
    st.binary(max_size=600),
    st.text(max_size=300).map(str.encode),
    st.integers(0, 10_000).map(event),
    st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 40_000)).map(lambda t: t[0] * t[1]),
)


@given(blobs)
def test_what_was_compressed_comes_back_as_it_was(data: bytes) -> None:
    zstd = Zstd()
    found = zstd.compress(data)
    if found is not None:
        encoding, body = found
        assert zstd.decompress(encoding, body, len(data)) == data
        assert len(body) + 24 <= len(data)


def test_events_take_less_than_two_fifths(zstd: Zstd) -> None:
    events = [event(n) for n in range(200)]
    found = [zstd.compress(data) for data in events]
    assert sum(len(made[1]) for made in found if made) < 0.4 * sum(map(len, events))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 5_000, 200_000])
def test_noise_is_left_as_it_is(zstd: Zstd, size: int) -> None:
    assert zstd.compress(random.Random(1).randbytes(size)) is None


def test_a_large_value_depends_on_no_dictionary(zstd: Zstd) -> None:
    data = TEXT.encode() * 2
    assert len(data) > 128 * 1024
    encoding, body = zstd.compress(data) or ("", b"")
    assert encoding == "zstd"
    assert zstd.decompress("zstd", body, len(data)) == data
    encoding, _ = zstd.compress(data[: 128 * 1024 - 1]) or ("", b"")
    assert encoding == f"zstd:{SHIPPED}"


def test_one_of_many_megabytes(zstd: Zstd) -> None:
    """Larger than the window of its frame."""
    data = b"".join(b"%d %b" % (n, TEXT[n : n + 40].encode()) for n in range(400_000))
    assert len(data) > 16 * 1024 * 1024
    encoding, body = zstd.compress(data) or ("", b"")
    assert zstd.decompress(encoding, body, len(data)) == data


@pytest.mark.parametrize("encoding", ["zstd", f"zstd:{SHIPPED}"])
def test_a_bomb_is_refused_before_it_is_expanded(zstd: Zstd, encoding: str) -> None:
    bomb = frame(bytes(64 * MOST))
    assert len(bomb) < 10_000
    zstd.decompress("zstd", frame(bytes(500)), MOST)
    tracemalloc.start()
    with pytest.raises(ValueError, match="1,048,576 bytes at most"):
        zstd.decompress(encoding, bomb, MOST)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_a_frame_that_says_too_little_does_not_become_longer(zstd: Zstd) -> None:
    bomb = frame(bytes(60_000))
    assert bomb[0] & 0xE0 == 0x60  # its size in two bytes, less 256
    forged = bomb[:1] + (1_000 - 256).to_bytes(2, "little") + bomb[3:]
    assert zstandard.get_frame_parameters(MAGIC + forged).content_size == 1_000
    with pytest.raises(ValueError, match="damaged"):
        zstd.decompress("zstd", forged, MOST)


def test_a_frame_that_does_not_say_its_size_is_refused(zstd: Zstd) -> None:
    unsaid = frame(b"hello " * 50, sized=False)
    with pytest.raises(ValueError, match="at most"):
        zstd.decompress("zstd", unsaid, MOST)


@pytest.mark.parametrize(
    "junk", [b"", b"\x00", b"\xff" * 40, MAGIC, b"\x50\x2a\x4d\x18" + bytes(20)], ids=repr
)
def test_junk_is_refused(zstd: Zstd, junk: bytes) -> None:
    for encoding in ("zstd", f"zstd:{SHIPPED}"):
        with pytest.raises(ValueError):
            zstd.decompress(encoding, junk, MOST)


@given(st.integers(0, 50), st.integers(min_value=0), st.integers(0, 7))
def test_a_flipped_bit_is_an_error_or_a_value_within_bounds(n: int, at: int, bit: int) -> None:
    """Whether the bytes are the ones that were written is for the header's checksum to say."""
    zstd, data = Zstd(), event(n)
    encoding, body = zstd.compress(data) or ("", b"")
    flipped = bytearray(body)
    flipped[at % len(body)] ^= 1 << bit
    with contextlib.suppress(ValueError):
        assert len(zstd.decompress(encoding, bytes(flipped), 1_500)) <= 1_500


@given(st.integers(0, 50), st.integers(min_value=1), st.binary(min_size=1, max_size=40))
def test_no_part_of_a_frame_and_nothing_longer(n: int, cut: int, more: bytes) -> None:
    zstd = Zstd()
    encoding, body = zstd.compress(event(n)) or ("", b"")
    for wrong in (body[: -(cut % len(body)) or None][:-1], body + more, body + body):
        with pytest.raises(ValueError):
            zstd.decompress(encoding, wrong, MOST)


def test_an_unknown_dictionary_is_named(zstd: Zstd) -> None:
    for encoding in ("zstd:abcdef", "zstd:", "zstd:../../etc/passwd", "gzip"):
        with pytest.raises(DictionaryMissing) as raised:
            zstd.decompress(encoding, b"", MOST)
        assert raised.value.dictionary == encoding.removeprefix("zstd:")[:6]


def test_a_value_of_another_dictionary_is_not_read_with_this_one(zstd: Zstd) -> None:
    samples = [event(n)[20:] for n in range(400)]
    other = Dictionary(zstandard.train_dictionary(8_192, samples).as_bytes())
    both = Zstd([other], writes_with=other.id)
    assert both.dictionary is other
    data = event(5)
    encoding, body = both.compress(data) or ("", b"")
    assert encoding == f"zstd:{other.id}"
    assert both.decompress(encoding, body, MOST) == data
    with pytest.raises(DictionaryMissing):
        zstd.decompress(encoding, body, MOST)
    old, before = zstd.compress(data) or ("", b"")
    assert both.decompress(old, before, MOST) == data


def test_the_id_is_a_digest_of_the_bytes() -> None:
    content = shipped()[SHIPPED].content
    assert Dictionary(content).id == SHIPPED
    assert Dictionary(content[:-1] + b"!").id != SHIPPED
    for junk in (b"", b"words", content[:40], b"\x37\xa4\x30\xec" + bytes(400)):
        with pytest.raises(ValueError, match="not a dictionary"):
            Dictionary(junk)


def test_every_dictionary_that_was_shipped_is_still_there() -> None:
    assert set(shipped()) >= EVER_SHIPPED
    assert SHIPPED in EVER_SHIPPED
    folder = Path(compression.__file__).parent / "dictionaries"
    assert {path.stem for path in folder.iterdir()} == set(shipped())


def test_a_frame_is_what_the_storage_format_says(zstd: Zstd) -> None:
    """Any library of Zstandard reads it, given the dictionary's file."""
    data = event(3)
    _, body = zstd.compress(data) or ("", b"")
    assert body[:4] != MAGIC
    parameters = zstandard.get_frame_parameters(MAGIC + body)
    assert parameters.content_size == len(data)
    assert not parameters.has_checksum
    assert parameters.dict_id == 0
    content = zstandard.ZstdCompressionDict(shipped()[SHIPPED].content)
    assert zstandard.ZstdDecompressor(dict_data=content).decompress(MAGIC + body) == data


def test_threads_share_one(zstd: Zstd) -> None:
    """A context that two threads use at once crashes the process, or mixes up their data."""
    failures: list[str] = []
    start = threading.Barrier(8)

    def work(offset: int) -> None:
        start.wait()
        for n in range(offset, offset + 300):
            data = event(n, 2_000)
            encoding, body = zstd.compress(data) or ("", b"")
            if zstd.decompress(encoding, body, MOST) != data:
                failures.append(f"{n} came back as another")

    threads = [threading.Thread(target=work, args=(n * 1_000,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_goes_on() -> None:
    code = """
import os, threading
from sojourn.codecs.compression import Zstd
zstd, data, over = Zstd(), b"the order of your friend was sent " * 40, threading.Event()
def busy():
    while not over.is_set():
        zstd.decompress(*zstd.compress(data), 2000)
thread = threading.Thread(target=busy)
thread.start()
for _ in range(20):
    zstd.decompress(*zstd.compress(data), 2000)
    child = os.fork()
    if child == 0:
        os._exit(0 if zstd.decompress(*zstd.compress(data), 2000) == data else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
over.set()
thread.join()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ConfigurationError, match=r"\[zstd\]"):
        Zstd()


def test_a_store_that_does_not_compress_reads_what_others_have(zstd: Zstd) -> None:
    data = event(4)
    reader = compressor(writes=False)
    assert reader is not None
    assert reader.compress(data) is None
    encoding, body = zstd.compress(data) or ("", b"")
    assert reader.decompress(encoding, body, MOST) == data


def test_the_package_is_loaded_when_it_is_needed() -> None:
    code = """
import sys, sojourn
from sojourn.codecs.compression import compressor
reader = compressor(writes=False)
assert "zstandard" not in sys.modules
assert compressor(writes=True).compress(b"the order of your friend " * 9)
assert "zstandard" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.skipif(zstandard.ZSTD_VERSION != (1, 5, 7), reason="another version, other bytes")
def test_the_shipped_dictionary_can_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["shipped_dictionary.py", "--check"])
    runpy.run_path(str(ROOT / "scripts/shipped_dictionary.py"), run_name="__main__")
