"""Credentials are found when an endpoint asks for them; why there are none is in the log, and no secret is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kemi.credentials import CredentialFinder
from routing.secrets import Secret, seal
from routing.settings import make_settings
from routing.store import MemoryStore, StoreUnavailable
from routing.targets import Target

if TYPE_CHECKING:
    from tests.fake_ksr import FakeKsr

POOL = {"name": "p", "numbers": ["*"], "agents": [{"uri": "sip:a@127.0.0.1"}]}
VALUE = "hunter2-hunter2"
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
URI = "sip:10%2301@pbx.example.com"


def finder(*endpoints: Any, key: str | None = None) -> CredentialFinder:
    """A worker's finder, with the target "support"."""
    store = MemoryStore()
    if endpoints:
        store.put_target("support", Target.make({"name": "support", "endpoints": endpoints}).to_json())
    return CredentialFinder(make_settings({"pools": [POOL], "security": {"key": key}}), store)


def log(ksr: FakeKsr) -> str:
    text = "".join(line for _, line in ksr.log)
    assert VALUE not in text
    assert KEY not in text
    return text


def test_user_and_secret_are_those_of_the_endpoint(ksr: FakeKsr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBX", VALUE)
    other = {"uri": "sip:b@h", "user": "bob", "secret": Secret.of("other")}
    found = finder(other, {"uri": URI, "user": "alice", "secret": "env:PBX"}).find("support", URI)
    assert found is not None
    assert (found.user, found.secret.reveal()) == ("alice", VALUE)
    assert VALUE not in repr(found)
    assert log(ksr) == ""


def test_without_a_user_it_is_that_of_the_uri(ksr: FakeKsr) -> None:
    del ksr
    found = finder({"uri": URI, "secret": Secret.of(VALUE)}).find("support", URI)
    assert found is not None
    assert found.user == "10#01"


@pytest.mark.parametrize(("user", "known_as"), [("alice", "alice"), (None, "+493012345678")])
def test_a_telephone_number_has_those_of_its_endpoint_on_the_trunk(
    ksr: FakeKsr, user: str | None, known_as: str
) -> None:
    store = MemoryStore()
    endpoint = {"uri": "tel:+49-30-12345678", "user": user, "secret": Secret.of(VALUE)}
    store.put_target("support", Target.make({"name": "support", "endpoints": [endpoint]}).to_json())
    trunk = {"name": "carrier", "addresses": ["192.0.2.1"], "uri": "sip:trunk.example"}
    found = CredentialFinder(make_settings({"pools": [POOL], "trunks": [trunk]}), store)
    for uri, by_host in (("sip:+493012345678@trunk.example;user=phone", False), ("sip:x@trunk.example", True)):
        login = found.find("support", uri, by_host=by_host)
        assert login is not None
        assert (login.user, login.secret.reveal()) == (known_as, VALUE)
    assert log(ksr) == ""


def test_a_sealed_secret_is_opened_with_the_key(ksr: FakeKsr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", KEY)
    sealed = seal(Secret.of(VALUE), Secret.of(KEY))
    found = finder({"uri": URI, "secret": sealed}, key="env:KEY").find("support", URI)
    assert found is not None
    assert found.secret == Secret.of(VALUE)
    assert log(ksr) == ""


def test_an_endpoint_without_credentials_is_told_with_the_command_that_gives_them(ksr: FakeKsr) -> None:
    assert finder(URI).find("support", URI) is None
    assert "handoff targets set support --user NAME --secret-prompt" in log(ksr)


@pytest.mark.parametrize("asked", [("support", "sip:10%2301@elsewhere.example"), ("sales", URI)])
def test_nobody_else_gets_the_credentials_of_an_endpoint(ksr: FakeKsr, asked: tuple[str, str]) -> None:
    assert finder({"uri": URI, "secret": Secret.of(VALUE)}).find(*asked) is None
    assert f"target={asked[0]} endpoint={asked[1]} asks for credentials, and there are none" in log(ksr)


def test_a_secret_that_cannot_be_used_is_one_line_in_the_log(ksr: FakeKsr) -> None:
    for secret in ("env:NOT_SET_ANYWHERE", seal(Secret.of(VALUE), Secret.of(KEY))):
        assert finder({"uri": URI, "secret": secret}).find("support", URI) is None
    first, second = log(ksr).splitlines()
    assert "the environment variable NOT_SET_ANYWHERE is not set; set it" in first
    assert "no key is configured; configure the key as security.key" in second


def test_a_target_that_cannot_be_read_is_one_line_in_the_log(ksr: FakeKsr) -> None:
    store = MemoryStore()
    store.put_target("support", b'{"name": "support", "endpoints": [{"uri": "sip:a@h", "secret": "hunter2-hunter2"}]}')
    assert CredentialFinder(make_settings({"pools": [POOL]}), store).find("support", "sip:a@h") is None
    assert log(ksr).count("\n") == 1
    assert "endpoints[0].secret" in log(ksr)


def test_redis_away_is_one_line_in_the_log(ksr: FakeKsr, monkeypatch: pytest.MonkeyPatch) -> None:
    here = finder(URI)

    def away(_: str) -> None:
        raise StoreUnavailable("127.0.0.1:6379", "refused")

    monkeypatch.setattr(here._store, "target", away)
    assert here.find("support", URI) is None
    assert log(ksr).count("\n") == 1


def test_a_key_that_cannot_be_used_is_told_when_the_worker_begins(
    ksr: FakeKsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", VALUE)
    finder(URI, key="env:KEY")
    assert "secrets of targets cannot be decrypted: security.key is not 32 bytes in base64" in log(ksr)


def test_a_trunk_has_a_login_of_its_own(ksr: FakeKsr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRIER", VALUE)
    login = {"user": "us", "secret": "env:CARRIER"}
    trunks = [{"name": "carrier", "addresses": ["192.0.2.1"], **login}, {"name": "other", "addresses": ["192.0.2.2"]}]
    finder = CredentialFinder(make_settings({"pools": [POOL], "trunks": trunks}), MemoryStore())
    found = finder.for_trunk("carrier")
    assert found is not None
    assert (found.user, found.secret.reveal()) == ("us", VALUE)
    assert finder.for_trunk("other") is None
    assert "trunk=other asks who sends it a REFER: give it user and secret" in log(ksr)
    monkeypatch.delenv("CARRIER")
    assert finder.for_trunk("carrier") is None
    assert "CARRIER is not set" in log(ksr)
