"""The frame of the API: keys of an identity provider, limits, hosts, mounting, proxies, OpenAPI."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from http_kit import Api, Keys, problem

import sojourn
from servers import Server, any_binary
from sojourn.errors import ConfigurationError, Unavailable
from sojourn.security.tokens import token_of_this_run
from sojourn.surfaces.http import application
from sojourn.surfaces.http.limits import RateLimit
from sojourn.surfaces.http.problems import Problem
from sojourn.surfaces.http.verifier import JwtVerifier
from surfaces.cli_kit import Cli


@asynccontextmanager
async def client(app: Any, path: str = "/v1", **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application in this process."""
    transport = httpx.ASGITransport(app=app)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://api.example{path}", headers=sent
    ) as made:
        yield made


@pytest.fixture
async def memory() -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open("memory://") as store:
        yield store


# ── keys of an identity provider ───────────────────────────────────────────────────────────────

PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
CLAIMS = {"iss": "https://id.example", "aud": "sojourn", "sub": "ada", "scope": "sojourn:write"}


def verifier() -> JwtVerifier:
    return JwtVerifier(issuer=CLAIMS["iss"], audience="sojourn", keys={"k1": PUBLIC.decode()})


def token(*, kid: str = "k1", key: Any = PRIVATE, alg: str = "ES256", **claims: Any) -> str:
    said = {**CLAIMS, "exp": time.time() + 60, **claims}
    said = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(said, key, algorithm=alg, headers={"kid": kid})


async def test_a_token_of_a_provider_is_a_key(memory: sojourn.Sojourn) -> None:
    app = application(memory, verifier=verifier())
    scopes = {"sojourn:read": "read", "openid sojourn:write": "write", "sojourn:admin": "admin"}
    for scope, known in scopes.items():
        async with client(app, authorization=f"Bearer {token(scope=scope)}") as ada:
            me = (await ada.get("/me")).json()
            assert (me["name"], me["user"], me["scope"], me["apps"]) == ("ada", "ada", known, None)
    more = token(scope=["sojourn:read", "sojourn:all"], sojourn_apps=["shop"])
    async with client(app, authorization=f"Bearer {more}") as all_:
        me = (await all_.get("/me")).json()
        assert (me["user"], me["scope"], me["apps"]) == (None, "read", ["shop"])


OTHER = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    "wrong",
    [
        token(exp=time.time() - 60),
        token(exp=None),
        token(iss="https://evil.example"),
        token(aud="another"),
        token(aud=None),
        token(sub=None),
        token(sub=""),
        token(sub="*"),
        token(scope=None),
        token(scope="openid"),
        token(scope="read"),
        token(sojourn_apps="shop"),
        token(sojourn_apps=[7]),
        token(kid="k2"),
        token(key=OTHER),
        token(key="x" * 32, alg="HS256"),
        jwt.encode({**CLAIMS, "exp": time.time() + 60}, None, algorithm="none"),
        token()[:-4],
        "a.b.c",
        "..",
        "x" * 20_000,
    ],
)
async def test_any_other_token_is_nobodys(wrong: str) -> None:
    assert await verifier().holder(wrong) is None


async def test_a_provider_that_does_not_answer_is_no_wrong_key(memory: sojourn.Sojourn) -> None:
    away = JwtVerifier(issuer="i", audience="a", jwks_url="https://127.0.0.1:1/keys")
    with pytest.raises(Unavailable):
        await away.holder(token())
    assert await away.holder(token()) is None  # it is not asked for each
    away = JwtVerifier(issuer="i", audience="a", jwks_url="https://127.0.0.1:1/keys")
    async with client(application(memory, verifier=away), authorization=f"Bearer {token()}") as ada:
        problem(await ada.get("/me"), 503, "Unavailable")


def test_a_verifier_needs_keys_from_somewhere_safe() -> None:
    for wrong in ({}, {"jwks_url": "http://a"}, {"jwks_url": "https://a", "keys": {"a": "b"}}):
        with pytest.raises(ConfigurationError):
            JwtVerifier(issuer="i", audience="a", **wrong)
    with pytest.raises(ConfigurationError):
        application("memory://")


# ── limits ─────────────────────────────────────────────────────────────────────────────────────


def test_a_key_may_ask_so_often_and_no_more() -> None:
    now = 0.0
    limit = RateLimit(10, clock=lambda: now)
    for _ in range(20):
        limit.check("ada")
    with pytest.raises(Problem) as refused:
        limit.check("ada")
    assert refused.value.headers["Retry-After"] == "1"
    limit.check("eve")
    now = 0.1
    limit.check("ada")
    with pytest.raises(Problem):
        limit.check("ada")
    RateLimit(None).check("ada")


async def test_too_many_requests_are_told_when_to_come_again(memory: sojourn.Sojourn) -> None:
    key, tokens = token_of_this_run("local")
    app = application(memory, tokens=tokens, rate=1)
    async with client(app, authorization=f"Bearer {key}") as local:
        replies = [await local.get("/me") for _ in range(3)]
        assert [each.status_code for each in replies] == [200, 200, 429]
        assert problem(replies[-1], 429, "RateLimited")["retry_after"] >= 1


# ── hosts, origins, ids of requests ────────────────────────────────────────────────────────────


async def test_a_host_that_was_not_named_is_refused(api: Api) -> None:
    async with api.client("ada", host="evil.example") as rebound:
        problem(await rebound.get("/me"), 421)
    async with api.client("ada", host="localhost:1") as local:
        assert (await local.get("/me")).status_code == 200
    async with api.client(host="10.0.0.7") as probe:
        reply = await probe.get(f"{api.url}/healthz")
        assert (reply.status_code, reply.json()) == (200, {"available": True})


