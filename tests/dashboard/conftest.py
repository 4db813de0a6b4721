"""One `sojourn serve` with demo data for all tests, one browser for those of a module."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dashboard.dashboard_kit import CHROMIUM_ARGS, Dashboard, Tab, browsers_path, playwright
from dashboard.demo import fill
from servers import Server

OpenTab = Callable[..., Tab]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = browsers_path()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def filled_url(shared_server: Server) -> str:
    """A store with demo data."""
    url = f"{shared_server.url}?namespace=dash-{secrets.token_hex(4)}"
    with ThreadPoolExecutor(1) as thread:  # this one may have the browser's event loop
        thread.submit(asyncio.run, fill(url)).result()
    return url


@pytest.fixture(scope="session")
def served(filled_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    served = Dashboard(filled_url, tmp_path_factory.mktemp("dashboard"))
    yield served
    served.kill()


@pytest.fixture
def open_tab(browser: Any, served: Dashboard) -> Iterator[OpenTab]:
    """Open tabs that are closed after the test: `open_tab(key="ops", served=…, **options)`."""
    tabs: list[Tab] = []

    def opened(key: str = "ops", *, served: Dashboard = served, **options: Any) -> Tab:
        tabs.append(Tab(browser, served, key, **options))
        return tabs[-1]

    yield opened
    for tab in tabs:
        tab.close()


@pytest.fixture(scope="module")
def module_tab(browser: Any, served: Dashboard) -> Iterator[Tab]:
    tab = Tab(browser, served)
    yield tab
    tab.close()


@pytest.fixture
def tab(module_tab: Tab) -> Iterator[Tab]:
    """A tab that a module shares: it has no complaints yet, and must have none afterwards."""
    module_tab.complaints.clear()
    yield module_tab
    assert module_tab.complaints == []
    assert module_tab.foreign == []
