"""A page while the store or the server is away: it says so, keeps what it had, and recovers."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import sojourn
from dashboard.conftest import OpenTab
from dashboard.dashboard_kit import Dashboard, playwright
from servers import Server

expect = playwright.expect
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
