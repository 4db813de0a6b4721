"""One function says whose a record is, and erasure and handles agree with it."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sojourn
from sojourn import SessionKey, UserKey
from sojourn.ids import owner_of, session_of, tenant_of
from sojourn.memory.model import OF_USERS, ScopeKey

IDS = st.text(st.sampled_from(":%{}*aé/ "), min_size=1, max_size=6)
ADA = UserKey.of("shop", "ada")


@pytest.fixture
async def store(url: str) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(url) as store:
        yield store


@given(app=IDS, user=IDS, session=IDS)
def test_the_owner_of_a_key_is_the_user_in_it(app, user, session):
    owner = UserKey.of(app, user)
    assert owner_of(owner) == owner
    assert owner_of(SessionKey.of(app, user, session)) == owner
    assert owner_of(tenant_of(owner)) == owner
    for kind in ("user", "sessions", "events", "agent", "knowledge"):
        assert owner_of(ScopeKey(app, kind, user)) == (owner if kind in OF_USERS else None)


@pytest.mark.parametrize("tenant", ["", "ada", "shop:", ":ada", "shop:a:b", "shop:%3", "a b:c"])
def test_a_tenant_that_is_no_users_is_nobodys(tenant):
    found = owner_of(tenant)
    assert found is None or (tenant == "shop:" and found == ("shop", ""))


def test_a_session_of_which_only_the_id_is_known_is_of_a_user_of_its_name():
    assert session_of("history", "8e42") == SessionKey.of("history", "8e42", "8e42")
    assert session_of("vana", "8e42", "ada") == SessionKey.of("vana", "ada", "8e42")


async def test_erasure_and_handles_agree(store):
    await store.history("ada").append("user", "hers")
    await store.history("bob").append("user", "not hers")
    await store.cache.put("c", "nobody's")
    await store.cache.put("c", "hers", tenant=tenant_of(ADA))
    await store.memory.agent("ada", app="shop").put("k", "nobody's")
    await store.memory.knowledge("ada", app="shop").put("k", "nobody's")
    await store.memory.user("ada", app="shop").put("k", "hers")

    ada = store.user(*ADA)
    assert [each.content for each in await store.user("history", "ada").history("ada").all()] == [
        "hers"
    ]
    assert await ada.cache.get("c") == "hers"
    assert await ada.memory.get("k") == "hers"

    await store.admin.forget("ada")
    assert await store.history("ada").all() == []
    assert await ada.cache.get("c") is None
    assert await ada.memory.get("k") is None
    assert [each.content for each in await store.history("bob").all()] == ["not hers"]
    assert await store.cache.get("c") == "nobody's"
    assert await store.memory.agent("ada", app="shop").get("k") == "nobody's"
    assert await store.memory.knowledge("ada", app="shop").get("k") == "nobody's"
