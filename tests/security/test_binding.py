"""Bindings: who shows another's, an old one or a changed one is refused, whatever it is."""

from __future__ import annotations

import hmac
import itertools
import pickle
import secrets
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sojourn
from extent import examples
from sojourn import ConfigurationError, InvalidBinding, InvalidId, InvalidInput, SessionKey
from sojourn.security import AccessLog, Bindings, Decision, Keyring

SECRETS = {"k1": b"1" * 32, "k2": b"2" * 32}
KEY = SessionKey.of("shop", "ada", "8e42")
NOW = 1_764_000_000.5


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bindings(clock: Clock) -> Bindings:
    return Bindings(Keyring(SECRETS), ttl=100, clock=clock)


FIXED = Bindings(Keyring(SECRETS), ttl=100, clock=lambda: NOW)
TOKEN = FIXED.issue(KEY, "inc", fingerprint="agent")


def refused(bindings: Bindings, *shown: Any, **options: Any) -> str:
    """The reason of the refusal; outwardly all are alike."""
    with pytest.raises(InvalidBinding) as caught:
        bindings.check(*shown, **options)
    assert type(caught.value) is InvalidBinding
    assert str(caught.value) == "The session's binding is not valid."
    assert caught.value.args == (str(caught.value),)
    return caught.value.reason


# ── what is valid ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fingerprint", [None, "", "Mozilla/5.0 🦊", "\ud800"])
def test_what_was_issued_is_valid(bindings: Bindings, fingerprint: str | None) -> None:
    token = bindings.issue(KEY, "inc", fingerprint=fingerprint)
    bindings.check(token, KEY, "inc", fingerprint)


def test_a_token_says_nothing_about_whom_it_is_for(bindings: Bindings) -> None:
    key = SessionKey.of("bookshop", "lovelace", "thesession")
    token = bindings.issue(key, "theincarnation", fingerprint="thefingerprint")
    assert token.isascii()
    assert len(token) <= 89
    for word in (*key, "theincarnation", "thefingerprint"):
        assert word not in token
    version, name, issued, expires, mac = token.split(".")
    assert (version, name, issued, expires) == ("b1", "k1", "1764000000", "1764000100")
    assert len(mac) == 43


# ── what is not ────────────────────────────────────────────────────────────────────────────────

OTHERS: dict[str, tuple[SessionKey, str, str | None]] = {
    "another app": (KEY._replace(app="forum"), "inc", "agent"),  # type: ignore[arg-type]
    "another user": (KEY._replace(user="bob"), "inc", "agent"),  # type: ignore[arg-type]
    "another session": (KEY._replace(session="8e43"), "inc", "agent"),  # type: ignore[arg-type]
    "another incarnation": (KEY, "inc2", "agent"),
    "another client": (KEY, "inc", "other agent"),
    "no client": (KEY, "inc", None),
    "an empty client": (KEY, "inc", ""),
    "shifted": (SessionKey.of("sho", "pada", "8e42"), "inc", "agent"),
    "shifted into the incarnation": (SessionKey.of("shop", "ada", "8e4"), "2inc", "agent"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_token_that_was_moved_is_refused(other: str) -> None:
    FIXED.check(TOKEN, KEY, "inc", "agent")
    assert refused(FIXED, TOKEN, *OTHERS[other]) == "forged"


def test_a_token_for_any_client_is_not_for_a_certain_one(bindings: Bindings) -> None:
    token = bindings.issue(KEY, "inc")
    for client in ("agent", ""):
        assert refused(bindings, token, KEY, "inc", client) == "forged"
    assert refused(bindings, bindings.issue(KEY, "inc", fingerprint=""), KEY, "inc") == "forged"


def test_all_changes_of_one_bit_are_refused() -> None:
    raw = TOKEN.encode()
    for at, bit in itertools.product(range(len(raw)), range(8)):
        changed = bytearray(raw)
        changed[at] ^= 1 << bit
        refused(FIXED, changed.decode("latin-1"), KEY, "inc", "agent")
        refused(FIXED, bytes(changed), KEY, "inc", "agent")


OTHER_FORMS: list[object] = [
    *(TOKEN + "=", TOKEN + "\n", " " + TOKEN, TOKEN[:-1], TOKEN.upper(), TOKEN * 2, TOKEN + "A"),
    *(TOKEN.replace("b1.", "b2."), TOKEN.replace(".1764000000.", ".01764000000.")),
    *(TOKEN.replace(".1764", ".\u0661764"), TOKEN.replace("k1", "k2"), "", "b1....", "."),
    *(None, 5, TOKEN.encode(), ["b1"], "x" * 1_000_000),
]


@pytest.mark.parametrize("other", OTHER_FORMS, ids=range(len(OTHER_FORMS)))
def test_a_token_has_one_form_only(other: object) -> None:
    assert refused(FIXED, other, KEY, "inc", "agent") == "forged"


@given(st.text() | st.binary() | st.none() | st.integers())
def test_anything_is_refused_and_nothing_else_raised(shown: object) -> None:
    assert refused(FIXED, shown, KEY, "inc", "agent") in ("forged", "outdated")


@settings(max_examples=examples(300))
@given(st.data())
def test_a_token_that_was_changed_anyhow_is_refused(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TOKEN)))
    end = data.draw(st.integers(start, len(TOKEN)))
    middle = data.draw(st.text(alphabet="b1.k2-_Aa0", max_size=6) | st.text(max_size=3))
    changed = TOKEN[:start] + middle + TOKEN[end:]
    if changed != TOKEN:
        refused(FIXED, changed, KEY, "inc", "agent")


