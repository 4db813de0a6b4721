"""``python -m bench.recall``: what a search of the memory finds, and how long it takes.

Beside it ADK's ``InMemoryMemoryService``, which counts words that are exactly the same.

The set is generated, the same in every run. Each fact is about two things and what is done with
them; its question has the same three words among words that say nothing, each of them as likely as
not in another form (plural, tense, accents left out). All other facts are distractors: at 20,000
entries hundreds share one of the three words with it.
"""

import argparse
import asyncio
import gc
import logging
import random
import statistics
import time
import warnings

import sojourn

from . import server

SIZES = (100, 1_000, 20_000)
QUESTIONS = 200
TIMED = 50
"""Searches that are timed when everything is warm."""
SEED = 7
OTHERWISE = 0.5
"""How likely a word of a question has another form than in the fact."""

STEMS = (
    "order parcel invoice ticket garden kitchen window printer camera guitar bicycle helmet jacket "
    "carpet lamp mirror basket bottle blanket candle charger cushion drawer engine fountain hammer "
    "ladder magnet needle notebook oven pencil pillow pocket razor saddle scarf shelter signal "
    "socket spoon statue switch teapot tunnel umbrella vase wallet whistle zipper airport harbour "
    "castle village island forest river meadow valley station bridge museum theatre library school "
    "hospital market bakery factory office studio cellar balcony terrace corridor elevator parrot "
    "giraffe rabbit turtle dolphin penguin spider beetle salmon falcon doctor lawyer teacher "
    "farmer painter sailor tailor plumber neighbour cousin brother customer manager singer dancer"
)
ACCENTED = {
    "cafe": "café",
    "creme": "crème",
    "jalapeno": "jalapeño",
    "facade": "façade",
    "resume": "résumé",
    "fiance": "fiancé",
    "pate": "pâté",
    "soufle": "souflé",
}
ACTIONS = (
    "return repair deliver paint collect order rent clean replace borrow plant visit cancel "
    "inspect install measure polish record reserve sharpen transport unload wrap exchange"
)
FILLER = "she said that they had been told about it before and would like to do so again"
ASKING = "can you tell me what we know about how they want to"


def forms(stem):
    """(as it stands in a fact, as it stands in a question)."""
    if stem in ACCENTED:
        return ACCENTED[stem], stem
    return stem, f"{stem}es" if stem.endswith(("s", "x", "ch")) else f"{stem}s"


def past(action):
    return f"{action}d" if action.endswith("e") else f"{action}ed"


def present(action):
    return f"{action.removesuffix('e')}ing"


def facts(size):
    """Texts, no two about the same."""
    rng = random.Random(SEED)
    things, actions, filler = [*STEMS.split(), *ACCENTED], ACTIONS.split(), FILLER.split()
    seen, made = set(), []
    while len(made) < size:
        about = (*sorted(rng.sample(things, 2)), rng.choice(actions))
        if about in seen:
            continue
        seen.add(about)
        first, second, action = about
        words = [forms(first)[0], past(action), forms(second)[0]]
        places = sorted(rng.sample(range(len(filler)), 3))
        text = list(filler)
        for place, word in zip(reversed(places), reversed(words), strict=True):
            text.insert(place, word)
        made.append((about, " ".join(text)))
    return made


def questions(made, many):
    """(question, number of the fact that answers it)."""
    rng = random.Random(SEED + 1)
    asked = []
    for number in rng.sample(range(len(made)), min(many, len(made))):
        first, second, action = made[number][0]
        other = [rng.random() < OTHERWISE for _ in range(3)]
        words = [
            *rng.sample(ASKING.split(), 6),
            present(action) if other[0] else past(action),
            forms(first)[other[1]],
            forms(second)[other[2]],
        ]
        asked.append((" ".join(words), number))
    return asked


