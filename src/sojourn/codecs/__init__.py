"""Value → bytes and back. Knows no Redis."""

from sojourn.codecs.json import decode, encode, encode_object

__all__ = ["decode", "encode", "encode_object"]
