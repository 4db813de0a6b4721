"""Operations of the room of data keys, one class each."""