texts = st.text(min_size=1, max_size=4)
claims = st.tuples(texts, texts, texts, texts, st.none() | st.text(max_size=4))


@given(claims, claims)
def test_no_two_claims_have_a_token_in_common(one: Any, two: Any) -> None:
    def issued(app: str, user: str, session: str, incarnation: str, client: str | None) -> str:
        key = SessionKey(app, user, session)  # type: ignore[arg-type]
        return FIXED.issue(key, incarnation, fingerprint=client)

    assert (issued(*one) == issued(*two)) == (one == two)


def test_a_signature_for_another_purpose_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sojourn.security.binding._PURPOSE", b"another")
    other = FIXED.issue(KEY, "inc", fingerprint="agent")
    monkeypatch.undo()
    assert refused(FIXED, other, KEY, "inc", "agent") == "forged"


# ── time ───────────────────────────────────────────────────────────────────────────────────────


def test_a_token_expires(bindings: Bindings, clock: Clock) -> None:
    token = bindings.issue(KEY, "inc")
    clock.now = 1_764_000_099.9
    bindings.check(token, KEY, "inc")
    clock.now = 1_764_000_100.0
    assert refused(bindings, token, KEY, "inc") == "outdated"
    assert refused(bindings, token, KEY, "other") == "forged"


def test_a_shorter_ttl_counts_for_what_was_issued_before(bindings: Bindings, clock: Clock) -> None:
    token = bindings.issue(KEY, "inc")
    shorter = Bindings(Keyring(SECRETS), ttl=10, clock=clock)
    longer = Bindings(Keyring(SECRETS), ttl=1000, clock=clock)
    clock.now += 50
    assert refused(shorter, token, KEY, "inc") == "outdated"
    longer.check(token, KEY, "inc")
    clock.now += 50
    assert refused(longer, token, KEY, "inc") == "outdated"


def test_a_clock_may_be_a_little_ahead(bindings: Bindings, clock: Clock) -> None:
    token = bindings.issue(KEY, "inc")
    clock.now -= 55
    bindings.check(token, KEY, "inc")
    clock.now -= 10
    assert refused(bindings, token, KEY, "inc") == "outdated"


# ── secrets ────────────────────────────────────────────────────────────────────────────────────


def test_an_old_secret_is_good_until_it_is_taken_out(bindings: Bindings, clock: Clock) -> None:
    old = bindings.issue(KEY, "inc")
    both = Bindings(Keyring(SECRETS, current="k2"), ttl=100, clock=clock)
    new = both.issue(KEY, "inc")
    assert (old.split(".")[1], new.split(".")[1]) == ("k1", "k2")
    for token in (old, new):
        both.check(token, KEY, "inc")
        bindings.check(token, KEY, "inc")
    after = Bindings(Keyring({"k2": SECRETS["k2"]}), ttl=100, clock=clock)
    after.check(new, KEY, "inc")
    assert refused(after, old, KEY, "inc") == "outdated"


def test_another_secret_of_the_same_id_is_another_secret(clock: Clock) -> None:
    other = Bindings(Keyring({"k1": b"x" * 32}), ttl=100, clock=clock)
    assert refused(other, TOKEN, KEY, "inc", "agent") == "forged"


