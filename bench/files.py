"""Artifacts beside ADK's own services and a bare SET of the same bytes. Part of bench.rooms."""

import contextlib
import itertools
import tempfile

import redis.asyncio
from google.adk.artifacts.file_artifact_service import FileArtifactService
from google.adk.artifacts.in_memory_artifact_service import InMemoryArtifactService
from google.genai import types

from sojourn.integrations.adk import ArtifactService

from .measure import flush, in_turn, timed

SIZES = {"10 KB": 10_000, "1 MB": 1_000_000}
WHERE = {"app_name": "bench", "user_id": "ada", "session_id": "s"}
KINDS = ("sojourn", "ADK file", "ADK in-memory", "bare SET")


class Service:
    """An artifact service under ADK's API, as a runner uses it."""

    def __init__(self, service):
        self.service = service

    async def save(self, name, data):
        part = types.Part(inline_data=types.Blob(data=data, mime_type="image/png"))
        await self.service.save_artifact(**WHERE, filename=name, artifact=part)

    async def load(self, name):
        return (await self.service.load_artifact(**WHERE, filename=name)).inline_data.data

    async def close(self):
        if isinstance(self.service, ArtifactService):
            await self.service.close()


class BareSet:
    """No versions, no types, no index: the floor of a server."""

    def __init__(self, url):
        self.client = redis.asyncio.from_url(url)

    async def save(self, name, data):
        await self.client.set(f"file:{name}", data, ex=600)

    async def load(self, name):
        return await self.client.get(f"file:{name}")

    async def close(self):
        await self.client.aclose()


async def measure(url, rounds, calls):
    """Milliseconds by row and peer."""
    flush(url)
    rows, numbers = {}, itertools.count()
    with tempfile.TemporaryDirectory() as folder:
        services = (ArtifactService(url), FileArtifactService(folder), InMemoryArtifactService())
        peers = dict(zip(KINDS, [*map(Service, services), BareSet(url)], strict=True))

        async def turn(name, peer):
            for size, length in SIZES.items():
                data = b"x" * length
                for _ in range(calls if length < 100_000 else max(1, calls // 10)):
                    file = f"{next(numbers)}.png"
                    taken, _ = await timed(peer.save(file, data))
                    rows.setdefault(f"save {size}", {}).setdefault(name, []).append(taken)
                    taken, found = await timed(peer.load(file))
                    assert found == data
                    rows.setdefault(f"load {size}", {}).setdefault(name, []).append(taken)

        try:
            await in_turn(peers, rounds, turn)
        finally:
            for peer in peers.values():
                with contextlib.suppress(Exception):
                    await peer.close()
    return rows
