"""Users are called at their phones, wherever these came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kemi.reaching import AWAY, UNKNOWN, at_source, contact_of, mend_response, phones_of
from routing.settings import make_settings
from routing.store import MemoryStore
from routing.transfer_record import Destination, Registered
from routing.users import Contact
from tests.fake_message import FakeMessage

if TYPE_CHECKING:
    from tests.fake_ksr import FakeKsr

ALICE, NOW = "alice@handoff.local", 1000.0
POOL = {"name": "p", "numbers": ["*"], "agents": [{"uri": "sip:a@127.0.0.1"}]}
SETTINGS = make_settings({"pools": [POOL], "users": {"domains": ["handoff.local"]}})
RESPONSE = """\
SIP/2.0 200 OK
From: <sip:caller@192.0.2.1>;tag=c
To: <{to}>;tag=t
Call-ID: x
CSeq: 1 {method}
Contact: <sip:alice@10.0.0.1:5060;transport=udp;ob>
{more}
"""


def called(store: MemoryStore, uri: str = f"sip:{ALICE}") -> list[Destination]:
    return phones_of(SETTINGS, store, Destination(uri=uri, ring_timeout=20.0, max_calls=2), NOW)


def kept(*phones: Contact) -> MemoryStore:
    store = MemoryStore()
    store.put_user(ALICE, b"{}")
    store.keep_contacts(ALICE, "node1", {each.uri: each.model_dump_json().encode() for each in phones}, 60)
    return store


def test_another_uri_is_called_at_itself() -> None:
    """The store is not even asked."""
    assert called(MemoryStore(), "sip:alice@example.com") == [
        Destination(uri="sip:alice@example.com", ring_timeout=20.0, max_calls=2)
    ]


def test_a_user_is_called_at_all_phones_together() -> None:
    """Each at the far end of its way; one whose time is over is not called."""
    desk = Contact(uri="sip:alice@10.0.0.1", hop="sip:192.0.2.1:9;transport=tcp", expires_at=NOW + 1, q=0.5)
    mobile = Contact(uri="sip:m@192.0.2.2", expires_at=NOW + 1)
    late = Contact(uri="sip:l@192.0.2.3", expires_at=NOW)
    first, second = called(kept(desk, mobile, late))
    assert first.max_calls == second.max_calls == 2
    assert (first.uri, first.together) == ("sip:m@192.0.2.2", False)
    assert first.registered == Registered(user=f"sip:{ALICE}", hop="sip:m@192.0.2.2")
    assert (second.uri, second.together) == ("sip:alice@10.0.0.1", True)
    assert second.registered == Registered(user=f"sip:{ALICE}", hop="sip:192.0.2.1:9;transport=tcp")


def test_who_is_not_there_need_not_be_tried() -> None:
    """404 for whom nobody knows, 480 for who is registered nowhere."""
    assert [each.refusal for each in called(MemoryStore())] == [UNKNOWN]
    assert [each.refusal for each in called(kept())] == [AWAY]


def test_a_sips_uri_is_for_phones_with_tls_alone() -> None:
    """RFC 5630 section 3.1."""
    plain = Contact(uri="sip:a@192.0.2.1", hop="sip:192.0.2.1:9;transport=tcp", expires_at=NOW + 1)
    secure = Contact(uri="sip:b@192.0.2.1", hop="sip:192.0.2.1:9;transport=tls", expires_at=NOW + 1)
    assert [each.uri for each in called(kept(plain, secure), f"sips:{ALICE}")] == ["sip:b@192.0.2.1"]
    assert [each.refusal for each in called(kept(plain), f"sips:{ALICE}")] == [AWAY]


@pytest.mark.parametrize(
    ("contact", "address", "proto", "reached"),
    [
        ("sip:alice@10.0.0.1:5060;ob", "192.0.2.1", "udp", "sip:alice@192.0.2.1:9;ob"),
        ("sip:alice@10.0.0.1;transport=TCP;ob", "192.0.2.1", "tcp", "sip:alice@192.0.2.1:9;ob;transport=tcp"),
        ("sips:x@abc.invalid", "2001:db8::1", "tls", "sips:x@[2001:db8::1]:9;transport=tls"),
        ("sip:10.0.0.1", "192.0.2.1", "ws", "sip:192.0.2.1:9;transport=ws"),
    ],
)
def test_a_contact_is_put_where_its_message_came_from(
    ksr: FakeKsr, contact: str, address: str, proto: str, reached: str
) -> None:
    """User and parameters stay: by them a phone knows itself."""
    text = RESPONSE.format(to=f"sip:{ALICE}", method="INVITE", more="")
    ksr.receive(FakeMessage.parse(text, source=(address, 9), proto=proto))
    assert at_source(contact) == reached


def test_only_phones_of_our_users_without_a_proxy_are_put_so(ksr: FakeKsr) -> None:
    """All others know best how they are reached."""
    own = "sip:alice@10.0.0.1:5060;transport=udp;ob"
    for to, more, contact in (
        (f"sip:{ALICE}", "", "sip:alice@127.0.0.1:5080;ob"),
        ("sip:alice@example.com", "", own),
        (f"sip:{ALICE}", "Record-Route: <sip:192.0.2.9;lr>\n", own),
    ):
        ksr.receive(RESPONSE.format(to=to, method="INVITE", more=more))
        assert contact_of(SETTINGS, f"<{to}>") == contact


@pytest.mark.parametrize(
    ("to", "method", "mends"),
    [
        (f"sip:{ALICE}", "INVITE", True),
        (f"sip:{ALICE}", "BYE", False),
        ("sip:alice@example.com", "INVITE", False),
    ],
)
def test_a_response_is_mended_where_that_is_needed(ksr: FakeKsr, to: str, method: str, mends: bool) -> None:
    """tm reads it afterwards."""
    ksr.receive(RESPONSE.format(to=to, method=method, more=""))
    ksr.allow("hdr.remove", "hdr.append", "textopsx.msg_apply_changes")
    mend_response(SETTINGS)
    added = [("Contact: <sip:alice@127.0.0.1:5080;ob>\r\n",)] if mends else []
    assert ksr.called("hdr.append") == added
    assert len(ksr.called("textopsx.msg_apply_changes")) == len(added)
