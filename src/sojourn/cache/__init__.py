"""Results of expensive steps: computed once, kept for a while, forgotten together."""

from sojourn.cache.service import Cache, CacheStats

__all__ = ["Cache", "CacheStats"]
