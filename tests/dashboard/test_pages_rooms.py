"""Pages of rooms in a real browser, and what is done to a user as a whole."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest
import redis

import sojourn
from dashboard.conftest import OpenTab
from dashboard.dashboard_kit import Dashboard, Tab, playwright
from dashboard.demo import APP, THREAD, USER, png
from extent import FULL
from servers import Server

expect = playwright.expect
T = TypeVar("T")

OF_USER = f"/apps/{APP}/users/{USER}"
SVG = (
    b"<svg xmlns='http://www.w3.org/2000/svg' onload='console.error(1)'>"
    b"<script>alert(1)</script></svg>"
)
HOSTILE = "<img src=x onerror=console.error(1)>\u202egnp"
full = pytest.mark.skipif(not FULL, reason="make test-all runs it")
Run = Callable[[Callable[[sojourn.Sojourn], Coroutine[Any, Any, T]]], T]


@pytest.fixture(scope="module")
def run(filled_url: str) -> Run[Any]:
    """Do something behind the back of the server; this thread may have the browser's event loop."""

    async def done(work: Callable[[sojourn.Sojourn], Coroutine[Any, Any, Any]]) -> Any:
        async with sojourn.open(filled_url) as store:
            return await work(store)

    def run(work: Callable[[sojourn.Sojourn], Coroutine[Any, Any, Any]]) -> Any:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, done(work)).result()

    return run


@pytest.fixture(scope="module", autouse=True)
def more(run: Run[None]) -> None:
    """What the demo has not: hostile names, another artifact of each kind, a user who will go."""

    async def fill(store: sojourn.Sojourn) -> None:
        ada = store.user(APP, USER)
        await ada.memory.put(HOSTILE, HOSTILE)
        await ada.artifacts.save("drawing.svg", SVG, mime_type="image/svg+xml")
        await ada.artifacts.save("a/b ../c.pdf", b"%PDF-1.7", mime_type="application/pdf")
        await ada.artifacts.save("not a picture.png", b"no", mime_type="image/png")
        await ada.artifacts.save("basket.json", b'{"tea": ["Assam"]}', mime_type="application/json")
        await store.sessions.create("gone", "bob", "s1")
        await store.user("gone", "bob").memory.put("k", 1)

    run(fill)


@pytest.fixture(scope="module")
def broken(shared_server: Server, filled_url: str, run: Run[Any]) -> str:
    """An event that cannot be read, and has been put into the quarantine."""
    namespace = filled_url.partition("namespace=")[2]

    async def make(store: sojourn.Sojourn) -> None:
        made = await store.sessions.create("gone", "eve", "broken")
        await store.sessions.append(made.key, sojourn.Event(author="user", payload="x"))

    async def look(store: sojourn.Sojourn) -> str:
        await store.sessions.get(sojourn.SessionKey.of("gone", "eve", "broken"), last=5)
        return (await store.admin.quarantined("gone", "eve"))[0].id

    run(make)
    with redis.Redis.from_url(shared_server.url) as server:
        key = f"{namespace}:session:{{gone:eve}}:broken:events"
        assert server.llen(key) == 1
        server.lset(key, 0, b'{"payload":<b>\xff\x00\x1b[31m')
    return run(look)


def opened(tab: Tab, path: str) -> Any:
    tab.page.set_viewport_size({"width": 1280, "height": 900})
    tab.open(path)
    return tab.page


