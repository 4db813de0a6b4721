"""Operations of the cache, one class each."""
