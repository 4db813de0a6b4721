"""Commands of keys."""
