"""Texts that tools give for errors of the store: typed, and without what the server said."""

from __future__ import annotations

import pytest

from sojourn import errors
from sojourn.surfaces.mcp.failures import text_of


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.KeyMissing("secret", key_id="0123"), "sealed with a key"),
        (errors.DictionaryMissing("secret", dictionary="d"), "compressed with a dictionary"),
        (errors.NewerFormat("secret", found="2", known="1"), "newer version"),
        (errors.Tampered("secret", key="k", raw=b"secret"), "changed or moved"),
        (errors.CorruptRecord("secret", key="k", raw=b"secret"), "cannot be read"),
        (errors.Undecodable("secret"), "refuses to work"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_each_error_has_a_text_of_its_own(error: errors.SojournError, said: str) -> None:
    assert said in text_of(error)
    assert "secret" not in text_of(error)
