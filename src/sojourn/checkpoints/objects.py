"""Objects: stored values, named by a digest of their content. Knows no Redis.

A thread stores each object once. A leaf is JSON text, or `!KIND`, a line break and bytes. A branch
is `*`, the references of its children with blanks between, and perhaps a line break and a template.
A reference is a digest, or a digest, `:` and an id. Long lists are trees of branches with eight
children each, so that a list shares all but a few branches with the one that it continues.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from sojourn.checkpoints.model import Branch, Content, Leaf
from sojourn.codecs.json import decode
from sojourn.ids import escape, unescape

FAN = 8
"""Children of a full branch of a list."""
INLINE = 40
"""Bytes of JSON up to which a value stands where it is used, and is no object."""

REF = "$ref"
"""The one member of an object in a template that stands for a child."""

_DIGEST_BYTES = 16
BRANCH = b"*"
_TAG = b"!"


def digest_of(body: bytes, secret: bytes = b"") -> str:
    """The name of an object: 22 characters."""
    made = blake2b(body, digest_size=_DIGEST_BYTES, key=secret, person=b"sojourn value")
    return urlsafe_b64encode(made.digest()).rstrip(b"=").decode()


def is_inline(content: Content) -> bool:
    """Whether a value is so small that it is no object."""
    return (
        isinstance(content, Leaf)
        and not content.kind
        and not content.id
        and len(content.body) <= INLINE
    )


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
            body = content.body
            if content.kind:
                body = b"!%b\n%b" % (content.kind.encode(), body)
            token = self._object(body)
            return f"{token}:{escape(content.id)}" if content.id else token
        tokens = [self.add(child) for child in content.children]
        if content.template is not None:
            return self._object(b"*%b\n%b" % (" ".join(tokens).encode(), content.template))
        return self._branch(self._grouped(tokens))

    def _grouped(self, tokens: list[str]) -> list[str]:
        """The children of the root of a list: few, however long it is."""
        if len(tokens) < FAN:
            return tokens
        full = len(tokens) // FAN * FAN
        groups = [self._branch(tokens[at : at + FAN]) for at in range(0, full, FAN)]
        return self._grouped(groups) + tokens[full:]

    def _branch(self, tokens: Sequence[str]) -> str:
        return self._object(b"*%b" % " ".join(tokens).encode())

    def _object(self, body: bytes) -> str:
        digest = digest_of(body, self._secret)
        self.objects[digest] = body
        return digest


def digest_in(token: str) -> str:
    """The digest in a reference."""
    return token.partition(":")[0]


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


def resolve(token: str, objects: Mapping[str, bytes]) -> Content:
    """The value of a reference.

    Raises:
        LookupError: an object is not there.
        ValueError: one cannot be read.
    """
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
        if body[:1] == BRANCH and b"\n" not in body:
            yield from _elements(digest_in(token), objects)
        else:
            yield token


def plain(content: Content) -> Any:
    """A value as JSON, for people: what is not JSON is an object that says its kind and size."""
    if isinstance(content, Branch):
        children = [plain(child) for child in content.children]
        if content.template is None:
            return children
        members: dict[str, Any] = decode(content.template)
        return {
            name: children[value[REF]] if _is_ref(value) else value
            for name, value in members.items()
        }
    value: Any = _readable(content)
    return {**value, "id": content.id} if content.id and isinstance(value, dict) else value


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
