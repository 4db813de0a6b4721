"""What a guard adds to handles: bindings, a policy for ids, a limit for who guesses them."""

import pytest
from security_kit import Callers

import sojourn
from sojourn import (
    ConfigurationError,
    InvalidBinding,
    InvalidId,
    SessionNotFound,
    SessionRotated,
    Throttled,
)
from sojourn.security import (
    AccessLog,
    Bindings,
    Decision,
    GuessLimiter,
    IdPolicy,
    Keyring,
    Principal,
    User,
)

KEYS = Keyring({"k1": b"0" * 32}, "k1")


def handles(store: sojourn.Sojourn, **options: object) -> tuple[User, User, list[Decision]]:
    decisions: list[Decision] = []
    guard = store.guard(log=AccessLog(decisions.append), **options)  # type: ignore[arg-type]
    ada, bob = (
        guard.user(Principal.of("shop", user, peer=peer))
        for user, peer in (("ada", "192.0.2.1"), ("bob", "192.0.2.2"))
    )
    return ada, bob, decisions


async def test_a_bound_session_is_given_to_its_user_and_client_only():
    async with sojourn.open("memory://") as store:
        ada, bob, decisions = handles(store, bindings=Bindings(KEYS))
        session = await ada.sessions.create()
        name = session.key.session
        token = ada.bind(session, fingerprint="phone")

        found = await ada.bound(name, token, fingerprint="phone")
        assert found.incarnation == session.incarnation
        for wrong in ({"fingerprint": "laptop"}, {}):
            with pytest.raises(InvalidBinding):
                await ada.bound(name, token, **wrong)
        with pytest.raises(InvalidBinding):
            await ada.bound(name, "b1.k1.1.2.forged", fingerprint="phone")
        with pytest.raises(SessionNotFound):
            await bob.bound(name, token, fingerprint="phone")
        with pytest.raises(sojourn.InvalidInput):
            bob.bind(session)
    refused = [each.reason for each in decisions if each.outcome == "refused"]
    assert refused == ["binding"] * 3
    assert all(each.session for each in decisions)


async def test_a_handle_does_not_say_that_a_session_was_rotated():
    async with sojourn.open("memory://") as store:
        ada, _, decisions = handles(store)
        session = await ada.sessions.create()
        old = session.key.session
        new = (await ada.rotate(old)).key.session
        with pytest.raises(SessionRotated):
            await store.sessions.save(session.key, incarnation=session.incarnation)
        with pytest.raises(SessionNotFound) as rotated:
            await ada.sessions.save(old, incarnation=session.incarnation)
        with pytest.raises(SessionNotFound) as unknown:
            await ada.sessions.save("never-was", incarnation=session.incarnation)
        assert type(rotated.value) is type(unknown.value) is SessionNotFound
        assert str(rotated.value) == str(unknown.value)
        assert new not in str(rotated.value.__cause__)
        assert decisions[-2].outcome == "not_found"


async def test_a_rotation_ends_bindings_and_the_old_id():
    async with sojourn.open("memory://") as store:
        ada, bob, _ = handles(store, bindings=Bindings(KEYS))
        session = await ada.sessions.create(state={"cart": ["tea"]})
        token = ada.bind(session)
        with pytest.raises(SessionNotFound):
            await bob.rotate(session.key.session)
        new = (await ada.rotate(session.key.session)).key.session

        assert await ada.sessions.get(session.key.session) is None
        assert (await ada.sessions.get(new)).state == {"cart": ["tea"]}
        with pytest.raises(InvalidBinding):
            await ada.bound(new, token)


async def test_without_secrets_nothing_is_bound():
    async with sojourn.open("memory://") as store:
        callers = Callers(store)
        session = await callers.ada.sessions.create()
        with pytest.raises(ConfigurationError):
            callers.ada.bind(session)
        with pytest.raises(ConfigurationError):
            await callers.ada.bound(session.key.session, "token")


MAKES = {
    "create": lambda caller: caller.sessions.create("order-17"),
    "ensure": lambda caller: caller.sessions.ensure("order-17"),
    "save": lambda caller: caller.sessions.save("order-17"),
    "history": lambda caller: caller.history("order-17").append("user", "hello"),
}


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
async def test_a_policy_refuses_what_could_be_guessed_and_nothing_is_made(make):
    async with sojourn.open("memory://") as store:
        ada, _, decisions = handles(store, check_id=IdPolicy.strict().check)
        with pytest.raises(InvalidId):
            await make(ada)
        assert (await ada.sessions.list()).sessions == []
        assert decisions[0].outcome == "failed"
        assert (await ada.sessions.create()).key.session  # ids of our making are no caller's


async def test_who_guesses_ids_is_refused_and_others_do_not_notice(url):
    async with sojourn.open(url) as store:
        limiter = GuessLimiter(store, limit=2, refused=3, window=60, delay=0.0, longest=0.0)
        app = Callers(store).app
        guard = store.guard(limiter=limiter)
        eve = guard.user(Principal.of(app, "eve", peer="192.0.2.66"))
        ada = guard.user(Principal.of(app, "ada", peer="192.0.2.1"))
        session = await ada.sessions.create()
        for number in range(3):
            assert await eve.sessions.get(f"guess-{number}") is None
        with pytest.raises(Throttled) as caught:
            await eve.sessions.get(session.key.session)
        assert 0 < caught.value.retry_after <= 60
        assert await ada.sessions.get(session.key.session) is not None
        assert guard.stats().reasons["refused:throttled"] == 1
        assert (await guard.fleet(app)).reasons["refused:throttled"] == 1
