"""Write the pictures of the dashboard in docs/images: demo data on a server of its own, Chromium.

PYTHONPATH=src:tests python scripts/screenshots.py            # all of them
PYTHONPATH=src:tests python scripts/screenshots.py session    # those of this name
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import sojourn
from dashboard.dashboard_kit import CHROMIUM, CHROMIUM_ARGS, Dashboard, Tab, playwright
from dashboard.demo import APP, SESSION, THREAD, USER, fill
from servers import Server, any_binary
from sojourn import Event

IMAGES = Path(__file__).parent.parent / "docs" / "images"
LARGEST = 150_000
LIVELY_SECONDS = 90
"""For how long agents write before the picture of the overview."""
OF_USER = f"/apps/{APP}/users/{USER}"


class Picture(NamedTuple):
    """One picture: of which page, in which theme, how large."""

    path: str
    theme: str = "light"
    width: int = 1280
    height: int = 720


PICTURES = {
    "sessions": Picture(f"/apps/{APP}"),
    "session": Picture(f"{OF_USER}/sessions/{SESSION}", height=900),
    "session-dark": Picture(f"{OF_USER}/sessions/{SESSION}", "dark", height=900),
    "session-narrow": Picture(f"{OF_USER}/sessions/{SESSION}", width=390, height=780),
    "memory": Picture(f"{OF_USER}/memory?key=preferences"),
    "thread": Picture(f"{OF_USER}/threads/{THREAD}", "dark", height=600),
    "doctor": Picture("/doctor", height=560),
    "overview": Picture("/", "dark", height=840),
}


async def write(url: str, until: float) -> None:
    """Write as agents do, more and less by turns."""
    async with sojourn.open(url) as store:
        made = await store.sessions.create(APP, "linus", title="Compare three laptops")
        while time.time() < until:
            busy = 1 + 0.7 * random.random() + (time.time() // 10 % 3)  # noqa: S311 - a picture
            said = Event(author="assistant", payload={"role": "assistant", "content": "One more"})
            await store.sessions.append(made.key, said)
            await asyncio.sleep(0.05 / busy)


def main(only: set[str]) -> None:
    """Write the pictures."""
    IMAGES.mkdir(exist_ok=True)
    wanted = {name: one for name, one in PICTURES.items() if not only or name in only}
    with tempfile.TemporaryDirectory() as folder, playwright.sync_playwright() as driver:
        place = Path(folder)
        server = Server(place / "redis", any_binary(), ["--appendonly", "yes"]).start()
        try:
            work = [fill(server.url)]
            if "overview" in wanted:
                work.append(write(server.url, time.time() + LIVELY_SECONDS))
            dashboard = Dashboard(server.url, place)
            for each in work:
                thread = threading.Thread(target=asyncio.run, args=(each,))
                thread.start()
                thread.join()
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
            for name, picture in wanted.items():
                take(Tab(browser, dashboard), name, picture)
            browser.close()
            dashboard.kill()
        finally:
            server.close()


def take(tab: Tab, name: str, picture: Picture) -> None:
    """Write one picture.

    Raises:
        SystemExit: it is too large for a repository.
    """
    tab.page.set_viewport_size({"width": picture.width, "height": picture.height})
    tab.theme(picture.theme)
    tab.open(picture.path)
    tab.page.wait_for_load_state("networkidle")
    file = IMAGES / f"{name}.png"
    tab.page.screenshot(path=str(file), animations="disabled")
    tab.close()
    size = file.stat().st_size
    sys.stdout.write(f"{file.relative_to(IMAGES.parent.parent)} {size / 1000:.0f} kB\n")
    if size > LARGEST:
        sys.exit(f"{file.name} is larger than {LARGEST / 1000:.0f} kB: make it smaller.")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