class Ours:
    name = "sojourn"

    def __init__(self, url):
        self.url = url
        self.store = sojourn.open(url)

    async def fill(self, scope, texts):
        into = self.store.memory.knowledge(scope, app="bench")
        for start in range(0, len(texts), 1000):
            part = texts[start : start + 1000]
            await into.put_many({f"{start + n}": text for n, text in enumerate(part)})

    async def search(self, scope, query):
        hits = await self.store.memory.knowledge(scope, app="bench").search(query, limit=10)
        return [int(hit.entry.key) for hit in hits]

    async def fresh(self):
        """As another process would begin: nothing indexed, the connection open."""
        await self.store.close()
        self.store = sojourn.open(self.url)
        await self.store.ping()

    async def close(self):
        await self.store.close()


class Theirs:
    name = "ADK in-memory"

    def __init__(self):
        from google.adk.memory.in_memory_memory_service import (  # noqa: PLC0415  slow to import
            InMemoryMemoryService,
        )

        self.service = InMemoryMemoryService()

    async def fill(self, scope, texts):
        from google.adk.events.event import Event  # noqa: PLC0415
        from google.genai import types  # noqa: PLC0415

        events = [
            Event(
                id=str(number),
                author="user",
                content=types.Content(role="user", parts=[types.Part(text=text)]),
            )
            for number, text in enumerate(texts)
        ]
        await self.service.add_events_to_memory(app_name="bench", user_id=scope, events=events)

    async def search(self, scope, query):
        found = await self.service.search_memory(app_name="bench", user_id=scope, query=query)
        return [int(memory.id) for memory in found.memories]

    async def close(self):
        """It holds nothing open."""


async def quality(peer, scope, asked):
    """Recall among the first five, and the mean of 1 / rank; both from 0 to 1."""
    ranks = []
    for query, wanted in asked:
        found = await peer.search(scope, query)
        ranks.append(found.index(wanted) + 1 if wanted in found else None)
    recall = sum(1 for rank in ranks if rank and rank <= 5) / len(ranks)
    return recall, sum(1 / rank for rank in ranks if rank) / len(ranks)


async def warm(peer, scope, asked):
    """Median milliseconds of a search; at most some seconds of them."""
    await peer.search(scope, asked[0][0])
    gc.collect()
    taken = []
    while len(taken) < TIMED and sum(taken) < 3_000:
        query, _ = asked[len(taken) % len(asked)]
        start = time.perf_counter()
        await peer.search(scope, query)
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


async def cold(ours, scope, query):
    await ours.fresh()
    gc.collect()
    start = time.perf_counter()
    await ours.search(scope, query)
    return (time.perf_counter() - start) * 1000


async def measure(url, sizes):
    ours = Ours(url)
    print(f"{'entries':>8}  {'':14} {'recall@5':>8} {'MRR':>6} {'warm ms':>9} {'cold ms':>9}")
    for size in sizes:
        made = facts(size)
        asked = questions(made, QUESTIONS)
        few = asked[: QUESTIONS if size <= 1_000 else 25]  # theirs reads every word for each
        theirs, scope = Theirs(), str(size)
        rows = {}
        for peer in (ours, theirs):
            await peer.fill(scope, [text for _, text in made])
            rows[peer.name] = (*await quality(peer, scope, few), await warm(peer, scope, few))
        first = await cold(ours, scope, asked[0][0])
        for name, (recall, mrr, taken) in rows.items():
            begun = f"{first:9.1f}" if name == ours.name else f"{'-':>9}"
            print(f"{size:8,}  {name:14} {recall:8.2f} {mrr:6.2f} {taken:9.2f} {begun}", flush=True)
        (recall, mrr, taken), (their_recall, their_mrr, their_taken) = rows.values()
        print(
            f"{'':8}  {'ratio':14} {ratio(recall, their_recall)} {ratio(mrr, their_mrr, 6)}"
            f" {their_taken / taken:8.1f}x faster, {their_taken / first:.2f}x cold"
        )
    await ours.close()


def ratio(ours, theirs, width=8):
    return f"{'-' if not theirs else f'{ours / theirs:.1f}x':>{width}}"


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.recall", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES), help="entries")
    sizes = parser.parse_args().sizes
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with server.running() as (url, version):
        print(f"{version} over TCP; {QUESTIONS} questions, 25 above 1,000 entries; one process")
        asyncio.run(measure(url, sizes))


if __name__ == "__main__":
    main()
