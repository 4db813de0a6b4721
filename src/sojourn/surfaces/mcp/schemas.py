"""Schemas of tools, short, and in the part of JSON Schema that every client knows.

Gemini refuses lists of types, arrays without items and arguments without a type; Cursor passes over
arguments without a type and refuses values where a type is a list. So an argument has one type, or
`anyOf` members of one type each, and one that may be left out has no `null`.
"""

from __future__ import annotations

from typing import Any, cast

Schema = dict[str, Any]

_SCALARS: list[Schema] = [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]
_OBJECT: Schema = {"type": "object"}

ANY_JSON: list[Schema] = [
    *_SCALARS,
    _OBJECT,
    {"type": "array", "items": {"anyOf": [*_SCALARS, _OBJECT]}},
]
"""The `anyOf` of an argument that takes any JSON. It takes null and lists in lists as well."""

_NULL: Schema = {"type": "null"}
_NOISE = ("title", "$defs", "propertyNames", "minLength", "maxLength", "required", "default")
"""Left out, but for what is required and the defaults of arguments. The server knows the limits."""


def of_arguments(schema: Schema) -> Schema:
    """The schema of a tool's arguments."""
    return _short(schema, schema.get("$defs", {}), arguments=True)


def of_results(schema: Schema) -> Schema:
    """The schema of a tool's result: `null` stays where it may come."""
    return _short(schema, schema.get("$defs", {}), arguments=False)


def _short(schema: Schema, defs: Schema, *, arguments: bool) -> Schema:
    """The schema without names of classes; what it refers to stands in its place."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = {**defs[name], **schema}

    def shortened(part: Any) -> Any:
        return _short(cast("Schema", part), defs, arguments=arguments)

    short: Schema = {}
    for name, part in schema.items():
        if name == "properties":
            short[name] = {each: shortened(found) for each, found in part.items()}
        elif name == "anyOf":
            short[name] = [shortened(each) for each in part]
        elif name in ("items", "additionalProperties") and isinstance(part, dict):
            short[name] = shortened(part)
        elif name not in ("$ref", *_NOISE):
            short[name] = part
    return _argument(short, schema) if arguments else _result(short)


def _argument(short: Schema, whole: Schema) -> Schema:
    """With a type, with its default, and without the `null` that stands for leaving it out."""
    kinds = [each for each in short.get("anyOf", ()) if each != _NULL]
    if len(kinds) == 1 and "default" in whole:
        del short["anyOf"]
        short = {**kinds[0], **short}
    short.update({name: whole[name] for name in ("required", "default") if whole.get(name)})
    if short.get("additionalProperties") is True:
        del short["additionalProperties"]
    if "type" not in short and "anyOf" not in short:
        short["anyOf"] = ANY_JSON
    return short


def _result(short: Schema) -> Schema:
    """With `null` among the types, and without prose: programs read it, and no model."""
    short.pop("description", None)
    kinds: list[Schema] = short.get("anyOf", [])
    if len(kinds) == 2 and all(set(each) == {"type"} for each in kinds):  # noqa: PLR2004 - with null
        del short["anyOf"]
        short["type"] = [each["type"] for each in kinds]
    return short
