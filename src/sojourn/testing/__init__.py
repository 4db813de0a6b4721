"""Contract suites that anyone can run on a store of their own. They need pytest and anyio.

class TestMine(SessionsContract):
@pytest.fixture
async def store(self):
async with sojourn.open("redis://my-server") as store:
yield store
"""

from sojourn.testing.artifacts import ArtifactsContract
from sojourn.testing.cache import CacheContract
from sojourn.testing.forgetting import ForgettingContract
from sojourn.testing.history import HistoryContract
from sojourn.testing.memory import MemoryContract
from sojourn.testing.notices import NoticesContract
from sojourn.testing.sessions import SessionsContract
from sojourn.testing.streams import StreamsContract

__all__ = [
    "ArtifactsContract",
    "CacheContract",
    "ForgettingContract",
    "HistoryContract",
    "MemoryContract",
    "NoticesContract",
    "SessionsContract",
    "StreamsContract",
]
