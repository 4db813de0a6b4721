"""Login by cookie, and where unsafe requests may come from."""

from __future__ import annotations

import httpx
import pytest
from http_kit import Api, problem


def browser(api: Api) -> httpx.AsyncClient:
    """A client that keeps cookies and has no key."""
    return httpx.AsyncClient(base_url=api.url, timeout=20)


async def logged_in(api: Api, client: httpx.AsyncClient, user: str = "ada") -> httpx.Response:
    assert api.keys is not None
    return await client.post(
        "/login", json={"key": api.keys.of[user]}, headers={"sec-fetch-site": "same-origin"}
    )


async def test_a_cookie_is_as_good_as_a_key(api: Api) -> None:
    async with browser(api) as client:
        problem(await client.get("/v1/me"), 401)
        reply = await logged_in(api, client)
        assert reply.status_code == 204
        cookie = reply.headers["set-cookie"].lower()
        assert cookie.startswith(f"sojourn-{api.port}=")
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secure" not in cookie
        assert (await client.get("/v1/me")).json()["name"] == "ada"
        assert (await client.post("/logout")).status_code == 204
        problem(await client.get("/v1/me"), 401)


async def test_a_wrong_key_is_no_login(api: Api) -> None:
    async with browser(api) as client:
        problem(await client.post("/login", json={"key": "sojourn_wrong"}), 401, "UnknownKey")
        problem(await client.post("/login", json={}), 422, "InvalidRequest")
        problem(await client.post("/login", json={"key": 7}), 422)
        problem(await client.post("/login", json={"key": "x", "more": 1}), 422)
        assert not client.cookies


async def test_over_https_the_cookie_is_of_this_host_only(api: Api) -> None:
    assert api.keys is not None
    headers = {"x-forwarded-proto": "https", "sec-fetch-site": "same-origin"}
    async with browser(api) as client:
        reply = await client.post("/login", json={"key": api.keys.of["ada"]}, headers=headers)
        cookie = reply.headers["set-cookie"]
        assert cookie.startswith("__Host-sojourn=")
        assert "Secure" in cookie
        assert "Path=/;" in cookie
        assert "Domain" not in cookie


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, False),
        ({"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:1"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "OWN"}, True),
        ({}, False),
    ],
)
async def test_with_a_cookie_only_pages_of_this_server_change_something(
    api: Api, headers: dict[str, str], allowed: bool
) -> None:
    headers = {name: value.replace("OWN", api.url) for name, value in headers.items()}
    async with browser(api) as client:
        await logged_in(api, client)
        reply = await client.delete("/v1/apps/a/users/ada/sessions/none", headers=headers)
        if allowed:
            problem(reply, 404)
        else:
            problem(reply, 403, "ForeignOrigin")
    async with api.client("ada") as program:  # a key is sent by nobody else
        problem(await program.delete("/apps/a/users/ada/sessions/none", headers=headers), 404)


async def test_pages_of_others_cannot_log_in(api: Api) -> None:
    assert api.keys is not None
    async with browser(api) as client:
        for path in ("/login", "/logout"):
            reply = await client.post(
                path,
                json={"key": api.keys.of["ada"]},
                headers={"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
            )
            problem(reply, 403)
