"""Operations of the artifacts room, one class each; beside them their Lua scripts."""
