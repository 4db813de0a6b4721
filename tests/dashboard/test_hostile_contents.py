"""Hostile contents in every field, in a real browser: they are text, and the page stays usable."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

import sojourn
from dashboard.dashboard_kit import Dashboard, Tab, playwright
from extent import FULL
from servers import Server
from sojourn import Event
from sojourn.surfaces.http.pages import segment

expect = playwright.expect

ID = "\"'><img src=x onerror=window.hit=1 data-evil>\u202egnp.\u200b%2F../<&"
"""For ids and names, which are short."""

HOSTILE = f"""{ID}
<script data-evil>window.hit=1</script><svg data-evil onload=window.hit=1>
<iframe data-evil srcdoc='<script>parent.hit=1</script>'></iframe>
</style><style data-evil>body{{display:none}}</style></title></textarea>
<a data-evil href='javascript:window.hit=1'>x</a><base data-evil href=//evil.example>
[x](javascript:window.hit=1) ![x](http://evil.example/x.png) <http://evil.example>
${{window.hit=1}} {{{{constructor.constructor('window.hit=1')()}}}} <%= window.hit=1 %>
\x1b[31mred\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x00\x08\x7f\x9b
\u202e\u2066\u2067\u200b\u200d\ufeff\u061c\U000e0041 \U0001d57f \u05de\u05d9\u05de\u05d9\u05df
=cmd|' /C calc'!A0"""

DRAWING = b"<svg xmlns='http://www.w3.org/2000/svg' onload='parent.hit=1'/>"
PICTURE = base64.b64encode(DRAWING).decode()
VNODE = {"type": "img", "props": {"src": "x", "onerror": "hit=1"}, "__v": 1, "constructor": None}
TREE: dict[str, Any] = {
    HOSTILE: HOSTILE,
    "__proto__": {"polluted": 1},
    "constructor": {"prototype": {"polluted": 1}},
    "dangerouslySetInnerHTML": {"__html": HOSTILE},
    "vnode": VNODE,
    "": [VNODE, HOSTILE, None, 2**53 + 1, [[[[[]]]]]],
}
LONG = 5_000_000 if FULL else 500_000
HIDDEN = (
    "/[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u200b\\u202a-\\u202e\\u2066-\\u2069\\ufeff]/"
)
RAN = """() => ({
  hit: window.hit ?? null,
  polluted: ({}).polluted ?? null,
  made: document.querySelectorAll(
    '[data-evil], #root script, iframe, object, embed, base, style, [onload], [onerror], '
    + 'a[href^="javascript:" i], a[href*="evil.example"], [src*="evil"]').length,
  text: document.body.innerText.match(SIGNS),
  titles: [...document.querySelectorAll('[title], [aria-label]')]
    .map((each) => `${each.title}${each.ariaLabel ?? ''}`).filter((each) => SIGNS.test(each)),
})""".replace("SIGNS", HIDDEN)
UNFOLD = """(place) => {
  for (const list of document.querySelectorAll('.virtual')) {
    list.scrollTop = place * list.scrollHeight;
  }
  const folds = 'details:not([open]) > summary, [aria-expanded="false"]';
  for (const fold of [...document.querySelectorAll(folds)].slice(0, 60)) fold.click();
}"""
NOTHING = {"hit": None, "polluted": None, "made": 0, "text": None, "titles": []}


def adk(*parts: Any, **members: Any) -> dict[str, Any]:
    return {"invocation_id": HOSTILE, "content": {"role": HOSTILE, "parts": list(parts)}, **members}


def events() -> Iterator[Event]:
    """Each form that a renderer knows, and some that none does."""
    blob = {"mime_type": "image/svg+xml", "data": PICTURE, "display_name": HOSTILE}
    page = {"mime_type": "text/html", "data": base64.b64encode(HOSTILE.encode()).decode()}
    payloads: list[tuple[str, Any]] = [
        ("adk", adk({"text": HOSTILE}, {"text": HOSTILE, "thought": True})),
        ("adk", adk({"function_call": {"id": HOSTILE, "name": HOSTILE, "args": TREE}})),
        ("adk", adk({"function_response": {"id": ID, "name": HOSTILE, "response": TREE}})),
        ("adk", adk({"inline_data": blob}, {"inline_data": page})),
        ("adk", adk({"file_data": {"file_uri": "javascript:window.hit=1", "mime_type": HOSTILE}})),
        ("adk", adk({"executable_code": {"code": HOSTILE, "language": HOSTILE}})),
        ("adk", adk({"code_execution_result": {"outcome": HOSTILE, "output": HOSTILE}})),
        ("adk", adk(TREE, VNODE, error_code=HOSTILE, error_message=HOSTILE, branch=HOSTILE)),
        ("adk", {"content": VNODE, "usage_metadata": TREE, "actions": TREE}),
        ("message", {"role": HOSTILE, "content": HOSTILE, "metadata": TREE}),
        ("message", {"role": "user", "content": [TREE, {"type": "image_url", "image_url": ID}]}),
        (HOSTILE[:200], TREE),
        ("message", HOSTILE),
        ("message", msgspec.Raw(b'{"role": "user", "content": "\\ud800 half"}')),
        ("message", {"role": "user", "content": "<b>" * (LONG // 3)}),
    ]
    for kind, payload in payloads:
        yield Event(
            author=ID, kind=kind, payload=payload, state_delta={ID: TREE, "user:x": HOSTILE}
        )


async def fill(url: str) -> None:
    async with sojourn.open(url, max_event_bytes=16_000_000) as store:
        fields: Any = {
            "title": HOSTILE[:200],
            "status": ID,
            "labels": {"evil": ID},
            "summary": HOSTILE,
            "metadata": TREE,
        }
        made = await store.sessions.create(ID, ID, ID, **fields)
        for event in events():
            await store.sessions.append(made.key, event)
        user = store.user(ID, ID)
        await user.memory.put(ID, TREE, text=HOSTILE, metadata=TREE)
        for mime in ("image/svg+xml", "text/html", ID):
            await user.artifacts.save(f"{ID}{mime}", HOSTILE.encode(), mime_type=mime)
        await thread(store)


async def thread(store: sojourn.Sojourn) -> None:
    """A checkpoint of a thread, hostile as well."""
    from langgraph.checkpoint.base import empty_checkpoint

    from sojourn.integrations.langgraph import CheckpointSaver

    saver = CheckpointSaver(store, owner=lambda _: (ID, ID))
    config: Any = {"configurable": {"thread_id": ID, "checkpoint_ns": ""}}
    versions: Any = {"messages": "1", ID: "1"}
    checkpoint = {
        **empty_checkpoint(),
        "channel_values": {"messages": [{"role": "user", "content": HOSTILE}], ID: TREE},
        "channel_versions": versions,
    }
    metadata: Any = {"source": ID, "step": 1, "writes": TREE, ID: HOSTILE}
    await saver.aput(config, checkpoint, metadata, versions)


@pytest.fixture(scope="module")
def hostile(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    url = f"{shared_server.url}?namespace=evil-{secrets.token_hex(4)}"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, fill(url)).result()
    served = Dashboard(url, tmp_path_factory.mktemp("hostile"))
    yield served
    served.kill()


@pytest.fixture(scope="module")
def looking(browser: Any, hostile: Dashboard) -> Iterator[Tab]:
    tab = Tab(browser, hostile)
    tab.page.on("dialog", lambda dialog: tab.complaints.append(f"dialog: {dialog.message}"))
    yield tab
    tab.close()


USER = f"/apps/{segment(ID)}/users/{segment(ID)}"
PAGES = {
    "overview": "/",
    "apps": "/apps",
    "app": f"/apps/{segment(ID)}",
    "users": f"/apps/{segment(ID)}?view=users",
    "user": USER,
    "found": f"{USER}?in=content&q=evil",
    "session": f"{USER}/sessions/{segment(ID)}",
    "timing": f"{USER}/sessions/{segment(ID)}?view=timing",
    "state": f"{USER}/sessions/{segment(ID)}?view=state",
    "details": f"{USER}/sessions/{segment(ID)}?view=details",
    "memory": f"{USER}/memory?key={segment(ID)}",
    "threads": f"{USER}/threads",
    "thread": f"{USER}/threads/{segment(ID)}",
    "artifacts": f"{USER}/artifacts?name={segment(ID + 'image/svg+xml')}",
}
USUAL = "user", "session", "memory", "thread"
SHOWN = PAGES if FULL else {name: PAGES[name] for name in USUAL}


@pytest.mark.parametrize("path", SHOWN.values(), ids=SHOWN)
def test_what_is_hostile_is_text(looking: Tab, path: str) -> None:
    looking.complaints.clear()
    looking.open(path)
    expect(looking.page.get_by_role("main")).to_contain_text("<img src=x onerror=window.hit=1")
    for place in (0, 0.5, 1):
        looking.page.evaluate(UNFOLD, place)
        looking.page.wait_for_load_state("networkidle")
        assert looking.page.evaluate(RAN) == NOTHING
    assert looking.foreign == []
    assert looking.complaints == []
    looking.page.keyboard.press("?")
    expect(looking.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    looking.page.keyboard.press("Escape")


def test_raw_json_is_text(looking: Tab) -> None:
    looking.complaints.clear()
    looking.open(PAGES["session"])
    for number in (3, 8, 12) if FULL else (12,):
        looking.open(f"{PAGES['session']}?at={number}")
        looking.page.keyboard.press("r")
        raw = looking.page.get_by_role("dialog")
        expect(raw).to_contain_text("window.hit=1")
        looking.page.evaluate(UNFOLD, 0)
        assert looking.page.evaluate(RAN) == NOTHING
        looking.page.keyboard.press("Escape")
        expect(raw).to_have_count(0)
    assert looking.complaints == []


def test_it_would_be_seen(looking: Tab) -> None:
    """The look that found nothing finds what is planted."""
    looking.open("/apps")
    plant = "(text) => { document.querySelector('main').innerHTML = text; }"
    looking.page.evaluate(plant, HOSTILE)
    found = looking.page.evaluate(RAN)
    assert found["made"] > 3
    assert found["text"]
    assert found["hit"] is None  # the page's policy refuses what is inline, also then
    assert any("CSP" in each for each in looking.complaints)
