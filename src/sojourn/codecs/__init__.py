"""Value → bytes and back. Knows no Redis."""

from sojourn.codecs.json import decode, encode, encode_object
from sojourn.codecs.text import text

__all__ = ["decode", "encode", "encode_object", "text"]
