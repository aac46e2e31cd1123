"""Where parties reach us: the Contact for each kind of URI."""

from __future__ import annotations

import pytest

from kemi.places import Places, by_transport
from routing.settings import make_settings

LISTEN = ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5062", "tls:192.0.2.1:5061", "udp:[2001:db8::1]:5060"]
WEB = ["wss:192.0.2.1:8443", "wss:[2001:db8::1]:8443"]
POOLS = [{"name": "agents", "numbers": ["*"], "agents": [{"uri": "sip:agent@192.0.2.9"}]}]
TLS = {"certificate": "/c.pem", "key": "/c.key"}


@pytest.mark.parametrize(
    ("called", "contact"),
    [
        ("sip:bob@h", "<sip:me@192.0.2.1:5060>"),
        ("sip:bob@h;transport=udp", "<sip:me@192.0.2.1:5060>"),
        ("sip:bob@h;transport=tcp", "<sip:me@192.0.2.1:5062;transport=tcp>"),
        ("sip:bob@h;transport=tls", "<sip:me@192.0.2.1:5061;transport=tls>"),
        ("sips:bob@h", "<sips:me@192.0.2.1:5061>"),
        ("sip:bob@[2001:db8::9]", "<sip:me@[2001:db8::1]:5060>"),
        ("sip:bob@192.0.2.7:4;transport=ws", "<sip:me@192.0.2.1:8443;transport=ws>"),
        ("sip:bob@192.0.2.7:4;transport=wss", "<sip:me@192.0.2.1:8443;transport=ws>"),
        ("sip:bob@[2001:db8::9]:4;transport=ws", "<sip:me@[2001:db8::1]:8443;transport=ws>"),
    ],
)
def test_the_contact_is_at_the_place_of_the_transport(called: str, contact: str) -> None:
    settings = make_settings({"sip": {"listen": [*LISTEN, *WEB]}, "tls": TLS, "pools": POOLS})
    assert Places("192.0.2.1:5060", by_transport(settings)).contact("me", called) == contact


def test_behind_nat_tls_keeps_its_port() -> None:
    sip = {"listen": LISTEN, "advertise": "203.0.113.5:5080"}
    places = by_transport(make_settings({"sip": sip, "tls": TLS, "pools": POOLS}))
    assert (places["udp"], places["tls"]) == ("203.0.113.5:5080", "203.0.113.5:5061")
