"""What compression saves: `MEMORY USAGE … SAMPLES 0` of logs of 100 ADK events, in one run.

    python -m bench.sizes

The texts of the events that are measured are Python's own documentation. The dictionary beside the
shipped one is trained on events whose texts are those of the installed packages: their READMEs and
docstrings. Ids and times are other ones in each event, as they are in life.
"""

import argparse
import ast
import asyncio
import contextlib
import random
import re
import sysconfig
import time
import uuid
from importlib.metadata import distributions
from pathlib import Path
from pydoc_data.topics import topics

import redis
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types

import sojourn
from sojourn.codecs.dictionary_training import train
from sojourn.integrations.adk.events import to_event
from sojourn.sessions.encoding import encode_event
from sojourn.sessions.event_codec import in_parts

from . import server
from .events import dump

SIZES = {"300 B": 300, "1.1 KB": 1_100, "3 KB": 3_000}
EVENTS = 100
TRAINED_ON = 2_500


def docstrings(folder, pattern):
    for path in sorted(folder.glob(pattern)):
        try:
            tree = ast.parse(path.read_text())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield ast.get_docstring(node) or ""


def flowing(texts):
    """Paragraphs whose lines are not broken, as nobody writes them to an agent."""
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text):
            if len(paragraph) > 40:
                yield " ".join(paragraph.split())


def of_python():
    return [*topics.values(), *docstrings(Path(sysconfig.get_path("stdlib")), "*.py")]


def of_packages():
    folder = Path(sysconfig.get_path("purelib"))
    found = [found.metadata.get_payload() for found in distributions()]
    return [*map(str, found), *docstrings(folder, "google/adk/**/*.py")]


class Events:
    """Events of ADK's with texts of a corpus, as an agent with tools makes them."""

    def __init__(self, texts, seed):
        self._rng = random.Random(seed)
        self._texts = "\n\n".join(flowing(texts))

    def _id(self):
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def _piece(self, length):
        start = self._texts.index(" ", self._rng.randrange(len(self._texts) - length - 1000)) + 1
        return self._texts[start : start + length]

    def _part(self, kind, text):
        call = f"adk-{self._id()}"
        if kind == "call":
            made = types.FunctionCall(id=call, name="search_docs", args={"query": text, "top_k": 5})
            return types.Part(function_call=made)
        if kind == "result":
            reply = types.FunctionResponse(id=call, name="search_docs", response={"result": text})
            return types.Part(function_response=reply)
        return types.Part(text=text)

    def _event(self, number, length):
        rng, kind = self._rng, ("question", "call", "result", "answer")[number % 4]
        by_model = kind in ("call", "answer")
        usage = None
        if by_model:
            asked, answered = rng.randrange(9_000), rng.randrange(900)
            usage = types.GenerateContentResponseUsageMetadata(
                prompt_token_count=asked,
                candidates_token_count=answered,
                total_token_count=asked + answered,
            )
        return Event(
            id=self._id(),
            timestamp=1_764_000_000 + rng.random() * 1e7,
            invocation_id=f"e-{self._id()}",
            author="user" if kind == "question" else "helper",
            content=types.Content(
                role="model" if by_model else "user", parts=[self._part(kind, self._piece(length))]
            ),
            actions=EventActions(
                state_delta={"chapter": rng.randrange(99)} if kind == "answer" else {}
            ),
            usage_metadata=usage,
        )

    def of_size(self, size, count):
        """Those of ADK's JSON of so many bytes; a few words where that alone is as long."""
        for number in range(count):
            empty = len(dump(self._event(number, 0)))
            yield self._event(number, max(20, size - empty))


def compressed_part(event):
    """What of a row of the log is compressed: all but the event's id and the checksum."""
    row, _ = encode_event(to_event(event), 2**20)
    return in_parts(row)[1]


async def usage(url, events, compression=None, dictionary=None):
    """Bytes of the log that a store writes, which another one reads again."""
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        client.flushall()
        async with sojourn.open(url, compression=compression) as store:
            if dictionary:
                await store.admin.dictionaries.add("bench", dictionary)
                await store.room("dictionaries").for_reading("bench", [dictionary.id], writes=True)
            given = [to_event(event) for event in events]
            key = (await store.sessions.create("bench", "ada")).key
            await store.sessions.append(key, *given)
            (log,) = client.keys("*:events")
            used = client.memory_usage(log, samples=0)
        async with sojourn.open(url) as store:
            session = await store.sessions.get(key)
            if [event.id for event in session.events] != [event.id for event in given]:
                raise SystemExit("What came back is not what was stored.")
    return used


def main():
    argparse.ArgumentParser(prog="python -m bench.sizes", description=__doc__).parse_args()
    python, packages = of_python(), of_packages()
    learnt = Events(packages, 1)
    samples = [
        compressed_part(event)
        for size in SIZES.values()
        for event in learnt.of_size(size, TRAINED_ON)
    ]
    start = time.perf_counter()
    dictionary = train(samples)
    taken = time.perf_counter() - start
    with server.running() as (url, version):
        print(
            f"{version}; logs of {EVENTS} ADK events. The trained dictionary has "
            f"{len(dictionary.content):,} bytes of {len(samples):,} other events, in {taken:.1f} s"
        )
        print(f"{'':8} {'plain':>9} {'shipped':>9} {'trained':>9}   of plain")
        for name, size in SIZES.items():
            events = list(Events(python, 2).of_size(size, EVENTS))
            kinds = (), ("zstd",), ("zstd", dictionary)
            plain, *others = [asyncio.run(usage(url, events, *kind)) for kind in kinds]
            ratios = "   ".join(f"{other / plain:.3f}" for other in others)
            print(f"{name:8} " + " ".join(f"{n:9,}" for n in (plain, *others)) + f"   {ratios}")


if __name__ == "__main__":
    main()
