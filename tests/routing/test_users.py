"""Users: how they are named, kept and found."""

from __future__ import annotations

import json

import pytest

from routing.digest_server import Keys
from routing.secrets import Secret, unseal
from routing.settings_model import Users
from routing.texts import BadValue
from routing.users import Contact, User, check_user_name, listed, read_contacts, read_keys, user_of

USERS = Users(domains=("handoff.local", "other.example"))
ALICE = "alice@handoff.local"
KEY = Secret.of("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")


def test_a_user_is_kept_by_keys_that_can_be_sealed() -> None:
    user = User.of(ALICE, "secret")
    assert read_keys(user.keys) == Keys.of("alice", "handoff.local", "secret")
    sealed = User.from_json(ALICE, user.sealed(KEY).to_json())
    assert read_keys(unseal(sealed.keys, KEY)) == read_keys(user.keys)
    assert "secret" not in f"{user!r}{user.to_json()!r}"


@pytest.mark.parametrize("data", [b"x", b"{}", b"[]", b'{"keys": 5}', b'{"keys": "hidden"}'])
def test_a_user_that_cannot_be_read_is_told_with_the_mend(data: bytes) -> None:
    with pytest.raises(BadValue, match=r"handoff users passwd alice@handoff\.local"):
        User.from_json(ALICE, data)


@pytest.mark.parametrize("text", ["x", f"{'a' * 32}:b", f"a:{'b' * 64}"])
def test_keys_that_are_spoilt_are_told(text: str) -> None:
    with pytest.raises(BadValue, match="spoilt"):
        read_keys(Secret.of(text))


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("sip:alice@handoff.local", ALICE),
        ("sips:alice@HANDOFF.local:5061;transport=tls", ALICE),
        ("sip:%61lice:password@other.example", "alice@other.example"),
        ("sip:alice;x=1@handoff.local", ALICE),
        ("sip:handoff.local", "@handoff.local"),
        ("sip:alice@example.com", None),
        ("tel:+4930", None),
        ("", None),
    ],
)
def test_a_uri_at_a_domain_of_ours_means_a_user(uri: str, user: str | None) -> None:
    assert user_of(uri, USERS) == user


def test_without_domains_nobody_is_a_user() -> None:
    assert user_of("sip:alice@handoff.local", Users()) is None
    with pytest.raises(BadValue, match="no domain for users"):
        check_user_name("alice", Users())


def test_a_name_without_a_domain_belongs_to_the_first() -> None:
    assert check_user_name("alice", USERS) == ALICE
    assert check_user_name("alice@Other.example", USERS) == "alice@other.example"
    with pytest.raises(BadValue, match="did you mean"):
        check_user_name("alice@other.exampl", USERS)
    with pytest.raises(BadValue, match="is not a name"):
        check_user_name("al ice", USERS)


def contact(uri: str, **fields: object) -> bytes:
    return json.dumps({"uri": uri, "expires_at": 2000.0, **fields}).encode()


def test_contacts_are_read_best_first_without_those_whose_time_is_over() -> None:
    entries = [
        contact("sip:b"),
        contact("sip:a"),
        contact("sip:first", q=2.0),
        contact("sip:late", expires_at=1000.0),
        b"another version",
    ]
    assert [each.uri for each in read_contacts(entries, 1000.0)] == ["sip:first", "sip:a", "sip:b"]
    found = listed(["b", "a"], {"a": entries}, 1000.0)
    assert [(name, len(phones)) for name, phones in found.items()] == [("a", 3), ("b", 0)]


def test_a_phone_that_registered_at_a_node_of_a_newer_version_is_reached() -> None:
    newer = contact("sip:a").replace(b"{", b'{"instance": "urn:uuid:1", ', 1)
    assert [each.uri for each in read_contacts([newer], 1000.0)] == ["sip:a"]


@pytest.mark.parametrize(
    ("uri", "hop", "transport"),
    [
        ("sip:a@1.2.3.4", "", "udp"),
        ("sip:a@1.2.3.4;transport=tcp", "", "tcp"),
        ("sip:a@x.invalid;transport=ws", "sip:1.2.3.4:9;transport=wss", "wss"),
        ("sips:a@1.2.3.4", "", "tls"),
    ],
)
def test_a_contact_tells_its_transport(uri: str, hop: str, transport: str) -> None:
    assert Contact(uri=uri, hop=hop, expires_at=0).transport == transport


def test_a_contact_by_websocket_tells_whether_it_came_over_tls() -> None:
    page = Contact(uri="sip:a@x.invalid", hop="sip:192.0.2.1:9;transport=ws", expires_at=0)
    assert page.transport == "ws"
    assert page.model_copy(update={"secure": True}).transport == "wss"
