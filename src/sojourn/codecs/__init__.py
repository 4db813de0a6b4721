"""Value → bytes and back. Knows no Redis."""

from sojourn.codecs.json import check_members, decode, encode, encode_object
from sojourn.codecs.pieces import in_pieces
from sojourn.codecs.text import text

__all__ = ["check_members", "decode", "encode", "encode_object", "in_pieces", "text"]
