"""Operations of the checkpoints room, each with its Lua script beside it."""
