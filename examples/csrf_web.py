"""A web application whose users' browsers nobody else can use: CSRF tokens and origins.

    pip install '.[embedded]' fastapi uvicorn    # in Sojourn's clone
    python examples/csrf_web.py    # http://127.0.0.1:8000

The cookie says who calls; the token says that a page of ours made the request. The store is that of
SOJOURN_URL, or else an embedded server's in ./.sojourn.
"""

import os
import secrets
import sys
from typing import Annotated

import uvicorn
from fastapi import Cookie, FastAPI, Request, Response
from starlette.requests import HTTPConnection

import sojourn
from sojourn import SessionKey
from sojourn.security import AccessLog, JsonLines
from sojourn.security.csrf import issue
from sojourn.surfaces.http import CSRF

APP = "web"
SECRETS = [secrets.token_bytes(32)]  # yours: the same for all processes, from a secret manager
LOGINS: dict[str, str] = {}  # yours: a cookie's secret → a user

app = FastAPI()


def session_of(scope) -> SessionKey | None:
    """The session of the cookie; None without one."""
    login = HTTPConnection(scope).cookies.get("login", "")
    return SessionKey.of(APP, LOGINS[login], login) if login in LOGINS else None


@app.post("/login/{user}")
async def login(user: str, response: Response) -> dict[str, str]:
    """Yours asks for a password. There is no cookie yet, so only the origin is checked."""
    secret = secrets.token_urlsafe(32)
    LOGINS[secret] = user
    response.set_cookie("login", secret, httponly=True, samesite="lax")
    return {"csrf": issue(SessionKey.of(APP, user, secret), SECRETS)}


@app.get("/csrf")
async def token(request: Request) -> dict[str, str]:
    """What a page puts into the header `X-CSRF-Token` of its requests."""
    session = session_of(request.scope)
    return {"csrf": "" if session is None else issue(session, SECRETS)}


@app.post("/notes")
async def add(request: Request, login: Annotated[str, Cookie()] = "") -> dict[str, int]:
    """Keep a note of the user who has logged in."""
    text = (await request.body()).decode()
    history = sojourn.default().history("notes-" + LOGINS.get(login, "nobody"), app=APP)
    await history.append("user", text)
    return {"notes": len(await history.all())}


log = AccessLog(JsonLines(sys.stderr))
guarded = CSRF(app, secrets=SECRETS, session=session_of, log=log)

if __name__ == "__main__":
    uvicorn.run(guarded, port=int(os.environ.get("PORT", "8000")))
