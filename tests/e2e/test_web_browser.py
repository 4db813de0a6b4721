"""ADK's web UI in a real browser: what is on the page comes back from the server."""

import os
import shutil
from urllib.parse import parse_qs, urlsplit

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: ADK web UI in a browser not run"
)

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
QUESTION = "Store test_key with value test_123"
ANSWER = "Stored test_key = test_123 in this session."
SHOWN_SECONDS = 15


@pytest.fixture
def browser():
    if not os.access(CHROMIUM, os.X_OK):
        missing = "chromium is not installed: ADK web UI in a browser not run"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


class ChatPage:
    """ADK's UI as a user sees it."""

    def __init__(self, browser, url: str) -> None:
        self.page = browser.new_page()
        self.page.set_default_timeout(SHOWN_SECONDS * 1000)
        # Fonts come from the internet; a page must not wait for what a test has not got.
        self.page.route(lambda asked: not asked.startswith(url), lambda route: route.abort())
        self.page.goto(url)

    def choose(self, app: str) -> None:
        """With a single app it is chosen already; to choose it again does no harm."""
        self.page.locator("button.selector-button").first.click()
        self.page.locator("button.app-selector-item").get_by_text(app, exact=True).click()

    def send(self, text: str) -> None:
        box = self.page.get_by_placeholder("Type a message...")
        box.fill(text)
        box.press("Enter")

    def shows(self, *messages: str) -> None:
        """Wait until these are the messages in the chat, all of them and in this order."""
        bubbles = self.page.locator("app-chat-panel markdown")
        playwright.expect(bubbles).to_have_text(messages, timeout=SHOWN_SECONDS * 1000)

    def session_id(self) -> str:
        return parse_qs(urlsplit(self.page.url).query)["session"][0]


@pytest.fixture
def web(start_web, embedded_uri):
    return start_web(embedded_uri)


@pytest.fixture
def chat(browser, web):
    chat = ChatPage(browser, web.url)
    chat.choose("demo_agent")
    chat.send(QUESTION)
    chat.shows(QUESTION, ANSWER)
    return chat


def test_the_conversation_is_there_after_f5(chat):
    session_id = chat.session_id()
    chat.page.reload()
    chat.shows(QUESTION, ANSWER)
    assert chat.session_id() == session_id


def test_the_conversation_goes_on_after_kill_9_of_the_web_process(chat, web):
    session_id = chat.session_id()
    web.kill()
    web.start()
    chat.page.reload()
    chat.shows(QUESTION, ANSWER)
    chat.send("What is test_key?")
    chat.shows(QUESTION, ANSWER, "What is test_key?", "test_key is test_123 (in this session).")
    assert chat.session_id() == session_id