def query(page: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def for_everyone(tab: Tab) -> None:
    """What stands open on a page has no fault in either theme, and fits on a telephone."""
    tab.theme("light")
    assert tab.faults() == []
    tab.theme("dark")
    assert tab.faults("color-contrast") == []
    tab.page.set_viewport_size({"width": 320, "height": 800})
    assert tab.width() <= 320
    if FULL:
        assert tab.faults() == []
        tab.page.set_viewport_size({"width": 3840, "height": 2160})
        assert tab.width() <= 3840
    tab.page.set_viewport_size({"width": 1280, "height": 900})


# ── memory ──────────────────────────────────────────────────────────────────────────────────────


def test_memory_is_searched_and_read(tab: Tab) -> None:
    page = opened(tab, f"{OF_USER}/memory")
    page.get_by_label("Search").fill("green tea")
    page.wait_for_url("**q=green*")
    tab.settled()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(1)
    assert float(rows.locator(".score").inner_text()) > 0
    page.get_by_role("link", name="preferences").click()
    detail = page.get_by_role("region", name="Entry preferences")
    expect(detail.get_by_text('"green"')).to_be_visible()
    assert query(page) == {"q": ["green tea"], "key": ["preferences"]}
    for_everyone(tab)
    page.keyboard.press("Escape")
    expect(detail).to_have_count(0)
    page.get_by_label("Search").fill("nothing of the kind")
    expect(page.get_by_text("No entry matches")).to_be_visible()
    page.get_by_label("Search").fill("")
    page.get_by_label("Key starts with").fill("pre")
    expect(rows).to_have_count(1)
    page.get_by_label("Memory").select_option("events")
    expect(page.get_by_text("No entry matches")).to_be_visible()


@full
def test_an_entry_is_added_changed_and_deleted_by_the_keyboard(tab: Tab, run: Run[Any]) -> None:
    page = opened(tab, f"{OF_USER}/memory")

    def stored() -> Any:
        async def read(store: sojourn.Sojourn) -> Any:
            return await store.user(APP, USER).memory.get("size")

        return run(read)

    keys = page.keyboard
    keys.press("n")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    keys.type("size")
    keys.press("Tab")
    keys.type("[1, 2")
    page.get_by_role("button", name="Store").click()
    expect(page.get_by_role("alert")).to_contain_text("This is not JSON")
    keys.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    keys.press("n")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    keys.type("size")
    keys.press("Tab")
    keys.type('{"shoe": 38}')
    keys.press("Tab")
    keys.press("Tab")
    keys.press("Enter")
    detail = page.get_by_role("region", name="Entry size")
    expect(detail.get_by_text("38")).to_be_visible()
    assert stored() == {"shoe": 38}
    keys.press("e")
    box = page.get_by_label("Value, as JSON or plain text")
    expect(box).to_be_focused()
    box.fill('{"shoe": 39}')
    page.get_by_role("button", name="Store").click()
    expect(detail.get_by_text("39")).to_be_visible()
    assert stored() == {"shoe": 39}
    detail.get_by_role("button", name="Delete").focus()
    keys.press("Enter")
    dialog = page.get_by_role("dialog", name="Delete this entry")
    expect(dialog.get_by_role("button", name="Delete", exact=True)).to_be_disabled()
    assert tab.faults() == []
    keys.type("siz")
    keys.press("Enter")
    expect(dialog).to_be_visible()
    assert stored() == {"shoe": 39}
    keys.type("e")
    keys.press("Enter")
    expect(detail).to_have_count(0)
    expect(page.get_by_role("link", name="size", exact=True)).to_have_count(0)
    assert stored() is None


@full
def test_what_another_has_changed_meanwhile_is_not_overwritten(tab: Tab, run: Run[Any]) -> None:
    async def put(store: sojourn.Sojourn) -> None:
        await store.user(APP, USER).memory.put("address", "13 Analytical Row")

    page = opened(tab, f"{OF_USER}/memory?key=address")
    page.get_by_role("button", name="Change", exact=True).click()
    run(put)
    page.get_by_label("Value, as JSON or plain text").fill("14 Analytical Row")
    page.get_by_role("button", name="Store").click()
    expect(page.get_by_role("alert")).to_contain_text("It has changed meanwhile")
    tab.complaints[:] = [each for each in tab.complaints if "412" not in each]
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.keyboard.press("n")
    page.get_by_label("Key", exact=True).fill("address")
    page.get_by_label("Value, as JSON or plain text").fill("15")
    page.get_by_role("button", name="Store").click()
    expect(page.get_by_role("alert")).to_contain_text("There is an entry of this key")
    tab.complaints[:] = [each for each in tab.complaints if "412" not in each]

    async def read(store: sojourn.Sojourn) -> Any:
        return await store.user(APP, USER).memory.get("address")

    assert run(read) == "13 Analytical Row"


def test_a_hostile_entry_is_text(tab: Tab) -> None:
    page = opened(tab, f"{OF_USER}/memory")
    page.get_by_role("link", name="<img src=x").click()
    shown = HOSTILE.replace("\u202e", "⟨U+202E⟩")
    expect(page.locator(".split-detail .value-text")).to_have_text(shown)
    assert page.locator("main img").count() == 0
    assert "\u202e" not in page.inner_text("body")
    page.get_by_role("button", name="Delete").click()
    page.get_by_label(re.compile("Type .* to confirm")).fill(shown)
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("link", name="<img src=x")).to_have_count(0)


# ── artifacts ───────────────────────────────────────────────────────────────────────────────────


