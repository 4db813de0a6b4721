"""Every page in a real browser: it loads, complains of nothing, and can be used by everyone."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboard.conftest import OpenTab
from dashboard.dashboard_kit import Dashboard, Tab, playwright
from dashboard.demo import APP, SESSION, THREAD, USER, USERS
from extent import FULL

expect = playwright.expect
STATIC = Path(__file__).parents[2] / "src/sojourn/surfaces/dashboard/static"

OF_USER = f"/apps/{APP}/users/{USER}"
PAGES = {
    "overview": "/",
    "apps": "/apps",
    "app": f"/apps/{APP}",
    "users": f"/apps/{APP}?view=users",
    "user": OF_USER,
    "empty-user": f"/apps/{APP}/users/~",
    "session": f"{OF_USER}/sessions/{SESSION}",
    "memory": f"{OF_USER}/memory",
    "artifacts": f"{OF_USER}/artifacts",
    "threads": f"{OF_USER}/threads",
    "thread": f"{OF_USER}/threads/{THREAD}",
    "quarantine": "/quarantine",
    "user-quarantine": f"{OF_USER}/quarantine",
    "doctor": "/doctor",
    "cache": "/cache",
}
USUAL = "overview", "apps", "app", "user", "session"
"""The others have tests of their own, which look at them likewise (test_pages_rooms.py)."""
SHOWN = PAGES if FULL else {name: PAGES[name] for name in USUAL}
ONLY_COLOURS = () if FULL else ("color-contrast", "link-in-text-block")
"""What a theme can change."""


@pytest.mark.parametrize("path", SHOWN.values(), ids=SHOWN)
def test_a_page_is_there_for_everyone(tab: Tab, path: str) -> None:
    """No complaint, no CSP report, nothing from elsewhere, WCAG 2.2 AA in both themes, 320 px."""
    tab.theme("light")
    tab.page.set_viewport_size({"width": 1280, "height": 900})
    tab.open(path)
    assert tab.faults() == []
    tab.theme("dark")
    assert tab.faults(*ONLY_COLOURS) == []
    for width in (320, 3840) if FULL else (320,):
        tab.page.set_viewport_size({"width": width, "height": 900})
        assert tab.width() <= width


def test_a_missing_page_says_so(tab: Tab) -> None:
    tab.page.goto(f"{tab.served.url}/apps/{APP}/nowhere")
    expect(tab.page.get_by_text("There is no such page")).to_be_visible()
    tab.page.get_by_role("link", name="Go to the overview").click()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_the_keyboard_alone_is_enough(tab: Tab) -> None:
    """From the overview to a session and back by filters, without a mouse."""
    page, keyboard = tab.page, tab.page.keyboard
    tab.page.set_viewport_size({"width": 1280, "height": 900})
    tab.open("/")
    keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    for _ in range(5):
        keyboard.press("Tab")
        inside = "!document.activeElement.closest('#root main, #root .side')"
        assert page.evaluate(inside)
    keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("main")).to_be_focused()
    keyboard.press("g")
    keyboard.press("a")
    expect(page.get_by_role("heading", level=1)).to_have_text("Apps")
    expect(page.get_by_role("link", name=APP, exact=True)).to_be_visible()
    for _ in range(3):
        keyboard.press("j")
    for _ in range(2):
        keyboard.press("k")
    page.get_by_role("link", name=APP, exact=True).focus()
    keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(APP)
    keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    keyboard.type(SESSION)
    expect(page.get_by_role("link", name="Refund for order 10442")).to_have_count(1)
    keyboard.press("Escape")
    keyboard.press("j")
    expect(page.get_by_role("link", name="Refund for order 10442")).to_be_focused()
    keyboard.press("Enter")
    page.wait_for_url(re.compile(f"{OF_USER}/sessions/{SESSION}$"))
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value(SESSION)


def query(tab: Tab) -> dict[str, list[str]]:
    return parse_qs(urlsplit(tab.page.url).query)


def test_filters_live_in_the_address(tab: Tab) -> None:
    page = tab.page
    tab.open(f"/apps/{APP}")
    page.get_by_role("searchbox").fill("tasting")
    page.wait_for_url("**q=tasting")
    page.get_by_label("Status").fill("active")
    page.keyboard.press("Enter")
    page.get_by_label("Updated").select_option("7d")
    page.get_by_role("link", name="flow: advice").first.click()
    page.wait_for_url("**label=*")
    wanted = {
        "q": ["tasting"],
        "status": ["active"],
        "period": ["7d"],
        "label": ["flow:advice"],
    }
    assert query(tab) == wanted
    page.reload()
    tab.settled()
    assert query(tab) == wanted
    titles = page.locator("tbody .row-link")
    expect(titles.first).to_have_text("Plan a tasting for twelve people")
    assert set(titles.all_inner_texts()) == {"Plan a tasting for twelve people"}
    page.get_by_role("button", name="flow: advice").click()
    page.get_by_role("link", name="Clear").click()
    tab.settled()
    assert query(tab) == {}
    page.get_by_role("searchbox").fill("no such thing")
    expect(page.get_by_text("No session matches")).to_be_visible()


def test_a_list_goes_on_while_one_scrolls(tab: Tab) -> None:
    """60 sessions come in pages of 50, each of them once."""
    tab.open(f"/apps/{APP}")
    rows = tab.page.locator("tbody tr")
    expect(rows).to_have_count(50)
    tab.page.locator(".more").scroll_into_view_if_needed()
    expect(rows).to_have_count(60)
    expect(tab.page.locator(".more")).to_have_count(0)
    links = tab.page.locator("tbody .row-link")
    found = {link.get_attribute("href") for link in links.all()} if FULL else None
    assert found is None or len(found) == 60


def test_users_with_any_id_have_a_page(tab: Tab) -> None:
    tab.open(f"/apps/{APP}?view=users")
    rows = tab.page.locator("tbody .row-link")
    expect(rows).to_have_count(len(USERS))
    tab.page.get_by_role("link", name="(empty)").click()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("(empty)")
    assert urlsplit(tab.page.url).path == f"/apps/{APP}/users/~"
    tab.settled()
    assert tab.page.locator("tbody tr").count() > 0
    tab.open(f"/apps/{APP}?view=users")
    for name, shown in (("a/b ../~", "a%2Fb%20..%2F~"), ("..", "~.."), ("~x", "~~x")):
        tab.page.get_by_label("User id").fill(name)
        tab.page.get_by_role("button", name="Open").click()
        expect(tab.page.get_by_role("heading", level=1)).to_have_text(name)
        assert urlsplit(tab.page.url).path == f"/apps/{APP}/users/{shown}"
        expect(tab.page.get_by_text("This user has no sessions")).to_be_visible()
        tab.page.go_back()


def test_a_plot_has_its_figures_in_a_table(tab: Tab) -> None:
    tab.open("/")
    for title in ("Sessions", "Writes per second", "Latency", "Cache hit rate"):
        summary = tab.page.get_by_text(f"{title} as a table")
        expect(summary).to_be_visible()
        summary.click()
        table = tab.page.get_by_role("region", name=f"{title}, table")
        expect(table.get_by_role("row").nth(1)).to_be_visible()


def test_the_theme_is_kept(open_tab: OpenTab) -> None:
    tab = open_tab(color_scheme="light")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = tab.page.evaluate(background)
    tab.page.keyboard.press("t")  # system to light
    assert tab.page.evaluate(background) == light
    tab.page.keyboard.press("t")
    dark = tab.page.evaluate(background)
    assert dark != light
    tab.page.reload()
    assert tab.page.evaluate(background) == dark


def test_a_key_opens_the_page_and_is_nowhere_in_it(open_tab: OpenTab, served: Dashboard) -> None:
    tab = open_tab("")
    page = tab.page
    page.goto(served.url + "/apps")
    page.get_by_label("Key").fill("not a key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("No key like that is known here.")
    assert tab.faults() == []
    page.get_by_label("Key").fill(served.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Apps")
    assert served.key not in page.content()
    assert page.evaluate("document.cookie + JSON.stringify(localStorage)").find(served.key) < 0
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Key")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Key")).to_be_visible()
    page.goto(f"{served.url}/apps#key={served.key}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Apps")
    assert page.url == f"{served.url}/apps"


def test_a_key_of_one_user_sees_what_is_theirs(open_tab: OpenTab) -> None:
    page = open_tab("ada").page
    expect(page.get_by_role("heading", level=1)).to_have_text("Apps")
    expect(page.get_by_role("link", name="Doctor")).to_have_count(0)
    page.get_by_label("App").fill(APP)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(USER)
    expect(page.get_by_role("link", name="Refund for order 10442").first).to_be_visible()
    page.goto(page.url.replace(USER, USERS[2]))
    expect(page.get_by_role("alert")).to_contain_text("Not there")


def test_the_first_paint(open_tab: OpenTab, capsys: pytest.CaptureFixture[str]) -> None:
    """Under a second is what is promised: printed, for machines that are busy say nothing."""
    tab = open_tab()
    tab.open(f"/apps/{APP}")
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    milliseconds = tab.page.evaluate(paint)
    sizes = "performance.getEntriesByType('resource').map((one) => one.decodedBodySize)"
    kilobytes = sum(tab.page.evaluate(sizes)) / 1000
    with capsys.disabled():
        sys.stdout.write(f" first paint {milliseconds:.0f} ms, {kilobytes:.0f} kB ")
    assert milliseconds > 0


def files(suffix: str) -> dict[str, str]:
    """Our own static files."""
    found = [each for each in STATIC.rglob(f"*{suffix}") if "vendor" not in each.parts]
    assert found
    return {each.name: each.read_text("utf-8") for each in found}


def test_no_text_becomes_markup_or_code() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|DOMParser"
        r"|createContextualFragment|srcdoc|\beval\(|new Function|javascript:|style=\"|\bon[a-z]+=\""
    )
    for name, text in {**files(".js"), **files(".html")}.items():
        assert not forbidden.search(text), name


def test_nothing_is_loaded_from_elsewhere() -> None:
    for suffix in (".js", ".html", ".css"):
        for name, text in files(suffix).items():
            assert not re.search(r"https?://(?!www\.w3\.org/)|@import|[\"']//", text), name
            assert suffix != ".css" or "url(" not in text
