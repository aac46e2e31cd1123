"""Which way a copied message went, and over what, is told from our places and the top Via."""

from __future__ import annotations

import pytest

from cli.traces.direction import OurPlaces
from cli.traces.hep import Copied
from cli.traces.parties import make_trace
from routing.settings import make_settings
from tests.cli.operator import POOL
from tests.cli.test_traces import AGENT, CALLER, INVITE, message

HERE = "127.0.0.1"
LISTEN = [f"udp:{HERE}:5060", f"tcp:{HERE}:5060", f"ws:{HERE}:8080", f"wss:{HERE}:8443", "udp:[2001:db8::1]:5060"]
OURS, THEIRS, OPENED = (HERE, 5060), (HERE, 5070), (HERE, 40001)
ASKED, ANSWERED = "NOTIFY sip:a@h SIP/2.0", "SIP/2.0 200 OK"


def judge(
    first: str, via: str, source: tuple[str, int], destination: tuple[str, int], transport: str, **sip: object
) -> tuple[bool, str, tuple[str, int]]:
    listen = {"listen": LISTEN, "advertise": "203.0.113.5:5060"} | sip
    places = OurPlaces(
        make_settings({"pools": [POOL], "sip": listen, "tls": {"certificate": "/c.pem", "key": "/k.pem"}})
    )
    text = f"{first}\r\n{via}\r\nVia: SIP/2.0/UDP far.example.com\r\n\r\n".encode()
    sent, copied = places.judge(Copied(1.0, source, destination, transport, text))
    return sent, copied.transport, copied.source


OUR_VIA, THEIR_VIA = f"Via: SIP/2.0/TCP {HERE}:5060;branch=x", f"Via: SIP/2.0/TCP {HERE}:5070;branch=x"


@pytest.mark.parametrize(
    ("first", "via", "source", "destination", "transport", "sent", "over"),
    [
        (ASKED, THEIR_VIA, THEIRS, OURS, "udp", False, "udp"),
        (ANSWERED, THEIR_VIA, OURS, THEIRS, "udp", True, "udp"),
        (ASKED, OUR_VIA, OPENED, THEIRS, "tcp", True, "tcp"),
        (ANSWERED, OUR_VIA, THEIRS, OPENED, "tcp", False, "tcp"),
        (ASKED, THEIR_VIA, THEIRS, OPENED, "tcp", False, "tcp"),
        (ANSWERED, THEIR_VIA, OPENED, THEIRS, "tcp", True, "tcp"),
        (ANSWERED, "v : SIP / 2.0 / TLS 203.0.113.5;branch=x", THEIRS, OPENED, "tls", False, "tls"),
        (ANSWERED, "Via: SIP/2.0/UDP [2001:DB8::1]:5060", ("::2", 5060), ("2001:db8::1", 5060), "udp", False, "udp"),
        (ASKED, "Via: SIP/2.0/WSS page.invalid;branch=x", THEIRS, (HERE, 8080), "tls", False, "ws"),
        (ANSWERED, "Via: SIP/2.0/WSS page.invalid;branch=x", (HERE, 8443), THEIRS, "tls", True, "wss"),
        (ASKED, "X: y", THEIRS, OPENED, "tls", False, "tls"),
        (ASKED, f"Via: SIP/2.0/UDP far.example.com:{'9' * 5000}", THEIRS, OURS, "udp", False, "udp"),
    ],
)
def test_the_way_is_told_by_our_places_or_else_by_who_wrote_the_top_via(  # noqa: PLR0917 - a row
    first: str,
    via: str,
    source: tuple[str, int],
    destination: tuple[str, int],
    transport: str,
    sent: bool,
    over: str,
) -> None:
    assert judge(first, via, source, destination, transport)[:2] == (sent, over)


def test_what_goes_to_a_page_left_from_the_place_of_its_websocket() -> None:
    """Kamailio names the place for TCP, and writes the Via with it."""
    via = f"Via: SIP/2.0/WSS {HERE}:5060;branch=x"
    assert judge(ASKED, via, OURS, THEIRS, "tcp") == (True, "wss", (HERE, 8443))
    two = [*LISTEN, f"wss:{HERE}:9443"]
    assert judge(ASKED, via, OURS, THEIRS, "tcp", listen=two) == (True, "wss", OURS)


def test_where_it_listens_everywhere_the_via_tells() -> None:
    via = "Via: SIP/2.0/UDP 0.0.0.0:5060;branch=x"
    everywhere = {"listen": ["udp:0.0.0.0:5060"], "advertise": None}
    assert judge(ANSWERED, via, THEIRS, OURS, "udp", **everywhere) == (False, "udp", THEIRS)
    assert judge(ASKED, THEIR_VIA, THEIRS, OURS, "udp", **everywhere) == (False, "udp", THEIRS)
    assert judge(ASKED, via, ("0.0.0.0", 5060), THEIRS, "udp", **everywhere)[0]


def test_a_response_whose_via_has_grown_comes_after_its_request() -> None:
    late = message(0.22, INVITE, AGENT, sent=True, via="one")
    answer = message(0.2, ANSWERED, AGENT, sent=False, via="one;received=192.0.2.1", tags="c a")
    trace = make_trace("0" * 16, [message(0.0, INVITE, CALLER, sent=False, via="x"), answer, late])
    assert [step.message.label for step in trace.steps] == ["INVITE", "INVITE", "200 OK (INVITE)"]