async def test_pages_of_named_origins_may_call(memory: sojourn.Sojourn) -> None:
    key, tokens = token_of_this_run("local")
    app = application(memory, tokens=tokens, origins=["https://app.example"])
    asked = {
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization,if-match",
    }
    async with client(app) as page:
        for origin, allowed in (("https://app.example", True), ("https://evil.example", False)):
            reply = await page.options("/me", headers={"origin": origin, **asked})
            assert (reply.headers.get("access-control-allow-origin") == origin) is allowed
            sent = {"origin": origin, "authorization": f"Bearer {key}"}
            reply = await page.get("/me", headers=sent)
            assert (reply.headers.get("access-control-allow-origin") == origin) is allowed
            assert "access-control-allow-credentials" not in reply.headers


async def test_a_request_has_an_id_and_answers_are_not_kept(ada: httpx.AsyncClient) -> None:
    reply = await ada.get("/me", headers={"x-request-id": "mine-1"})
    assert reply.headers["x-request-id"] == "mine-1"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    made = [(await ada.get("/me", headers={"x-request-id": "a b"})) for _ in range(2)]
    assert len({each.headers["x-request-id"] for each in made}) == 2


# ── in another application, behind a proxy ─────────────────────────────────────────────────────


async def test_it_can_be_mounted_into_another_application(memory: sojourn.Sojourn) -> None:
    key, tokens = token_of_this_run("local")
    api = application(memory, tokens=tokens)
    outer = FastAPI()
    outer.mount("/agents", api)
    async with (
        api.router.lifespan_context(api),
        client(outer, "/agents/v1", authorization=f"Bearer {key}") as local,
    ):
        await memory.sessions.create("shop", "a/b", "s/t")
        found = await local.get("/apps/shop/users/a%2Fb/sessions/s%2Ft")
        assert found.json()["session"] == "s/t"
        made = await local.post("/apps/shop/users/ada/sessions", json={})
        assert made.headers["location"].startswith("/agents/v1/apps/shop/")
        problem(await local.get("/apps/shop/users/a/b/sessions"), 404)
        async with client(outer, "/agents") as nobody:
            problem(await nobody.get("/v1/me"), 401)
            page = await nobody.get("/")
            assert page.headers["content-type"].startswith("text/html")
            assert 'content="/agents"' in page.text


async def test_a_proxy_may_take_the_path_away_that_it_serves(memory: sojourn.Sojourn) -> None:
    key, tokens = token_of_this_run("local")
    app = application(memory, tokens=tokens, root_path="/agents")
    async with client(app, authorization=f"Bearer {key}") as local:
        made = await local.post("/apps/shop/users/ada/sessions", json={})
        assert made.headers["location"].startswith("/agents/v1/apps/shop/")


async def test_a_store_of_a_url_is_closed_with_the_application() -> None:
    _, tokens = token_of_this_run("local")
    app = application("memory://", tokens=tokens)
    async with app.router.lifespan_context(app):
        store = app.state.served.store
        assert not store.closed
    assert store.closed


async def test_an_outage_is_a_problem_and_no_empty_list(keys: Keys, tmp_path: Path) -> None:
    server = Server(tmp_path, any_binary()).start()
    api = Api(server.url, keys)
    try:
        async with api.client("ops") as ops:
            assert (await ops.get("/apps")).json()["items"] == []
            server.close()
            reply = await ops.get("/apps")
            told = problem(reply, 503)
            assert reply.headers["retry-after"]
            assert str(server.port) not in told["detail"]
            assert (await ops.get(f"{api.url}/healthz")).status_code == 503
    finally:
        api.kill()


# ── the command ────────────────────────────────────────────────────────────────────────────────


async def test_without_a_file_of_keys_it_prints_an_address_with_one(shared_server: Server) -> None:
    api = Api(shared_server.url, None)
    try:
        key = api.told.partition("#key=")[2].strip()
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}) as local:
            me = (await local.get(f"{api.url}/v1/me")).json()
            assert (me["name"], me["scope"], me["user"]) == ("local", "admin", None)
        assert api.end() == 0
    finally:
        api.kill()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "--auth"),
        (["--host", "0.0.0.0", "--auth", "KEYS"], "--allow-host"),
        (["--auth", "/nowhere"], "cannot be read"),
    ],
)
def test_it_does_not_serve_everybody(
    shared_server: Server, keys: Keys, words: list[str], said: str
) -> None:
    words = [word.replace("KEYS", str(keys.file)) for word in words]
    ran = Cli(shared_server.url, "x").run("serve", *words)
    assert ran.code == 2
    assert said in ran.err


# ── OpenAPI ────────────────────────────────────────────────────────────────────────────────────


async def test_every_route_is_documented_with_an_example(api: Api) -> None:
    async with api.client() as nobody:
        document = (await nobody.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert document["security"] == [{"key": []}]
    ids = set()
    for path, methods in document["paths"].items():
        assert ":id" not in path
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["description"], where
            ids.add(operation["operationId"])
            answers = operation["responses"]
            assert {"4XX", "5XX"} <= answers.keys(), where
            good = next(answers[each] for each in answers if each.startswith("2"))
            if "application/json" in good.get("content", {}):
                assert "example" in good["content"]["application/json"], where
            if method in ("post", "patch", "put") and "requestBody" in operation:
                content = next(iter(operation["requestBody"]["content"].values()))
                assert "example" in content or "schema" in content, where
    assert len(ids) == sum(map(len, document["paths"].values()))
