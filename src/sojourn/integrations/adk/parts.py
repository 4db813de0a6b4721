"""ADK's artifacts as bytes with a MIME type and metadata, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.adk.errors.input_validation_error import InputValidationError
from google.genai import types
from pydantic_core import PydanticSerializationError, to_jsonable_python

from sojourn.artifacts import Artifact, ArtifactVersion
from sojourn.errors import CorruptRecord, InvalidValue
from sojourn.integrations.adk.events import from_json, is_too_deep

PART = "adk:part"
"""Metadata: what a part is beside its bytes, as ADK's JSON. Absent for plain bytes with a type."""

_BINARY = "application/octet-stream"
_REMOVED = types.Part(inline_data=types.Blob(mime_type=_BINARY, data=b""))
"""What a rewind saves in place of an artifact that was not there yet."""

_NOT_JSON = (PydanticSerializationError, TypeError, ValueError, RecursionError)


def is_removed(part: types.Part) -> bool:
    """Whether a part stands for none."""
    return part == _REMOVED


def to_bytes(part: types.Part) -> tuple[bytes, str, dict[str, Any]]:
    """The bytes of a part, what they are, and the rest of it as metadata.

    Raises:
        InputValidationError: it has neither data nor text nor a reference to a file.
        InvalidValue: something in it has no JSON.
    """
    blob, text, file = part.inline_data, part.text, part.file_data
    data, mime, update = b"", "", dict[str, Any]()
    if blob is not None:
        data, mime = blob.data or b"", blob.mime_type or ""
        if part == types.Part(inline_data=types.Blob(mime_type=mime, data=data)):
            return data, mime, {}
        if blob.data is not None:
            update = {"inline_data": blob.model_copy(update={"data": b""})}
    elif text is not None:
        data, mime = text.encode(errors="surrogatepass"), "text/plain"
        update = {"text": ""}
    elif file is not None:
        mime = file.mime_type or ""
    else:
        raise InputValidationError("Not supported artifact type.")
    try:
        rest = part.model_copy(update=update).model_dump_json(exclude_none=True)
        if is_too_deep(rest.encode()):
            raise ValueError("it is nested too deeply")
    except _NOT_JSON as error:
        raise InvalidValue(f"The artifact has a field that JSON cannot hold: {error}.") from error
    return data, mime or _BINARY, {PART: json.loads(rest)}


def to_part(found: Artifact) -> types.Part:
    """The part that was saved; bytes that ADK did not save as inline data.

    Bytes of a part that a newer google-adk saved in a way unknown here are inline data as well.

    Raises:
        CorruptRecord: its metadata are no part.
    """
    if PART not in found.metadata:
        return types.Part(inline_data=types.Blob(mime_type=found.mime_type, data=found.data))
    part = _rest(found)
    if part.inline_data is not None:
        if part.inline_data.data is not None:
            part.inline_data.data = found.data
    elif part.text is not None:
        part.text = found.data.decode(errors="surrogatepass")
    elif part.file_data is None and found.data:
        part.inline_data = types.Blob(mime_type=found.mime_type, data=found.data)
    return part


def mime_type(known: ArtifactVersion, *, is_reference: bool) -> str | None:
    """What ADK says that a version is."""
    if PART not in known.metadata:
        return known.mime_type
    part = _rest(known)
    if part.inline_data is not None:
        return part.inline_data.mime_type
    if part.text is not None:
        return "text/plain"
    if part.file_data is None:
        return known.mime_type
    return None if is_reference else part.file_data.mime_type


def file_uri(known: ArtifactVersion) -> str | None:
    """The file that a version refers to, if it does."""
    if PART not in known.metadata:
        return None
    file = _rest(known).file_data
    return None if file is None else file.file_uri


def custom(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The caller's own metadata as JSON.

    Raises:
        InvalidValue: JSON cannot hold them, or they use a key of ours.
    """
    if not metadata:
        return {}
    if PART in metadata:
        raise InvalidValue(f"The key {PART!r} of custom_metadata is taken: use another.")
    try:
        plain: dict[str, Any] = to_jsonable_python(dict(metadata))
    except _NOT_JSON as error:
        raise InvalidValue(f"custom_metadata cannot be stored as JSON: {error}.") from error
    return plain


def _rest(known: ArtifactVersion) -> types.Part:
    raw = json.dumps(known.metadata[PART]).encode()
    try:
        return from_json(types.Part, raw, "An ADK artifact")
    except ValueError as error:
        raise CorruptRecord(
            f"The metadata {PART!r} of version {known.version} are not a part of ADK's.",
            key=PART,
            raw=raw,
        ) from error
