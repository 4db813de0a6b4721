"""Events shaped like those of an ADK agent: 1.1 KB of JSON each, a tool call now and then."""

import functools
import random
import uuid

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types

SIZE = 1100
WORDS = (
    "the order of your friend was sent on monday and should be at the door by noon "
    "please look at our catalogue price list weather report route hotel flight ticket "
    "refund invoice account number status thanks again quickly because tomorrow never"
)


PROSE = " ".join(random.Random(0).choices(WORDS.split(), k=40_000))


def texts(seed):
    """Pieces of prose, the same in every run and no two alike."""
    rng = random.Random(seed)

    def piece(length):
        start = rng.randrange(len(PROSE) - length)
        return PROSE[start : start + length]

    return piece


@functools.cache
def overhead(kind):
    return len(dump(_event(kind, 1, "")))


def _parts(kind, text):
    if kind == 1:
        call = types.FunctionCall(id="call-1", name="look_up", args={"query": text, "limit": 5})
        return types.Content(role="model", parts=[types.Part(function_call=call)])
    if kind == 2:
        reply = types.FunctionResponse(id="call-1", name="look_up", response={"result": text})
        return types.Content(role="user", parts=[types.Part(function_response=reply)])
    role = "user" if kind == 0 else "model"
    return types.Content(role=role, parts=[types.Part(text=text)])


def _event(kind, turn, text):
    delta = {"topic": f"order {turn}", "turns": turn} if kind == 3 else {}
    usage = types.GenerateContentResponseUsageMetadata(
        prompt_token_count=812, candidates_token_count=97, total_token_count=909
    )
    return Event(
        invocation_id=f"e-{uuid.UUID(int=turn)}",
        author="user" if kind == 0 else "assistant",
        content=_parts(kind, text),
        actions=EventActions(state_delta=delta),
        usage_metadata=usage if kind == 3 else None,
    )


def dump(event):
    """ADK's own short form, the yardstick for sizes."""
    return event.model_dump_json(exclude_none=True).encode()


def make(count, seed=1):
    """Turns of four events: a question, a tool call, its result, an answer that sets state."""
    piece = texts(seed)
    return [_event(i % 4, i // 4, piece(SIZE - overhead(i % 4))) for i in range(count)]


def state_of(events):
    """The session state after these events."""
    state = {}
    for event in events:
        state.update(event.actions.state_delta)
    return state


def mean_size(events):
    return sum(len(dump(event)) for event in events) / len(events)
