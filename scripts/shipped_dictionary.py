"""Write the dictionary that the package ships for compression.

    python scripts/shipped_dictionary.py            # write it, unless it is there
    python scripts/shipped_dictionary.py --check    # say whether it is, and write nothing

The content is what a short value can refer to: words, sentences, and the JSON that records of ADK,
LangChain and Sojourn share, with what is needed most at the end, where it is cheapest to refer to.
Zstandard adds tables, which it computes from records of other sentences than those: with the same
ones it would expect to find everything. All texts were written for this and are in
shipped_dictionary/; nobody's data is among them.

With one version of Zstandard the bytes are the same in every run. Other bytes have another name.
A record needs the dictionary that it was written with, so none is ever taken out of the package.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import uuid
from pathlib import Path
from typing import Any

from sojourn.codecs.compression import SHIPPED, Dictionary

try:
    from compression import zstd
except ImportError:  # before Python 3.14
    from backports import zstd

TEXTS = Path(__file__).with_suffix("")
FOLDER = Path(__file__).parents[1] / "src/sojourn/codecs/dictionaries"
SIZE = 32 * 1024
RECORDS = 4_000
LEVEL = 3


def lines(name: str) -> list[str]:
    text = (TEXTS / f"{name}.txt").read_text()
    return [line.replace("\\n", "\n").replace('\\"', '"') for line in text.splitlines() if line]


SENTENCES = lines("texts")
UNSEEN = lines("unseen")
WORDS = " ".join(lines("words")).split()
PHRASES = lines("phrases")[0].split("|")
TOOLS = ["search", "get_weather", "look_up", "query_database", "load_memory", "send_email"]
AGENTS = ["assistant", "root_agent", "agent", "search_agent", "billing_agent"]
MODELS = ["gemini-2.5-flash", "gemini-2.5-pro", "gpt-4o", "claude-sonnet-4-5"]


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Records:
    """Records with the members, in the order, in which the package writes them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def hex(self, digits: int) -> str:
        return f"{self.rng.getrandbits(4 * digits):0{digits}x}"

    def number(self) -> int:
        return self.rng.randrange(10 ** self.rng.randint(1, 5))

    def text(self) -> str:
        """Sentences that are not in the dictionary, as a user's will not be."""
        count = self.rng.choice((1, 1, 2, 4, 8))
        return " ".join(self.rng.sample(UNSEEN, k=count))

    def time(self) -> float:
        return 1_760_000_000 + round(self.rng.random() * 90_000_000, 7)

    def usage(self) -> dict[str, Any]:
        asked, answered = self.number(), self.number()
        found: dict[str, Any] = {"candidates_token_count": answered}
        if self.rng.random() < 0.5:
            found["candidates_tokens_details"] = [{"modality": "TEXT", "token_count": answered}]
        found["prompt_token_count"] = asked
        if self.rng.random() < 0.5:
            found["prompt_tokens_details"] = [{"modality": "TEXT", "token_count": asked}]
        if self.rng.random() < 0.3:
            found["thoughts_token_count"] = self.number()
        found["total_token_count"] = asked + answered
        return found

    def adk(self, turn: str = "") -> str:
        """An event of ADK's: a question, a call, its result, or an answer."""
        rng = self.rng
        kind = turn or rng.choice("qcra")
        by_model = kind in "ca"
        payload: dict[str, Any] = {}
        if by_model and rng.random() < 0.5:
            payload["model_version"] = rng.choice(MODELS)
        payload["content"] = {
            "parts": [self.part(kind)],
            "role": "model" if by_model else "user",
        }
        if by_model:
            if rng.random() < 0.3:
                payload |= {"partial": False, "turn_complete": True}
            if rng.random() < 0.5:
                payload["finish_reason"] = "STOP"
            if rng.random() < 0.8:
                payload["usage_metadata"] = self.usage()
            if rng.random() < 0.2:
                payload["avg_logprobs"] = -rng.random()
        payload["invocation_id"] = f"e-{self.uuid()}"
        payload["actions"] = {
            "artifact_delta": {},
            "requested_auth_configs": {},
            "requested_tool_confirmations": {},
        }
        if kind == "c" and rng.random() < 0.7:
            payload["long_running_tool_ids"] = []
        payload["node_info"] = {"path": "" if rng.random() < 0.6 else f"{rng.choice(AGENTS)}@1"}
        author = "user" if kind == "q" else rng.choice(AGENTS)
        return self.row(author, "adk", payload, 0.3 if by_model else 0)

    def part(self, kind: str) -> dict[str, Any]:
        rng = self.rng
        call, tool = f"adk-{self.uuid()}", rng.choice(TOOLS)
        if kind == "c":
            args = {"query": self.text()[:80], "limit": rng.randint(1, 20)}
            return {"function_call": {"id": call, "args": args, "name": tool}}
        if kind == "r":
            page = {"title": self.text()[:40], "url": "https://www.example.com/"}
            response = rng.choice(
                (
                    {"result": self.text()},
                    {"status": "success", "report": self.text()},
                    {"status": "error", "error_message": self.text()},
                    {"results": [page | {"content": self.text()}]},
                )
            )
            return {"function_response": {"id": call, "name": tool, "response": response}}
        return {"text": self.text()}

    def row(self, author: str, kind: str, payload: Any, sets: float = 0.1) -> str:
        """A row of a log as it is compressed: without its id and its checksum."""
        row = {"time": self.time(), "author": author, "kind": kind, "payload": payload}
        if self.rng.random() < sets:
            row["state_delta"] = self.state()
        return as_json(row)

    def state(self) -> dict[str, Any]:
        rng = self.rng
        values = {
            "topic": self.text()[:20],
            "turns": self.number(),
            "user:name": rng.choice(WORDS),
            "user:preferences": {"language": "en", "theme": "dark"},
            "last_query": self.text()[:40],
            "app:version": "1.0",
            "status": "active",
            "cart": [{"id": self.number(), "quantity": 1}],
        }
        return {name: values[name] for name in rng.sample(sorted(values), k=rng.randint(1, 2))}

    def message(self) -> str:
        """A message of a history."""
        role = self.rng.choice(("user", "assistant", "system"))
        payload: dict[str, Any] = {"content": self.text()}
        if self.rng.random() < 0.3:
            payload["metadata"] = {"source": "web"}
        return self.row(role, "message", payload)

    def langchain(self) -> str:
        """A message of LangChain's."""
        rng = self.rng
        kind = rng.choice(("human", "ai", "ai", "tool"))
        name, call = rng.choice(TOOLS), f"call_{self.hex(24)}"
        fields: dict[str, Any] = {"type": kind}
        if kind == "ai":
            asked, answered = self.number(), self.number()
            usage = {
                "completion_tokens": answered,
                "prompt_tokens": asked,
                "total_tokens": asked + answered,
            }
            done = {
                "token_usage": usage,
                "model_name": rng.choice(MODELS),
                "finish_reason": rng.choice(("stop", "tool_calls")),
            }
            fields = {"response_metadata": done, "type": kind, "id": f"run-{self.uuid()}"}
            if rng.random() < 0.5:
                args = {"query": self.text()[:60]}
                fields["tool_calls"] = [
                    {"name": name, "args": args, "id": call, "type": "tool_call"}
                ]
            fields["usage_metadata"] = {
                "input_tokens": asked,
                "output_tokens": answered,
                "total_tokens": asked + answered,
            }
        elif kind == "tool":
            fields |= {"name": name, "tool_call_id": call}
        payload = {"content": self.text(), "metadata": {"langchain": fields}}
        return self.row({"human": "user", "ai": "assistant"}.get(kind, kind), "message", payload)

    def values(self) -> list[str]:
        """Values of states, memories and caches."""
        said = {"role": "user", "content": self.text(), "created_at": "2026-01-15T09:30:00Z"}
        found = {
            "id": self.uuid(),
            "title": self.text()[:30],
            "text": self.text(),
            "score": self.rng.random(),
            "metadata": {"source": "https://www.example.com/", "page": 1},
        }
        return [as_json(value) for value in (self.text(), self.state(), said, [found])]


