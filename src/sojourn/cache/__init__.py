"""Results of expensive steps: computed once, kept for a while, forgotten together."""

from sojourn.cache.service import Cache, CacheStats
from sojourn.cache.store import CacheStore

__all__ = ["Cache", "CacheStats", "CacheStore"]
