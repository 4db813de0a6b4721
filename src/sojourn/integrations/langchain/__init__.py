"""Sojourn for LangChain (langchain-core ≥ 1.0).

from sojourn.integrations.langchain import ChatMessageHistory

history = ChatMessageHistory("session-1", "redis://localhost:6379")
"""

from sojourn.extras import how_to_install

try:
    import langchain_core as _  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"sojourn.integrations.langchain needs langchain-core ({error}): "
        f"{how_to_install('langchain')}",
        name=error.name,
    ) from error

from sojourn.integrations.langchain.cache import LLMCache, LLMCacheStats
from sojourn.integrations.langchain.history import ChatMessageHistory
from sojourn.integrations.langchain.keyvalue import KeyValueStore

__all__ = ["ChatMessageHistory", "KeyValueStore", "LLMCache", "LLMCacheStats"]
