"""Operations of the streams room, one class each."""
