"""Training: dictionaries that help, and of what users share only what many of them share."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sojourn.codecs import dictionary_training
from sojourn.codecs.compression import SHIPPED, Dictionary, Zstd, shipped
from sojourn.codecs.dictionary_training import content_of, shared_pieces, train, train_on_shared

WORDS = ["depot", "crate", "pallet", "forklift", "manifest", "gantry", "quay", "berth", "tonnage"]
REPORT = "The gantry at berth nine moved forty crates from the quay to the depot"


def sample(rng: random.Random, text: str = "") -> bytes:
    """A value of an app that no shipped dictionary knows."""
    words = " ".join(rng.choices(WORDS, k=12))
    return (
        f'{{"vessel":"MV-{rng.getrandbits(40):x}","cargo_manifest":"{words}",'
        f'"harbour_report":"{REPORT}. {text}","customs_cleared":{str(rng.random() < 0.5).lower()}}}'
    ).encode()


def of_users(count: int, each: int = 10) -> dict[str, list[bytes]]:
    rng = random.Random(7)
    return {f"u{n}": [sample(rng) for _ in range(each)] for n in range(count)}


def size(dictionary: Dictionary, values: list[bytes]) -> int:
    """Bytes that values have when they are compressed with it. They come back as they were."""
    zstd, total = Zstd([dictionary], writes_with=dictionary.id), 0
    for value in values:
        encoding, body = zstd.compress(value) or ("", b"")
        assert encoding == f"zstd:{dictionary.id}"
        assert zstd.decompress(encoding, body, 10_000) == value
        total += len(body)
    return total


def test_a_trained_dictionary_makes_values_smaller_than_the_shipped_one() -> None:
    users = of_users(60)
    values = [sample(random.Random(n)) for n in range(1_000, 1_100)]
    before = size(shipped()[SHIPPED], values)
    assert size(train([each for user in users.values() for each in user]), values) < 0.5 * before
    assert size(train_on_shared(users), values) < 0.5 * before


def test_the_same_samples_give_the_same_dictionary() -> None:
    users = of_users(25, each=6)
    turned = dict(reversed(users.items()))
    assert train_on_shared(users).id == train_on_shared(turned).id
    samples = [each for user in users.values() for each in user]
    assert train(samples).id == train(samples).id


def test_nothing_that_fewer_users_have_is_in_it() -> None:
    """Neither a secret, nor words that each are common, in an order that is not."""
    users, rng = of_users(30, each=5), random.Random(1)
    secrets = {user: f"hunter{rng.getrandbits(60)}" for user in users}
    rare = "pallet tonnage berth depot forklift"  # 19 users say so, ten times
    common = "berth pallet crate gantry tonnage"
    for number, (user, values) in enumerate(users.items()):
        values += [sample(rng, f"{secrets[user]} {common}") for _ in range(10)]
        values += [sample(rng, rare) for _ in range(10) if number < 19]
    content = content_of(train_on_shared(users).content)
    assert common.encode() in content
    assert rare.encode() not in content
    assert not [secret for secret in secrets.values() if secret.encode() in content]
    # The same in all samples, whoever they are of, is what the test must be able to find.
    everybodys = content_of(train([each for user in users.values() for each in user]).content)
    assert rare.encode() in everybodys


tokens = some.lists(some.sampled_from("abcde"), max_size=12).map(" ".join).map(str.encode)
samples = some.lists(tokens, max_size=4)


@given(some.dictionaries(some.text("xyz", min_size=1), samples, max_size=6), some.integers(1, 4))
def test_a_piece_is_what_so_many_users_have_and_nothing_else(
    users: dict[str, list[bytes]], seen_by: int
) -> None:
    found = shared_pieces(users, seen_by)
    for piece in found:
        assert sum(any(piece in text for text in texts) for texts in users.values()) >= seen_by
    for texts in users.values():
        for text in texts:
            for first in range(len(text)):  # a token here is a byte
                for length in (2, 3, 4, 6, 8):
                    piece = text[first : first + length]
                    owners = sum(any(piece in each for each in all_) for all_ in users.values())
                    if len(piece) == length and owners >= seen_by:
                        assert found[piece] > 0


def test_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="100 samples"):
        train([b"{}"] * 99)
    with pytest.raises(ValueError, match="8,192 bytes"):
        train([b"{}"] * 200)
    with pytest.raises(ValueError, match="19 users"):
        train_on_shared(of_users(19))
    with pytest.raises(ValueError, match="100 samples"):
        train_on_shared(of_users(20, each=1))


def test_it_is_not_larger_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    users = of_users(30, each=10)
    every = [each for user in users.values() for each in user]
    assert len(train(every, 4_096).content) <= 4_096
    assert len(train_on_shared(users, 33_000).content) <= 33_000
    monkeypatch.setattr(dictionary_training, "_CANDIDATES", 3)
    assert size(train_on_shared(users), every[:50]) > 0
