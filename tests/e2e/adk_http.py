"""ADK's HTTP interface as one user of the demo agent sees it."""

import json
from typing import Any

import httpx

APP = "demo_agent"
USER = "ada"


class AdkHttp:
    """Creates sessions and talks in them."""

    def __init__(self, url: str) -> None:
        # Longer than any deadline of the server, so that its answer is what a test sees.
        # A new connection each time: the server may close an idle one while it is used again.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=url, timeout=30, trust_env=False, limits=limits)

    def post_session(self, **body: Any) -> httpx.Response:
        return self.http.post(f"/apps/{APP}/users/{USER}/sessions", json=body)

    def create(self, **body: Any) -> str:
        return self.post_session(**body).raise_for_status().json()["id"]

    def forwards_options(self) -> bool:
        schemas = self.http.get("/openapi.json").raise_for_status().json()["components"]["schemas"]
        return "options" in schemas["CreateSessionRequest"]["properties"]

    def get(self, session_id: str) -> httpx.Response:
        return self.http.get(f"/apps/{APP}/users/{USER}/sessions/{session_id}")

    def session(self, session_id: str) -> dict[str, Any]:
        return self.get(session_id).raise_for_status().json()

    def post_run(self, session_id: str, text: str) -> httpx.Response:
        return self.http.post("/run", json=message(session_id, text))

    def patch_memory(self, session_id: str) -> httpx.Response:
        return self.http.patch(f"/apps/{APP}/users/{USER}/memory", json={"sessionId": session_id})

    def say(self, session_id: str, text: str) -> str:
        events = self.post_run(session_id, text).raise_for_status().json()
        return text_of(events[-1])

    def stream(self, session_id: str, text: str) -> list[dict[str, Any]]:
        body = {**message(session_id, text), "streaming": True}
        answer = self.http.post("/run_sse", json=body).raise_for_status()
        lines = answer.text.splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line]


def message(session_id: str, text: str) -> dict[str, Any]:
    return {
        "appName": APP,
        "userId": USER,
        "sessionId": session_id,
        "newMessage": {"role": "user", "parts": [{"text": text}]},
    }


def text_of(event: dict[str, Any]) -> str:
    return event["content"]["parts"][0]["text"]
