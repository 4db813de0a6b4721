"""How it is served: a page while the store or the server is away, and below another path."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import sojourn
from dashboard.conftest import OpenTab
from dashboard.dashboard_kit import Dashboard, playwright
from dashboard.demo import APP, USER
from extent import FULL
from servers import Server, free_port
from surfaces.cli_kit import Lines

expect = playwright.expect
full = pytest.mark.skipif(not FULL, reason="make test-all runs it")
SECONDS = 20_000
"""Milliseconds within which a page has tried again."""


def create(url: str) -> None:
    async def created() -> None:
        async with sojourn.open(url) as store:
            await store.sessions.create("shop", "ada", "8e42", title="Two teas")

    thread = threading.Thread(target=lambda: asyncio.run(created()))
    thread.start()
    thread.join()


def test_an_outage_is_never_shown_as_empty(
    open_tab: OpenTab, server: Server, tmp_path: Path
) -> None:
    dashboard = Dashboard(f"{server.url}?operation_timeout=1", tmp_path)
    try:
        page = open_tab(served=dashboard).page
        page.goto(f"{dashboard.url}/apps/shop")
        expect(page.get_by_text("This app has no sessions")).to_be_visible()
        server.stop()
        page.reload()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("The store does not answer", timeout=SECONDS)
        expect(page.get_by_text("This app has no sessions")).to_have_count(0)
        server.start()
        expect(page.get_by_text("This app has no sessions")).to_be_visible(timeout=SECONDS)
        expect(alert).to_have_count(0)
    finally:
        dashboard.kill()


@full
def test_a_page_outlives_its_server(open_tab: OpenTab, server: Server, tmp_path: Path) -> None:
    """After kill -9 it says that nobody answers, and goes on by itself."""
    create(server.url)
    dashboard = Dashboard(server.url, tmp_path)
    try:
        page = open_tab(served=dashboard).page
        page.goto(f"{dashboard.url}/apps")
        expect(page.get_by_role("link", name="shop")).to_be_visible()
        dashboard.kill()
        page.get_by_role("link", name="shop").click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("does not answer", timeout=SECONDS)
        dashboard.start()
        expect(page.get_by_role("link", name="Two teas")).to_be_visible(timeout=SECONDS)
        expect(alert).to_have_count(0)
    finally:
        dashboard.kill()


PARENT = """
import contextlib, sys
import uvicorn
from fastapi import FastAPI
from sojourn.security.tokens import tokens_from
from sojourn.surfaces.http import application

url, auth, port = sys.argv[1:]
api = application(url, tokens=tokens_from(auth))

@contextlib.asynccontextmanager
async def lifespan(_):
    async with api.router.lifespan_context(api):
        print("listening", flush=True)
        yield

parent = FastAPI(lifespan=lifespan)
parent.mount("/tools/so journ", api)
uvicorn.run(parent, port=int(port), log_level="warning")
"""
BELOW = "/tools/so%20journ"


class Mounted(Dashboard):
    """The same in an application that somebody else has written."""

    def start(self) -> None:
        self.port = self.port or free_port()
        command = [sys.executable, "-c", PARENT, self.store_url, str(self.auth), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
        Lines(self._process.stdout).until("listening")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{BELOW}"


@pytest.fixture
def mounted(filled_url: str, tmp_path: Path) -> Iterator[Mounted]:
    mounted = Mounted(filled_url, tmp_path)
    yield mounted
    mounted.kill()


@full
def test_it_lives_below_any_path(open_tab: OpenTab, mounted: Mounted) -> None:
    tab = open_tab(served=mounted)
    page = tab.page
    page.get_by_role("link", name="Apps", exact=True).click()
    page.get_by_role("link", name=APP, exact=True).click()
    page.get_by_role("link", name=USER, exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(USER)
    assert page.url == f"{mounted.url}/apps/{APP}/users/{USER}"
    page.reload()
    expect(page.get_by_role("link", name="Refund for order 10442").first).to_be_visible()
    (cookie,) = tab.context.cookies()
    assert cookie["path"] == BELOW
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert tab.complaints == []
    assert tab.foreign == []