def records(seed: int, count: int) -> list[bytes]:
    """Three quarters are ADK's."""
    made = Records(seed)
    found: list[str] = []
    for _ in range(count // 16):
        found += [made.adk() for _ in range(12)]
        found += [made.message(), made.langchain(), *made.rng.sample(made.values(), k=2)]
    return [text.encode() for text in found]


class Skeletons(Records):
    """Records without content."""

    def text(self) -> str:
        return ""

    uuid = text

    def number(self) -> int:
        return 1

    def time(self) -> float:
        return 1764000000.0


def skeletons() -> str:
    """The JSON that records share, of the rarest first."""
    made = Skeletons(7)
    found = made.values()
    found += [made.langchain() for _ in range(4)]
    found += [made.message() for _ in range(3)]
    found += [made.adk(kind) for kind in "rcaqrcaq"]
    return "".join(found)


def body_of(lines: list[str]) -> str:
    """Lines as they stand in a JSON string."""
    return as_json(" ".join(lines))[1:-1]


def build() -> bytes:
    """The dictionary."""
    sentences = body_of(SENTENCES)
    there = set(sentences.lower().split())
    words = [word for word in WORDS if word not in there]
    content = " ".join((body_of(words), sentences, body_of(PHRASES))) + skeletons()
    raw = zstd.ZstdDict(content.encode(), is_raw=True)
    return zstd.finalize_dict(raw, records(1, RECORDS), SIZE, LEVEL).dict_content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is there")
    given = parser.parse_args()
    made = Dictionary(build())
    path = FOLDER / f"{made.id}.dictionary"
    if path.exists() and made.id == SHIPPED:
        sys.stdout.write(f"{path.name} is there, and the one that is used.\n")
        return
    if given.check:
        sys.exit(f"Another dictionary comes of this: {made.id}, not {SHIPPED}.")
    FOLDER.mkdir(exist_ok=True)
    path.write_bytes(made.content)
    sys.stdout.write(f"Written: {path}. Set SHIPPED in codecs/compression.py to {made.id!r}.\n")


if __name__ == "__main__":
    main()
