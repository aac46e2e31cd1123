"""The address of Redis as people write it."""

from __future__ import annotations

import pytest

from routing.store import open_store
from routing.store.address import Address


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://localhost", "http://localhost is no address of a Redis server"),
        ("unix://", "is no address"),
        ("redis://me:secret@localhost?ssl_ca_certs=x", r"redis://localhost\?ssl_ca_certs=x has the unknown option"),
        ("redis://localhost/x", "names the database 'x', which is no number"),
    ],
)
def test_a_url_that_is_none_is_told_without_its_password(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)
    assert "write unix:///path" in str(caught.value)


def test_an_address_shows_where_but_not_who() -> None:
    assert str(Address.parse("redis://me:secret@redis.example.com")) == "redis.example.com:6379"
    assert Address.parse("redis://me:s%2Fx@h:1/2").greeting() == [("AUTH", "me", "s/x"), ("SELECT", 2)]
    assert str(Address.parse("unix:///run/a%20b.sock?db=1")) == "/run/a b.sock"
