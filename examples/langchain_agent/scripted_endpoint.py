"""An OpenAI-compatible endpoint on loopback that answers by rule. It needs no key.

It keeps nothing between two requests: what it knows of the past, the agent has sent along.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HELP = (
    "I am a scripted model. Tell me your name, ask me for it, or ask what 17 times 23 is, "
    "and what the last result was."
)


@contextmanager
def scripted_endpoint() -> Iterator[str]:
    """Serve until the block ends; gives the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


class Endpoint(BaseHTTPRequestHandler):
    """`POST /v1/chat/completions`, as OpenAI has it, without streaming."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self.send_error(404)
            return
        message = answer(asked["messages"])
        body = json.dumps(
            {
                "id": "chatcmpl-scripted",
                "object": "chat.completion",
                "model": asked["model"],
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", **message},
                        "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
                    }
                ],
                "usage": usage(asked["messages"], message),
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def answer(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What the model says to a conversation."""
    last = messages[-1]
    if last["role"] == "tool":
        return {"content": f"It is {last['content']}."}
    text = last["content"]
    if found := re.search(r"what is (\d+) times (\d+)", text, re.IGNORECASE):
        return call("multiply", a=int(found[1]), b=int(found[2]))
    if re.search(r"what is my name", text, re.IGNORECASE):
        names = said(messages, "user", r"my name is (\w+)")
        return {"content": f"You are {names[-1]}." if names else "You have not told me."}
    if re.search(r"last result", text, re.IGNORECASE):
        results = said(messages, "tool", r"(\S+)")
        return {"content": f"It was {results[-1]}." if results else "There was none."}
    if found := re.search(r"my name is (\w+)", text, re.IGNORECASE):
        return {"content": f"Nice to meet you, {found[1]}."}
    return {"content": HELP}


def said(messages: list[dict[str, Any]], role: str, pattern: str) -> list[str]:
    """What one role has said so far that matches."""
    texts = [message["content"] for message in messages if message["role"] == role]
    return [name for text in texts for name in re.findall(pattern, text, re.IGNORECASE)]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A message that asks for a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "content": None,
        "tool_calls": [{"id": "call-1", "type": "function", "function": function}],
    }


def usage(messages: list[dict[str, Any]], message: dict[str, Any]) -> dict[str, int]:
    """Tokens, counted as words."""
    asked = sum(len(str(each.get("content") or "").split()) for each in messages)
    answered = len(str(message.get("content") or "").split())
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
    }
