"""Objects: stored values, named by a digest of their content. Knows no Redis.

A thread stores each object once. A leaf is JSON text, or `!KIND`, a line break and bytes. A branch
is `*`, the references of its children with blanks between, and perhaps a line break and a template.
A reference is a digest, perhaps `*` before it (a list of that one value), and perhaps `:` and an id
behind it. Long lists are trees of branches with four children each, so that a list shares all but a
few branches with the one that it continues.

What a checkpoint has under a name is a fragment: JSON, in which `{"$ref": n}` is reference n.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple, cast

import msgspec

from sojourn.checkpoints.model import Branch, Content, Leaf
from sojourn.codecs.json import decode
from sojourn.ids import escape, unescape

FAN = 4
"""Children of a full branch of a list."""
INLINE = 64
"""Bytes of JSON up to which a value stands where it is used, and is no object."""

REF = "$ref"
"""The one member of an object in a template that stands for a child."""

_DIGEST_BYTES = 16
_DIGITS = 22
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_plain_id = re.compile(r"[A-Za-z0-9_.-]+").fullmatch
BRANCH = b"*"
_TAG = b"!"


def digest_of(body: bytes, secret: bytes = b"") -> str:
    """The name of an object: 22 characters."""
    made = blake2b(body, digest_size=_DIGEST_BYTES, key=secret, person=b"sojourn value")
    return b2a_base64(made.digest(), newline=False)[:_DIGITS].translate(_URL_SAFE).decode()


_REMEMBERED = 4_000
"""Bytes of an object up to which its digest is remembered: each put has all values again."""


@lru_cache(maxsize=4096)
def named(body: bytes, kind: str, secret: bytes) -> tuple[str, bytes]:
    """An object's digest, and its body with its kind."""
    if kind:
        body = b"!%b\n%b" % (kind.encode(), body)
    return digest_of(body, secret), body


def name_of(body: bytes) -> str:
    """The digest of an object that is not sealed; remembered, as each turn reads all again."""
    make = named if len(body) <= _REMEMBERED else named.__wrapped__
    return make(body, "", b"")[0]


class Fragment(NamedTuple):
    """A value where it is used.

    Attributes:
        text: JSON, in which `{"$ref": n}` stands for reference n.
        tokens: the references.
    """

    text: bytes
    tokens: tuple[str, ...] = ()


_WHOLE = b'{"$ref":%d}'
_REF_TEXT = re.compile(rb'\{"\$ref":(\d{1,6})\}')
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_name = msgspec.json.Encoder().encode


class Builder:
    """Makes objects of values.

    Args:
        secret: a key for the digests.

    Attributes:
        objects: those made so far, by digest, children before what refers to them.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret
        self.objects: dict[str, bytes] = {}

    def add(self, content: Content) -> str:
        """Make the objects of a value; its reference."""
        if isinstance(content, Leaf):
            token = self._object(content.body, content.kind)
            if not content.id:
                return token
            return f"{token}:{content.id if _plain_id(content.id) else escape(content.id)}"
        tokens = [self.add(child) for child in content.children]
        if content.template is None and len(tokens) == 1 and tokens[0][0] != "*":
            return f"*{tokens[0]}"
        if content.template is not None:
            return self._object(b"*%b\n%b" % (" ".join(tokens).encode(), content.template))
        return self._branch(self._grouped(tokens))

    def fragment(self, content: Content) -> Fragment:
        """A value where it is used: itself if it is small, else a reference."""
        if isinstance(content, Leaf):
            small = not content.kind and not content.id and len(content.body) <= INLINE
            if small and b"$ref" not in content.body:
                return Fragment(content.body)
        elif content.template is not None and len(content.template) <= INLINE:
            return Fragment(content.template, tuple([self.add(each) for each in content.children]))
        return Fragment(_WHOLE % 0, (self.add(content),))

    def _grouped(self, tokens: list[str]) -> list[str]:
        """The children of the root of a list: few, however long it is."""
        if len(tokens) < FAN:
            return tokens
        full = len(tokens) // FAN * FAN
        groups = [self._branch(tokens[at : at + FAN]) for at in range(0, full, FAN)]
        return self._grouped(groups) + tokens[full:]

    def _branch(self, tokens: Sequence[str]) -> str:
        return self._object(b"*%b" % " ".join(tokens).encode())

    def _object(self, body: bytes, kind: str = "") -> str:
        make = named if len(body) <= _REMEMBERED else named.__wrapped__
        digest, self.objects[digest] = make(body, kind, self._secret)
        return digest


def digest_in(token: str) -> str:
    """The digest in a reference."""
    return token.removeprefix("*").partition(":")[0]


def joined(fragments: Mapping[str, Fragment]) -> tuple[dict[str, msgspec.Raw], list[str]]:
    """Fragments by name, with their references in one list."""
    texts: dict[str, msgspec.Raw] = {}
    tokens: list[str] = []
    for name, each in fragments.items():
        texts[name] = msgspec.Raw(_renumbered(each.text, len(tokens)) if each.tokens else each.text)
        tokens += each.tokens
    return texts, tokens


def separate(texts: Mapping[str, msgspec.Raw], tokens: Sequence[str]) -> dict[str, Fragment]:
    """The inverse of `joined`.

    Raises:
        ValueError: a reference is none of these.
    """
    made: dict[str, Fragment] = {}
    for name, raw in texts.items():
        text = bytes(raw)
        numbers = _numbers_in(text)
        if not numbers:
            made[name] = Fragment(text)
            continue
        if max(numbers) >= len(tokens):
            raise ValueError("a reference has no place")
        first = min(numbers)
        own = tuple(tokens[number] for number in sorted(numbers))
        made[name] = Fragment(_renumbered(text, -first), own)
    return made


def _numbers_in(text: bytes) -> list[int]:
    """The references in a fragment: it is one, or its members are."""
    if b"$ref" not in text:
        return []
    if whole := _REF_TEXT.fullmatch(text):
        return [int(whole[1])]
    found = [_REF_TEXT.fullmatch(bytes(raw)) for raw in _members(text).values()]
    return [int(each[1]) for each in found if each]


def _renumbered(text: bytes, by: int) -> bytes:
    if by == 0:
        return text
    if whole := _REF_TEXT.fullmatch(text):
        return _WHOLE % (int(whole[1]) + by)
    members: list[bytes] = []
    for name, raw in _members(text).items():
        found = _REF_TEXT.fullmatch(bytes(raw))
        members.append(
            _name(name) + b":" + (_WHOLE % (int(found[1]) + by) if found else bytes(raw))
        )
    return b"{%b}" % b",".join(members)


def children_of(body: bytes) -> list[str]:
    """The references in an object; none in a leaf."""
    if body[:1] != BRANCH:
        return []
    return body[1:].partition(b"\n")[0].decode().split()


def split(body: bytes) -> tuple[bytes, bytes]:
    """An object's part that stands in clear, and its content, which may be encoded."""
    if body[:1] != BRANCH:
        return b"", body
    line, mark, template = body.partition(b"\n")
    return line + mark, template


