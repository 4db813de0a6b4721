"""Operations on dictionaries."""
