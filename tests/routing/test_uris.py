"""SIP URIs as places: transport, host, and numbers on a trunk."""

from __future__ import annotations

import pytest

from routing.texts import BadValue
from routing.uris import check_agent, check_trunk, host_of, is_web, may_be_tls, on_trunk, transport_of

TRUNK = "sip:carrier.example:5070;transport=tcp"


@pytest.mark.parametrize(
    ("uri", "sent_to"),
    [
        ("tel:+49-30-(12)34", "sip:+49301234@carrier.example:5070;transport=tcp;user=phone"),
        (
            "tel:1001;phone-context=pbx.example",
            "sip:1001;phone-context=pbx.example@carrier.example:5070;transport=tcp;user=phone",
        ),
        ("sip:+49301234@provider.example", "sip:+49301234@provider.example"),
    ],
)
def test_a_number_goes_to_the_trunk_and_a_sip_uri_where_it_says(uri: str, sent_to: str) -> None:
    assert on_trunk(uri, TRUNK) == sent_to


def test_without_a_trunk_a_number_is_not_found() -> None:
    with pytest.raises(BadValue, match="no trunk takes 'tel:\\+49'") as refused:
        on_trunk("tel:+49", None)
    assert refused.value.status == 404


def test_a_trunk_has_no_user_and_an_agent_a_host() -> None:
    assert check_trunk(TRUNK) == TRUNK
    with pytest.raises(BadValue, match="has a user"):
        check_trunk("sip:me@carrier.example")
    with pytest.raises(BadValue, match="names no host"):
        check_agent("tel:+49")


@pytest.mark.parametrize(
    ("uri", "transport", "host", "may_be_secure"),
    [
        ("sip:bob@Host.Example", "", "host.example", True),
        ("sip:bob@host.example:5060", "", "host.example", False),
        ("sip:bob@192.0.2.1", "", "192.0.2.1", False),
        ("sip:[2001:DB8::0:1]:5060", "", "2001:db8::1", False),
        ("sip:a;transport=tls@h;x;Transport = TCP", "tcp", "h", False),
        ("sip:bob@h;transport=tls", "tls", "h", True),
        ("sips:bob@192.0.2.1:5061;transport=tcp", "tls", "192.0.2.1", True),
        ("SIPS:h", "tls", "h", True),
    ],
)
def test_transport_and_host_are_read_from_a_uri(uri: str, transport: str, host: str, may_be_secure: bool) -> None:
    assert (transport_of(uri), host_of(uri), may_be_tls(uri)) == (transport, host, may_be_secure)


@pytest.mark.parametrize(("transport", "web"), [("ws", True), ("wss", True), ("tcp", False)])
def test_a_web_page_is_known_by_its_transport(transport: str, web: bool) -> None:
    assert is_web(f"sip:alice@page.invalid;transport={transport}") is web
