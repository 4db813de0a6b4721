"""Rules for ids that callers bring."""

from __future__ import annotations

import logging
import math
import re
from itertools import pairwise
from typing import Self

import msgspec

from sojourn.errors import InvalidId, InvalidInput
from sojourn.ids import MAX_BYTES, parse_session

log = logging.getLogger("sojourn.security")

PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:~@+=,"
"""Letters, digits, and what means nothing to a URL's path, a shell, a glob or a log."""
URLSAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

RESERVED = frozenset(
    {".", "..", "-", "_", "0", "admin", "all", "any", "anonymous", "current", "default", "false"}
    | {"guest", "id", "me", "nan", "new", "nil", "none", "null", "root", "self", "session", "test"}
    | {"true", "undefined", "user"}
)
"""What programs write where they have no id, and what routes and people take for another thing."""

_SHOWN = 40
"""Characters of a refused id that a message repeats."""
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_WORD = re.compile("[A-Z]?[a-z]{3,16}|[A-Z]{3,16}")
_LETTER, _DIGIT, _OF_A_WORD = math.log2(26), math.log2(10), 2.0
"""Bits of a random letter, of a random digit, and of a letter in a word, at most."""

_told: set[str] = set()
"""What this process has warned of."""


class IdPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Which ids of callers are taken as names of sessions. Ids of our making satisfy all of them.

    The default takes what one can read in a log and put into a URL's path, and warns once in a
    process when an id looks as if it could be guessed. `IdPolicy.strict()` refuses such.

    Attributes:
        min_length: characters.
        max_length: characters; none is longer than 512 bytes either.
        alphabet: the characters that an id may have; empty for any.
        reserved: words that are no ids, in any case of letters.
        min_bits: how hard to guess an id must look, by `bits`; None refuses none.
        warn_bits: below this the log warns, once in a process; 0 for never.

    Raises:
        InvalidInput: no id could satisfy it.
    """

    min_length: int = 1
    max_length: int = 128
    alphabet: str = PLAIN
    reserved: frozenset[str] = RESERVED
    min_bits: float | None = None
    warn_bits: float = 64.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not 1 <= self.min_length <= self.max_length <= MAX_BYTES:
            raise InvalidInput(
                f"A policy for ids has 1 <= min_length <= max_length <= {MAX_BYTES}, not "
                f"{self.min_length!r} and {self.max_length!r}."
            )

    @classmethod
    def strict(cls) -> Self:
        """The preset for ids that are secrets: 22 to 128 letters, digits, `-` and `_`, 64 bits.

        A random UUID, 128 bits in hexadecimal and `secrets.token_urlsafe(16)` satisfy it.
        """
        return cls(min_length=22, alphabet=URLSAFE, min_bits=64.0, warn_bits=0.0)

    def check(self, id: object) -> str:  # noqa: A002 - its name there
        """Check an id before anything is sent.

        Returns:
            the id, as it came.

        Raises:
            InvalidId: it is none that this policy takes. The message has no more than its first 40
                characters, and none that a log or a terminal would act on.
        """
        name = parse_session(id)  # type: ignore[arg-type]
        if not self.min_length <= len(name) <= self.max_length:
            raise InvalidId(
                f"The session id {shown(name)} has {len(name)} characters; {self.min_length} to "
                f"{self.max_length} are allowed."
            )
        wrong = set(name).difference(self.alphabet) if self.alphabet else set[str]()
        if wrong:
            raise InvalidId(
                f"The session id {shown(name)} has characters that are not allowed: "
                f"{shown(''.join(sorted(wrong)))}."
            )
        if name.casefold() in self.reserved:
            raise InvalidId(f"{shown(name)} is a reserved word and names no session.")
        self._check_bits(name)
        return name

    def _check_bits(self, name: str) -> None:
        least = self.min_bits or 0.0
        if not least and (not self.warn_bits or _told):
            return
        found = bits(name)
        if found < least:
            raise InvalidId(
                f"The session id {shown(name)} can be guessed: it looks like {found:.0f} bits at "
                f"most, and {least:.0f} are asked for. Use secrets.token_urlsafe(16), or leave the "
                "id to create()."
            )
        if found < self.warn_bits and not _told:
            _told.add("bits")
            log.warning(
                "A session id looks like %.0f random bits at most: who guesses it resumes the "
                "session. Leave ids to create(), or bind sessions. Said once.",
                found,
            )


def shown(text: str) -> str:
    """Text as a message may repeat it: in ASCII, without control characters, and not all of it."""
    return ascii(text[:_SHOWN]) + ("…" if len(text) > _SHOWN else "")


def bits(id: str) -> float:  # noqa: A002 - its name there
    """How many bits an id has at most, by its looks: an upper bound, and no proof of randomness.

    A character counts as much as its kind allows: a letter 4.7, a digit 3.3, of a hexadecimal id 4,
    any other 1; letters count 2 where most of them are in words. What follows from the characters
    before counts nothing: `aaaa`, `1234`, `abab`. What this cannot see: a time, a counter, a name
    in hexadecimal.
    """
    period = (id + id).find(id, 1)
    if 0 < period < len(id):
        return bits(id[:period])
    plain = re.sub(r"[-_.:]", "", id)
    if _HEX.fullmatch(plain) and re.search("[a-fA-F]", plain) and re.search("[0-9]", plain):
        return 4.0 * sum(_unforeseen(plain))
    in_words = sum(map(_letters_of_words, re.split("[^0-9A-Za-z]+", id)))
    letter = _OF_A_WORD if 3 * in_words > 2 * sum(map(str.isalpha, id)) else _LETTER
    return sum(
        new * (letter if each.isalpha() else _DIGIT if each.isdecimal() else 1.0)
        for each, new in zip(id, _unforeseen(id), strict=True)
    )


def _letters_of_words(part: str) -> int:
    """How many letters a part of an id has if it looks like a word, as `session2`."""
    word = part.strip("0123456789")
    if not _WORD.fullmatch(word) or 4 * len(re.findall("[aeiouyAEIOUY]", word)) < len(word):
        return 0
    return len(word)


def _unforeseen(text: str) -> list[bool]:
    """For each character, whether it is another than the one before, and no step on as that was."""
    steps = [ord(after) - ord(before) for before, after in pairwise(text)]
    before = zip([0, *steps], steps, strict=False)
    new = (step != 0 and (abs(step) > 1 or step != last) for last, step in before)
    return [True, *new] if text else []