def needed(
    roots: Collection[str], objects: Mapping[str, bytes], known: Callable[[str], bool]
) -> dict[str, bytes]:
    """The objects below some digests that are not known; those below a known one are known, too."""
    found: dict[str, bytes] = {}
    todo = list(roots)
    while todo:
        digest = todo.pop()
        if digest in found or known(digest) or digest not in objects:
            continue
        body = found[digest] = objects[digest]
        todo += map(digest_in, children_of(body))
    return found


def missing_of(
    digests: Sequence[str], here: Mapping[str, bytes], given: Mapping[str, bytes]
) -> list[str]:
    """Digests, and those below what is given, of which neither is here nor given what they name."""
    todo, seen, lost = list(digests), set[str](), list[str]()
    while todo:
        digest = todo.pop()
        if digest in seen or digest in here:
            continue
        seen.add(digest)
        if digest in given:
            todo += map(digest_in, children_of(given[digest]))
        else:
            lost.append(digest)
    return lost


def content_of(fragment: Fragment, objects: Mapping[str, bytes]) -> Content:
    """The value of a fragment.

    Raises:
        LookupError: an object is not there.
        ValueError: one cannot be read.
    """
    if not fragment.tokens:
        return Leaf(fragment.text)
    values = [resolve(token, objects) for token in fragment.tokens]
    return values[0] if fragment.text == _WHOLE % 0 else Branch(values, fragment.text)


def resolve(token: str, objects: Mapping[str, bytes]) -> Content:
    """The value of a reference.

    Raises:
        LookupError: an object is not there.
        ValueError: one cannot be read.
    """
    if token.startswith("*"):
        return Branch([resolve(token[1:], objects)])
    digest, _, own = token.partition(":")
    body = objects[digest]
    if body[:1] != BRANCH:
        kind = ""
        if body[:1] == _TAG:
            tag, mark, body = body[1:].partition(b"\n")
            if not mark:
                raise ValueError("a value has no end of its kind")
            kind = tag.decode()
        return Leaf(body, kind, unescape(own))
    line, mark, template = body.partition(b"\n")
    if mark:
        return Branch([resolve(each, objects) for each in line[1:].decode().split()], template)
    return Branch([resolve(each, objects) for each in _elements(digest, objects)])


def _elements(digest: str, objects: Mapping[str, bytes]) -> Iterator[str]:
    """The references of the elements of a list."""
    for token in children_of(objects[digest]):
        body = objects[digest_in(token)]
        if token[0] != "*" and body[:1] == BRANCH and b"\n" not in body:
            yield from _elements(digest_in(token), objects)
        else:
            yield token


def plain(content: Content) -> Any:
    """A value as JSON, for people: what is not JSON is an object that says its kind and size."""
    if isinstance(content, Branch):
        children = [plain(child) for child in content.children]
        if content.template is None:
            return children
        members = cast("dict[str, Any]", decode(content.template))
        return {
            name: children[value[REF]] if _is_ref(value) else value
            for name, value in members.items()
        }
    value: Any = _readable(content)
    if content.id and isinstance(value, dict):
        return {**cast("dict[str, Any]", value), "id": content.id}
    return value


def _is_ref(value: object) -> bool:
    return isinstance(value, dict) and len(value) == 1 and REF in value  # pyright: ignore[reportUnknownArgumentType]


def _readable(leaf: Leaf) -> Any:
    try:
        if leaf.kind == "msgpack":
            return msgspec.msgpack.decode(leaf.body, ext_hook=_extension)
        return decode(leaf.body)
    except (ValueError, RecursionError, TypeError):
        return {"kind": leaf.kind, "bytes": len(leaf.body)}


def _extension(_code: int, data: memoryview) -> Any:
    """An extension of MessagePack is shown as what it holds; nothing is made of it."""
    return msgspec.msgpack.decode(data, ext_hook=_extension)
