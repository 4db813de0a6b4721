"""Dashboard: the pages, which are static files, and how they are served."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

__all__ = ["mount"]

STATIC = Path(__file__).parent / "static"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "media-src 'self' blob:; connect-src 'self'; font-src 'none'; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
"""Nothing is loaded from elsewhere, nothing inline runs. A newer server's files count at once."""


class _Static(StaticFiles):
    """Static files with the headers of the page."""

    def file_response(self, *args: Any, **options: Any) -> Any:
        response = super().file_response(*args, **options)
        response.headers.update(HEADERS)
        return response


def mount(app: FastAPI) -> None:
    """Serve the dashboard at `/`, and its pages at `/apps/…`, `/doctor`, `/quarantine`, `/cache`.

    Args:
        app: the application that the API is in. What it answers by itself comes first, so mount
            the dashboard last.
    """
    index = (STATIC / "index.html").read_text("utf-8")

    async def page(request: Request) -> HTMLResponse:
        base = escape(str(request.scope.get("root_path", "")).rstrip("/"), quote=True)
        return HTMLResponse(index.replace("@base@", base), headers=HEADERS)

    app.mount("/static", _Static(directory=STATIC), name="static")
    for path in ("/", "/apps", "/apps/{rest:path}", "/doctor", "/quarantine", "/cache"):
        app.add_api_route(path, page, methods=["GET"], include_in_schema=False)
