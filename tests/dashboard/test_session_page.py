"""The page of a session: transcript, timing, state, live end, and logs of any length."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

import sojourn
from dashboard.conftest import OpenTab
from dashboard.dashboard_kit import Tab, playwright
from dashboard.demo import APP, SESSION, USER, adk
from extent import FULL
from sojourn import Event, SessionKey

expect = playwright.expect
HERE = f"/apps/{APP}/users/{USER}/sessions/"
EVENTS = 100_000 if FULL else 5_000
MOST_ROWS = 500

Work = Callable[[sojourn.Sojourn], Coroutine[Any, Any, Any]]
Run = Callable[[Work], Any]


@pytest.fixture(scope="module")
def run(filled_url: str) -> Run:
    """Do something behind the back of the server; this thread may have the browser's event loop."""

    async def done(work: Work) -> Any:
        async with sojourn.open(filled_url) as store:
            return await work(store)

    def run(work: Work) -> Any:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, done(work)).result()

    return run


def opened(tab: Tab, session: str = SESSION, query: str = "") -> Any:
    tab.open(f"{HERE}{session}{query}")
    return tab.page


def event(page: Any, seq: int) -> Any:
    return page.locator(f"#e{seq}")


def test_a_conversation_reads_as_one(tab: Tab) -> None:
    page = opened(tab)
    expect(event(page, 8)).to_contain_text("arrive on Wednesday")
    page.keyboard.press("Home")
    expect(event(page, 1).locator("img")).to_have_js_property("naturalWidth", 96)
    expect(event(page, 2)).to_contain_text("853 tokens")
    call = event(page, 2).locator("details", has_text="find_order")
    expect(call.locator(".json")).to_have_count(0)
    call.locator("summary").click()
    expect(call.locator(".json")).to_contain_text('"10442"')
    reply = event(page, 5).locator("details", has_text="refund").first
    reply.locator("summary").click()
    expect(reply.locator(".json")).to_contain_text("ok: true")
    expect(event(page, 5)).to_contain_text("refunded = ch_2")


def test_raw_json_is_one_key_away(tab: Tab) -> None:
    page = opened(tab)
    expect(event(page, 8)).to_be_visible()
    event(page, 8).focus()
    page.keyboard.press("r")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Event #8")
    expect(dialog.locator(".json")).to_contain_text("prompt_token_count")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("k")
    page.keyboard.press("r")
    expect(dialog.get_by_role("heading")).to_have_text("Event #7")


def test_the_steps_of_a_turn_are_timed(tab: Tab) -> None:
    page = opened(tab, query="?view=timing")
    expect(event(page, 3)).to_contain_text("700 ms")
    assert len(page.locator(".t-begins").all()) == 2
    bars = [each.bounding_box() for each in page.locator(".t-bar").all()[1:6]]
    assert all(a["x"] + a["width"] <= b["x"] + 2 for a, b in pairwise(bars))


def test_who_changed_the_state_is_told(tab: Tab) -> None:
    page = opened(tab, query="?view=state")
    expect(page.locator(".t-values").first).to_contain_text("charges")
    page.get_by_role("button", name="charges", exact=True).click()
    changes = page.locator(".t-changes > li")
    expect(changes).to_have_count(2)
    expect(changes.first).to_contain_text("by support")
    expect(changes.first.locator(".t-old")).to_contain_text("2")
    expect(changes.first.locator(".t-new")).to_contain_text("1")
    changes.first.get_by_role("button", name="#5").click()
    expect(event(page, 5)).to_be_visible()


def test_words_are_found_and_shown_in_their_place(tab: Tab) -> None:
    page = opened(tab)
    page.keyboard.press("/")
    page.keyboard.type("wednesday")
    page.keyboard.press("Enter")
    hit = page.get_by_role("region", name="What was found").get_by_role("button")
    expect(hit).to_have_count(1)
    expect(hit).to_contain_text("#8")
    hit.click()
    assert "at=8" in page.url


