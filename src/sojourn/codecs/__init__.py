"""Value → bytes and back. Knows no Redis."""

from sojourn.caps import shown
from sojourn.codecs.json import check_members, decode, decode_each, encode, encode_object, to_json
from sojourn.codecs.pieces import in_pieces
from sojourn.codecs.text import is_number, is_whole, text

__all__ = [
    "check_members",
    "decode",
    "decode_each",
    "encode",
    "encode_object",
    "in_pieces",
    "is_number",
    "is_whole",
    "shown",
    "text",
    "to_json",
]
