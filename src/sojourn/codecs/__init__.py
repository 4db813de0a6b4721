"""Value → bytes and back. Knows no Redis."""

from sojourn.codecs.json import decode, encode

__all__ = ["decode", "encode"]