@full
def test_artifacts_have_versions_and_a_preview(tab: Tab) -> None:
    page = opened(tab, f"{OF_USER}/artifacts")
    page.get_by_role("link", name="statement.png").click()
    image = page.get_by_role("img", name="Preview of version 1")
    expect(image).to_be_visible()
    width = "(image) => image.decode().then(() => image.naturalWidth)"
    assert image.evaluate(width) == 480
    for_everyone(tab)
    page.get_by_label("Version").select_option("0")
    assert page.get_by_role("img", name="Preview of version 0").evaluate(width) == 320
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "statement.png"
    assert download.value.path().read_bytes() == png(320, 200)
    page.get_by_role("link", name="basket.json").click()
    expect(page.get_by_role("group", name="Content").get_by_text('"Assam"')).to_be_visible()
    page.get_by_role("link", name="a/b ../c.pdf").click()
    expect(page.get_by_text("There is no preview of this type.")).to_be_visible()
    assert query(page)["name"] == ["a/b ../c.pdf"]
    page.get_by_role("link", name="not a picture.png").click()
    expect(page.get_by_role("alert")).to_contain_text("The browser cannot show this file")


def test_a_drawing_that_could_run_is_shown_by_its_source(tab: Tab) -> None:
    page = opened(tab, f"{OF_USER}/artifacts?name=drawing.svg")
    expect(page.get_by_label("Content")).to_have_text(SVG.decode())
    assert page.locator("main svg script, main img").count() == 0


@full
def test_an_artifact_is_deleted_once_its_name_is_typed(tab: Tab) -> None:
    page = opened(tab, f"{OF_USER}/artifacts?name=a%2Fb ..%2Fc.pdf")
    page.get_by_role("button", name="Delete").click()
    page.keyboard.type("a/b ../c.pdf")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="a/b ../c.pdf")).to_have_count(0)
    expect(page.get_by_role("link", name="receipt.txt")).to_be_visible()


# ── threads ─────────────────────────────────────────────────────────────────────────────────────


def test_a_thread_is_a_tree_of_which_two_are_compared(tab: Tab) -> None:
    page = opened(tab, f"{OF_USER}/threads")
    page.get_by_role("link", name="I was charged twice").click()
    rows = page.locator(".checkpoints li")
    expect(rows).to_have_count(5)
    # Two that have the same parent: one lane each, and a line from each to it.
    assert page.locator(".graph circle").count() == 5
    assert page.locator(".graph path").count() == 4
    lanes = page.locator(".graph circle").evaluate_all(
        "all => all.map((c) => c.getAttribute('cx'))"
    )
    assert len(set(lanes)) == 2
    detail = page.get_by_role("region", name="Checkpoint Step 2")
    said = detail.get_by_role("list", name="Messages").get_by_role("listitem")
    expect(said).to_have_count(3)
    expect(said.first).to_contain_text("I was charged twice")
    expect(said.last).to_contain_text("find_order")
    for_everyone(tab)
    detail.get_by_role("button", name="Values").click()
    expect(detail.get_by_role("group", name="Value charges")).to_have_text("3")
    for_everyone(tab)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(rows.nth(2).get_by_role("link")).to_be_focused()
    page.keyboard.press("c")
    comparison = page.get_by_role("region", name="Comparison")
    expect(comparison.get_by_role("heading", name="Step 1 compared with Step 2")).to_be_focused()
    row = comparison.get_by_role("row").filter(has=page.get_by_role("rowheader", name="charges"))
    expect(row.get_by_role("cell")).to_have_text(["2", "3"])
    for_everyone(tab)
    page.keyboard.press("Escape")
    expect(comparison).to_have_count(0)
    page.get_by_role("button", name="Compare Step -1 with Step 2").click()
    expect(comparison.get_by_role("rowheader", name="order")).to_contain_text("added")
    rows.nth(1).get_by_role("link").click()
    expect(page.get_by_role("group", name="Value refunded")).to_have_text("true")
    page.get_by_role("button", name="Metadata").click()
    assert query(page)["view"] == ["metadata"]
    page.reload()
    expect(page.get_by_role("group", name="Metadata")).to_be_visible()


@full
def test_threads_are_pruned_and_deleted(tab: Tab, run: Run[None]) -> None:
    async def fill(store: sojourn.Sojourn) -> None:
        key = sojourn.ThreadKey.of(APP, USER, "short")
        await store.threads.put(key, "1")
        await store.threads.put(key, "2", parent="1")

    run(fill)
    page = opened(tab, f"{OF_USER}/threads/short")
    expect(page.locator(".checkpoints li")).to_have_count(2)
    page.get_by_role("button", name="Prune").click()
    page.keyboard.type("short")
    page.keyboard.press("Enter")
    expect(page.locator(".checkpoints li")).to_have_count(1)
    page.get_by_role("button", name="Delete").click()
    page.keyboard.type("short")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{OF_USER}/threads")
    tab.settled()
    expect(page.get_by_text(THREAD, exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="short")).to_have_count(0)


