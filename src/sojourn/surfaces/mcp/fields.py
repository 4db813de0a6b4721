"""The arguments that tools share: their limits, and what a model reads about them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

Text = Annotated[str, Field(max_length=4096)]
Json = Any
"""A JSON value, taken exactly as it came: text that looks like JSON stays text."""

SessionId = Annotated[str, Field(min_length=1, max_length=512, description="The session's id.")]
NewSessionId = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=512,
        description="An id of your own; left out, it gets one that nobody guesses.",
    ),
]
Key = Annotated[str, Field(min_length=1, max_length=512)]
Name = Annotated[str, Field(min_length=1, max_length=512)]
Tag = Annotated[str, Field(min_length=1, max_length=512, description="One line of text.")]
OperationId = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=128,
        description="Your own id: repeat the call with it, and it happens once.",
    ),
]
SessionVersion = Annotated[
    int | None,
    Field(ge=1, description="Only if it is still of this version."),
]
EntryVersion = Annotated[
    int | None,
    Field(ge=0, description="Only if it is still of this version; 0: if there is none."),
]
Cursor = Annotated[
    str | None,
    Field(max_length=4096, description="`cursor` of the answer before."),
]
NewestFirst = Annotated[bool, Field(description="Begin with what was changed last.")]
Limit = Annotated[int, Field(ge=1, le=100)]
Seconds = Annotated[
    float | None,
    Field(ge=0.001, description="Seconds that it lives."),
]
State = Annotated[
    dict[str, Json],
    Field(
        description="Values by key, each instead of what was there. All sessions of the user share "
        "`user:…` keys."
    ),
]
_LabelName = Annotated[str, Field(min_length=1, max_length=64)]
_LabelWord = Annotated[str, Field(min_length=1, max_length=256)]
Labels = Annotated[
    dict[_LabelName, _LabelWord] | None,
    Field(description="Words by name, 16 at most."),
]
LabelChanges = Annotated[
    dict[_LabelName, _LabelWord | None] | None,
    Field(description="Labels to set by name; null removes one, the others stay."),
]
Metadata = Annotated[dict[str, Json] | None, Field(description="Anything beside it. Not searched.")]