def test_new_events_appear_and_the_end_is_announced(tab: Tab, run: Run) -> None:
    key = SessionKey.of(APP, USER, "live")

    async def begin(store: sojourn.Sojourn) -> None:
        await store.sessions.create(APP, USER, "live", title="Live")
        await store.sessions.append(key, *(Event(author="user", payload=f"{n}") for n in range(40)))

    async def say(store: sojourn.Sojourn, text: str) -> None:
        await store.sessions.append(key, adk("support", 0.0, {"text": text}))

    def reloaded(reply: Any) -> bool:
        return reply.url.endswith("/sessions/live")

    run(begin)
    page = opened(tab, "live")
    expect(page.get_by_role("status").filter(has_text="live")).to_be_visible()
    with page.expect_response(reloaded):
        run(lambda store: say(store, "Here I am."))
    expect(event(page, 41)).to_contain_text("Here I am.")
    page.keyboard.press("Home")
    expect(event(page, 1)).to_be_visible()
    with page.expect_response(reloaded):
        run(lambda store: say(store, "And again."))
    fresh = page.get_by_role("button", name="1 new event")
    expect(fresh).to_be_visible()
    fresh.click()
    expect(event(page, 42)).to_contain_text("And again.")
    run(lambda store: store.sessions.delete(key))
    expect(page.get_by_text("ended: deleted")).to_be_visible()


def test_a_session_is_deleted_once_its_name_is_typed(tab: Tab, run: Run) -> None:
    key = SessionKey.of(APP, USER, "to-delete")
    run(lambda store: store.sessions.create(APP, USER, "to-delete"))
    page = opened(tab, "to-delete")
    page.get_by_role("button", name="Delete").click()
    button = page.get_by_role("dialog").get_by_role("button", name="Delete")
    expect(button).to_be_disabled()
    page.get_by_label("Type to-delete to confirm").fill("to-delete")
    button.click()
    expect(page.get_by_text("The session is deleted.")).to_be_visible()
    assert run(lambda store: store.sessions.get(key)) is None


_SCROLL = """
(part) => {
  const box = document.querySelector(".virtual");
  box.scrollTop = box.scrollHeight * part;
}
"""
_LONG_TASKS = """
() => {
  window.tasks = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.tasks.push(entry.duration);
  }).observe({ type: "longtask", buffered: false });
}
"""


def test_a_long_log_scrolls(
    open_tab: OpenTab, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Few rows are in the document, and no task takes long; the longest one is told."""

    async def fill(store: sojourn.Sojourn) -> None:
        made = await store.sessions.create(APP, USER, "long", title="Long")
        for start in range(0, EVENTS, 1000):
            said = [
                Event(
                    author="user" if n % 2 else "assistant",
                    payload={"role": "x", "content": f"Message {n + 1}. " + "word " * (n % 60)},
                    time=float(n),
                )
                for n in range(start, min(EVENTS, start + 1000))
            ]
            await store.sessions.append(made.key, *said)

    run(fill)
    page = opened(open_tab(), "long")
    expect(event(page, EVENTS)).to_contain_text(f"Message {EVENTS}.")
    page.evaluate(_LONG_TASKS)
    for part in (0.5, 0.1, 0.9, 0.0):
        page.evaluate(_SCROLL, part)
        page.locator(".t-row .t-parts").first.wait_for()
        for _ in range(10):
            page.mouse.move(700, 500)
            page.mouse.wheel(0, 900)
            page.evaluate("() => new Promise(requestAnimationFrame)")
        assert page.locator(".v-row").count() <= MOST_ROWS
    expect(page.locator(".t-row .bone")).to_have_count(0)
    tasks = page.evaluate("window.tasks")
    with capsys.disabled():
        print(f"\n{EVENTS:,} events, tasks over 50 ms: {sorted(map(round, tasks))}")  # noqa: T201 - a figure
