"""Resilience between callers and a server that may fail. Knows no Redis."""