def test_a_keyring_is_read_from_text(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Keyring.new_secret(), Keyring.new_secret()
    for text in (f"b:{one},a:{two}", f" b:{one}=\n\ta:{two} ", f"b:{one}, a:{two},"):
        ring = Keyring.parse(text)
        assert ring.current == "b"
        assert "a" in ring
        monkeypatch.setenv("SOJOURN_BINDING_KEYS", text)
        assert Keyring.from_environment().sign("a", b"p") == ring.sign("a", b"p")
    assert ring.sign("a", b"p") != ring.sign("b", b"p")


SECRET = "TopSecretTopSecretTopSecretTopSecretTopSecret"


@pytest.mark.parametrize(
    "text",
    [
        *(SECRET, f"a:{SECRET[:20]}", f":{SECRET}", f"a:{SECRET},a:{SECRET}", f"a b:{SECRET}"),
        *(f"a:{SECRET}!", f"a:{SECRET}é", f"{SECRET}:a", f"{'a' * 17}:{SECRET}"),
    ],
)
def test_a_wrong_text_is_refused_and_not_repeated(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYS", text)
    for read in (lambda: Keyring.parse(text), lambda: Keyring.from_environment("KEYS")):
        with pytest.raises(ConfigurationError) as caught:
            read()
        assert "TopSecret" not in repr(caught.value)
        assert caught.value.__context__ is None
    assert "KEYS" in str(caught.value)


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOJOURN_BINDING_KEYS", raising=False)
    with pytest.raises(ConfigurationError, match="SOJOURN_BINDING_KEYS is not set"):
        Keyring.from_environment()


NO_SECRETS: list[Any] = [
    *({}, {"": b"1" * 32}, {"a.b": b"1" * 32}, {"a\n": b"1" * 32}),
    *({"a": b"1" * 31}, {"a": "1" * 32}, {7: b"1" * 32}),
]


@pytest.mark.parametrize("wrong", NO_SECRETS)
def test_a_keyring_without_a_good_secret_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput):
        Keyring(wrong)
    with pytest.raises(InvalidInput):
        Keyring(SECRETS, current="k3")


def test_nothing_shows_a_secret() -> None:
    ring = Keyring({"a": b"TopSecret" * 4})
    assert repr(ring) == str(ring) == "Keyring(current='a', ids=['a'])"
    assert "TopSecret" not in repr(Bindings(ring))


# ── refusals ───────────────────────────────────────────────────────────────────────────────────


def test_every_refusal_costs_one_signature_and_one_comparison(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    done: list[str] = []
    sign, compare = Keyring.sign, hmac.compare_digest

    def signing(self: Keyring, *fields: Any) -> bytes:
        done.append("sign")
        return sign(self, *fields)

    def comparing(one: Any, two: Any) -> bool:
        done.append(f"compare {len(one)} with {len(two)}")
        return compare(one, two)

    monkeypatch.setattr(Keyring, "sign", signing)
    monkeypatch.setattr(hmac, "compare_digest", comparing)
    bindings = Bindings(Keyring(SECRETS), ttl=100, clock=clock)
    others = (TOKEN[:-1], TOKEN[:-1] + "!", TOKEN.replace("k1", "k9"), "", None, b"", "x" * 10**6)
    for shown, client, later in (
        (TOKEN, "agent", 1000),
        (TOKEN, "other", 0),
        *((other, "agent", 0) for other in others),
    ):
        clock.now = NOW + later
        done.clear()
        refused(bindings, shown, KEY, "inc", client)
        assert done == ["sign", "compare 43 with 43"]


def test_a_refusal_is_logged_and_counted_without_ids(clock: Clock) -> None:
    key = SessionKey.of("shop", "gwen", "8e42w")  # no hexadecimal digits alone
    decisions: list[Decision] = []
    log = AccessLog(decisions.append)
    bindings = Bindings(Keyring(SECRETS), ttl=100, clock=clock, log=log)
    token = bindings.issue(key, "inc")
    bindings.check(token, key, "inc")
    assert decisions == []
    refused(bindings, "forged", key, "inc", peer="10.0.0.1")
    clock.now += 1000
    refused(bindings, token, key, "inc")
    assert [(each.action, each.outcome, each.reason) for each in decisions] == [
        ("bindings.check", "refused", "forged"),
        ("bindings.check", "refused", "outdated"),
    ]
    assert log.counts == {("refused", "forged"): 1, ("refused", "outdated"): 1}
    assert decisions[0].session == log.pseudonym(key.app, key.session)
    assert decisions[0].peer == log.pseudonym("10.0.0.1")
    for word in (*key, "inc", token, "10.0.0.1"):
        assert word not in repr([each._replace(time="", action="") for each in decisions])


def test_an_error_of_the_callers_is_no_refusal(bindings: Bindings) -> None:
    wrong: list[tuple[Any, ...]] = [(KEY, ""), (KEY, None), (KEY, "inc", b"agent")]
    for given_ in wrong:
        with pytest.raises(InvalidInput):
            bindings.check(TOKEN, *given_)
    with pytest.raises(InvalidId):
        bindings.issue(tuple(KEY), "inc")  # type: ignore[arg-type]
    for ttl in (0, 0.5, -1, None, "1", 10**11, float("nan")):
        with pytest.raises(InvalidInput):
            Bindings(Keyring(SECRETS), ttl=ttl)  # type: ignore[arg-type]


def test_an_error_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(InvalidBinding(reason="forged")))
    assert (str(again), again.reason) == ("The session's binding is not valid.", "forged")


# ── with a store ───────────────────────────────────────────────────────────────────────────────


async def test_a_rotation_and_a_successor_end_the_bindings_of_a_session() -> None:
    bindings = Bindings(Keyring({"a": secrets.token_bytes(32)}))
    async with sojourn.open("memory://") as store:
        made = await store.sessions.create("shop", "ada", "s")
        token = bindings.issue(made.key, made.incarnation)
        done = await store.rotate(made.key)
        refused(bindings, token, done.key, done.incarnation)
        refused(bindings, token, made.key, done.incarnation)
        again = await store.sessions.create("shop", "ada", "s")
        refused(bindings, token, again.key, again.incarnation)
        bindings.check(bindings.issue(done.key, done.incarnation), done.key, done.incarnation)
