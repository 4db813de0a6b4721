"""Normalisation of texts into comparable words, in any language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from typing import Any, cast
from unicodedata import category, normalize

from sojourn.caps import CAPS

LONGEST = 100_000
"""Characters of an entry that are searched."""

_PLAIN = re.compile(r"[a-z0-9]+")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30fa\u30fc-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Scripts that put no spaces between words, or join particles to them: Thai, Lao, Tibetan, Burmese,
Khmer, Japanese, Chinese, Korean."""
_SIGNED = re.compile(
    r"(?<![^\W_])([.#@]?)([^\W_]{1,64}(?:[.#@+/:_\\-]{1,3}[^\W_]{1,64})*)([+#]{0,3})"
)
"""Words with the signs that join them, and that stand before and behind."""
_SIGNS = re.compile(r"([.#@+/:_\\-]+)")
_VERSION = re.compile(r"v\d")
_AS_LETTERS = {ord(sign): chr(0xE000 + ord(sign)) for sign in ".#@+/:_\\-"}
"""Signs as characters that the index takes for letters, and that no word has."""
_ACCENT = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1-\u05c2\u05c4-\u05c5\u0610-\u061a\u0640"
    "\u064b-\u0655\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe00-\ufe0f\ufe20-\ufe2f]"
)
"""Marks that many leave out. Those of Indic scripts and of kana make other letters, and stay."""
_LETTERS = str.maketrans(
    {
        "ł": "l",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "ħ": "h",
        "\u0131": "i",
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
    }
)
_SPACE, _WORD, _RUN, _SYMBOL = range(4)


def stored_words(text: str) -> str:
    """The words under which a text is found, with spaces between; then what signs join."""
    folded = _folded(text, LONGEST)
    words = [
        part for kind, word in _parts(folded) for part in (_pairs(word) if kind == _RUN else [word])
    ]
    return " ".join([*words, *_joined(folded)])


def asked_words(query: str, most: int = 5000) -> list[str]:
    """The words of a query, each once, as terms for FTS5; none is read as an operator.

    Of more than `most` those stay that tell most: what signs join, then the longest.
    """
    folded = _folded(query, CAPS.query)
    terms: dict[str, int] = {}
    for kind, word in _parts(folded):
        if kind != _RUN:
            terms[f'"{word}"'] = len(word)
        elif len(word) == 1:
            terms[f'"{word}"*'] = 2
        else:
            terms.update((f'"{pair}"', 2) for pair in _pairs(word)[:-1])
    terms.update((f'"{joined}"', LONGEST) for joined in _joined(folded))
    if len(terms) <= most:
        return list(terms)
    telling = set(sorted(terms, key=lambda term: -terms[term])[:most])
    return [term for term in terms if term in telling]


def texts_in(value: Any) -> Iterator[str]:
    """The texts in a JSON value, in their order; the name of a member stands before its value."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            for name, each in reversed(cast("dict[str, Any]", found).items()):
                waiting += (each, name)
        elif isinstance(found, list):
            waiting.extend(reversed(cast("list[Any]", found)))  # type: ignore[redundant-cast]


def _folded(text: str, most: int) -> str:
    """The first characters of a text, without case, accents and other ways to write the same.

    Some characters become many.
    """
    text = text[:most]
    if text.isascii():
        return text.lower()
    folded = normalize("NFKD", normalize("NFKC", text).casefold())
    return normalize("NFC", _ACCENT.sub("", folded[:most])).translate(_LETTERS)


def _parts(folded: str) -> Iterator[tuple[int, str]]:
    if folded.isascii():
        for found in _PLAIN.finditer(folded):
            yield _WORD, found.group()
        return
    for kind, run in groupby(folded, _kind):
        if kind == _SYMBOL:
            for symbol in run:
                yield kind, symbol
        elif kind != _SPACE:
            yield kind, "".join(run)


def _joined(folded: str) -> Iterator[str]:
    """What signs make of words: `c#`, `c++`, `.net`, versions, dates, addresses, paths.

    All of it, and each two parts with what is between them, so that a part of a path is found, and
    `1.1.6` before `6.1.1`. They stand beside the words themselves: these are found without signs.
    """
    for found in _SIGNED.finditer(folded):
        before, body, behind = found.groups()
        if _VERSION.match(body):  # v1.2 is 1.2
            body = body[1:]
        pieces = _SIGNS.split(body)  # word, signs, word, …
        if len(pieces) > 3:  # noqa: PLR2004 - more than one pair
            for place in range(0, len(pieces) - 2, 2):
                yield "".join(pieces[place : place + 3]).translate(_AS_LETTERS)
        if before:
            yield (before + pieces[0]).translate(_AS_LETTERS)
        if behind:
            yield (pieces[-1] + behind).translate(_AS_LETTERS)
        if len(pieces) > 1:
            yield body.translate(_AS_LETTERS)


def _pairs(run: str) -> list[str]:
    """Overlapping pairs of characters, and the last one alone: each begins one of them."""
    return [run[place : place + 2] for place in range(len(run))]


@lru_cache(4096)
def _kind(character: str) -> int:
    group = category(character)
    if group == "So":  # emoji, dingbats
        return _SYMBOL
    if group[0] in "LNM" and not (character.isascii() and not character.isalnum()):
        return _RUN if _UNSPACED.match(character) else _WORD
    return _SPACE