# ── quarantine, doctor, cache ───────────────────────────────────────────────────────────────────


@full
def test_quarantine_shows_the_bytes_and_lets_go(tab: Tab, broken: str) -> None:
    page = opened(tab, "/quarantine")
    page.get_by_role("link", name=re.compile("broken:events")).click()
    assert query(page) == {"id": [broken], "app": ["gone"], "user": ["eve"]}
    text = page.get_by_label("Bytes as text")
    expect(text).to_have_text('{"payload":<b>\N{REPLACEMENT CHARACTER}␀␛[31m')
    expect(page.get_by_label("Bytes in hexadecimal")).to_contain_text(
        '000000  7b 22 70 61 79 6c 6f 61 64 22 3a 3c 62 3e ff 00  {"payload":<b>..'
    )
    for_everyone(tab)
    page.get_by_role("button", name="Remove").click()
    page.keyboard.type(broken)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing in quarantine")).to_be_visible()


@full
def test_the_doctor_says_what_to_change(tab: Tab) -> None:
    page = opened(tab, "/doctor")
    expect(page.get_by_text("Persistence")).to_be_visible()
    page.get_by_role("button", name=re.compile("Problems|Warnings")).first.click()
    assert query(page)["level"] in (["problem"], ["warning"])
    for_everyone(tab)
    with page.expect_response("**/v1/doctor"):
        page.get_by_role("button", name="Check again").click()
    expect(page.get_by_role("button", name="Check again")).to_be_enabled()


@full
def test_a_tag_is_invalidated(tab: Tab, run: Run[Any]) -> None:
    async def look(store: sojourn.Sojourn) -> Any:
        return await store.user(APP, USER).cache.get("shipping:10442")

    assert run(look) is not None
    page = opened(tab, "/cache")
    expect(page.get_by_text("Hit rate", exact=True)).to_be_visible()
    page.get_by_label("App", exact=True).fill(APP)
    page.get_by_label("User", exact=True).fill(USER)
    page.get_by_label("Tag", exact=True).fill("10442")
    page.keyboard.press("Enter")
    expect(page.get_by_text("What has this tag counts as missing now.")).to_be_visible()
    assert run(look) is None


# ── a user as a whole ───────────────────────────────────────────────────────────────────────────


def test_a_user_is_exported_revoked_and_forgotten(tab: Tab, run: Run[Any]) -> None:
    page = opened(tab, "/apps/gone/users/bob")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    lines = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert any("s1" in json.dumps(line) for line in lines)
    page.get_by_role("button", name="Revoke sessions").click()
    assert tab.faults() == []
    page.keyboard.type("bo")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Revoke")).to_be_disabled()
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    page.keyboard.type("b")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This user has no sessions")).to_be_visible()

    async def left(store: sojourn.Sojourn) -> Any:
        return await store.user("gone", "bob").memory.get("k")

    assert run(left) == 1
    page.get_by_role("button", name="Forget").click()
    page.keyboard.type("bob")
    page.keyboard.press("Enter")
    page.wait_for_url("**/apps/gone?view=users")
    assert run(left) is None


@full
def test_a_key_that_only_reads_is_offered_nothing_else(open_tab: OpenTab) -> None:
    tab = open_tab("viewer")
    for path in (
        "",
        "/memory?key=preferences",
        "/artifacts?name=receipt.txt",
        f"/threads/{THREAD}",
    ):
        page = opened(tab, OF_USER + path)
        expect(page.locator("main button.danger-quiet, main .button.primary")).to_have_count(0)
        names = re.compile("^(Change|New entry|Delete|Prune|Forget|Revoke.*)$")
        assert page.get_by_role("button", name=names).count() == 0
        assert page.get_by_role("link", name="Export").count() == 0


@full
def test_an_outage_is_not_emptiness(browser: Any, tmp_path: Path, server: Server) -> None:
    """Pages of a store that does not answer say so, and go on by themselves when it is back."""
    served = Dashboard(f"{server.url}?namespace=out-{secrets.token_hex(4)}", tmp_path)
    tab = Tab(browser, served)
    try:
        server.pause()
        for room in ("memory", "artifacts", "threads"):
            tab.page.goto(f"{served.url}{OF_USER}/{room}")
            expect(tab.page.get_by_role("alert")).to_contain_text("The store does not answer")
            assert tab.page.locator(".empty").count() == 0
        server.resume()
        expect(tab.page.get_by_text("No threads")).to_be_visible()
        expect(tab.page.get_by_role("alert")).to_have_count(0)
    finally:
        tab.close()
        served.kill()
