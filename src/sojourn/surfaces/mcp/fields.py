"""The arguments that tools share: their limits, and what a model reads about them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

Text = Annotated[str, Field(max_length=4096)]
Json = Any
"""A JSON value, taken exactly as it came: text that looks like JSON stays text."""

SessionId = Annotated[
    str, Field(min_length=1, max_length=512, description="The session's id, as session_list has.")
]
NewSessionId = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=512,
        description="An id of your own; leave it out and the session gets one that nobody guesses.",
    ),
]
Key = Annotated[str, Field(min_length=1, max_length=512, description="The entry's key.")]
Name = Annotated[str, Field(min_length=1, max_length=512, description="The entry's name.")]
Tag = Annotated[str, Field(min_length=1, max_length=512, description="One line of text.")]
OperationId = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=128,
        description="An id that you make up for this change. When the answer got lost, repeat the "
        "same call with the same id: the change happens once.",
    ),
]
SessionVersion = Annotated[
    int | None,
    Field(ge=1, description="Change it only if the session is still of this version."),
]
EntryVersion = Annotated[
    int | None,
    Field(ge=0, description="Only if the entry is of this version; 0: only if there is none."),
]
Cursor = Annotated[
    str | None,
    Field(max_length=4096, description="`cursor` of the answer before; leave it out at first."),
]
NewestFirst = Annotated[bool, Field(description="Begin with what was changed last.")]
Limit = Annotated[int, Field(ge=1, le=100, description="How many at most.")]
Seconds = Annotated[
    float | None,
    Field(gt=0, description="Seconds that it lives; leave it out for the usual time."),
]
State = Annotated[
    dict[str, Json],
    Field(
        description="Values by key. A key that begins with `user:` is shared by all sessions of "
        "the user. Each value replaces what was there."
    ),
]
_LabelName = Annotated[str, Field(min_length=1, max_length=64)]
_LabelWord = Annotated[str, Field(min_length=1, max_length=256)]
Labels = Annotated[
    dict[_LabelName, _LabelWord] | None,
    Field(description="Words by name, 16 at most. Lists are filtered by them."),
]
LabelChanges = Annotated[
    dict[_LabelName, _LabelWord | None] | None,
    Field(description="Labels to set by name; null removes one, the others stay."),
]
Metadata = Annotated[
    dict[str, Json] | None, Field(description="Anything beside it, as an object. Not searched.")
]
