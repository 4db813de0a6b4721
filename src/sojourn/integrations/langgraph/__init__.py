"""Sojourn for LangGraph (langgraph ≥ 1.0).

from sojourn.integrations.langgraph import CheckpointSaver

graph = builder.compile(checkpointer=CheckpointSaver("redis://localhost:6379"))
"""

from sojourn.extras import how_to_install

try:
    import langgraph.checkpoint.base as _  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"sojourn.integrations.langgraph needs langgraph ({error}): {how_to_install('langgraph')}",
        name=error.name,
    ) from error

from sojourn.integrations.langgraph.cache import TaskCache as Cache
from sojourn.integrations.langgraph.saver import CheckpointSaver
from sojourn.integrations.langgraph.store import LongTermStore as Store

__all__ = ["Cache", "CheckpointSaver", "Store"]
