"""The INVITE and MESSAGE that handoff makes: in which forms they carry a summary, and when they go by TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kemi.outgoing import UDP_LIMIT, Outgoing
from kemi.places import Places
from routing.actions import SendBye, SendMessage, SendNotify
from routing.delivery import header_value, multipart, uui_value
from routing.outcomes import Mode
from routing.records import Party
from routing.transfer_record import Delivery
from rtpengine import FakeRtpengine
from tests.kemi.calls import CALL_ID, anchored, dialog, leg, sdp, transfer

if TYPE_CHECKING:
    from routing.transfer_record import Transfer
    from tests.fake_ksr import FakeKsr

SDP = sdp(6000)
SUMMARY = "Frau Müller wants 100 % back."
URI = "sip:person@127.0.0.1"


@pytest.fixture
def outgoing(ksr: FakeKsr) -> Outgoing:
    """Give what sends requests; Kamailio takes each."""
    ksr.allow("tm.t_uac_send")
    return Outgoing(Places("127.0.0.1:5060", {}), no_reply=4.0, user_agent="handoff")


def summarised(*deliver: Delivery, **changes: object) -> Transfer:
    """Make a transfer in the mode summary."""
    told: dict[str, object] = {"mode": Mode.SUMMARY, "summary": SUMMARY, "deliver": deliver}
    return transfer().model_copy(update=told | changes)


def invite(outgoing: Outgoing, ksr: FakeKsr, wanted: Transfer, uri: str = URI) -> tuple[str, dict[str, str], str]:
    """Send the INVITE; gives the next hop, the header fields and the body."""
    call, to = anchored(FakeRtpengine()), leg().model_copy(update={"uri": uri})
    assert outgoing.invite(call, to, wanted, SDP)
    method, request_uri, hop, socket, lines, body = ksr.called("tm.t_uac_send")[-1]
    assert (method, request_uri, socket) == ("INVITE", uri, "")
    fields = dict(line.split(": ", 1) for line in str(lines).removesuffix("\r\n").split("\r\n"))
    return str(hop), fields, str(body)


def test_without_a_summary_the_invite_is_plain(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """In the mode blind a summary has no effect, and in the mode summary there may be none."""
    every = tuple(Delivery)
    for wanted in (summarised(*every, mode=Mode.BLIND), summarised(*every, summary=""), summarised(Delivery.SPEECH)):
        hop, fields, body = invite(outgoing, ksr, wanted)
        assert (hop, body, fields["Content-Type"]) == ("", SDP, "application/sdp")
        assert "User-to-User" not in fields
        assert "X-Handoff-Summary" not in fields


def test_an_invite_goes_along_its_route(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """To the first of the proxies; all are named."""
    route = "<sip:one@127.0.0.1;lr>, <sip:two@127.0.0.1;lr>"
    ksr.allow("tm.t_uac_send")
    to = leg().model_copy(update={"route": route})
    assert outgoing.invite(anchored(FakeRtpengine()), to, transfer(), SDP)
    ((method, uri, hop, _, lines, _),) = ksr.called("tm.t_uac_send")
    assert (method, uri, hop) == ("INVITE", to.uri, "sip:one@127.0.0.1;lr")
    assert f"Route: {route}\r\n" in str(lines)
    assert "Supported: replaces\r\n" in str(lines)


def test_a_summary_goes_as_header(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """Percent-encoded."""
    _, fields, body = invite(outgoing, ksr, summarised(Delivery.HEADER))
    assert fields["X-Handoff-Summary"] == header_value(SUMMARY)
    assert body == SDP


def test_a_summary_goes_as_user_to_user_data(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """In hex, as RFC 7433 has it."""
    assert invite(outgoing, ksr, summarised(Delivery.UUI))[1]["User-to-User"] == uui_value(SUMMARY)


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        ({"User-to-User": "1234;encoding=hex"}, uui_value(SUMMARY)),
        ({"user-to-user": "1234;purpose=crm"}, f"1234;purpose=crm, {uui_value(SUMMARY)}"),
    ],
)
def test_configured_data_stays_only_beside_a_summary_of_another_package(
    outgoing: Outgoing, ksr: FakeKsr, configured: dict[str, str], sent: str
) -> None:
    """Two values of one package may not be in one message: then the summary is what counts."""
    _, fields, _ = invite(outgoing, ksr, summarised(Delivery.UUI, headers=configured))
    assert [value for name, value in fields.items() if name.lower() == "user-to-user"] == [sent]


def test_a_summary_goes_beside_the_sdp(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """As a multipart body."""
    _, fields, body = invite(outgoing, ksr, summarised(Delivery.BODY))
    assert (fields["Content-Type"], body) == multipart(SDP, SUMMARY)


def test_no_summary_can_add_a_header_field(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """Not even one that was never checked."""
    bad = "x\r\nX-Evil: 1\r\n\r\nv=0"
    _, fields, _ = invite(outgoing, ksr, summarised(Delivery.HEADER, Delivery.UUI, summary=bad))
    assert "X-Evil" not in fields


def long(size: int = UDP_LIMIT) -> Transfer:
    """Make a transfer with a long header field."""
    return transfer().model_copy(update={"headers": {"X-Long": "x" * size}})


@pytest.mark.parametrize(
    ("uri", "hop"),
    [
        (URI, f"{URI};transport=tcp"),
        ("sip:transport=x@h:5070;user=phone", "sip:transport=x@h:5070;user=phone;transport=tcp"),
        (f"{URI};transport=udp", ""),
        (f"{URI}; Transport=TCP", ""),
    ],
)
def test_a_long_invite_goes_by_tcp_unless_the_uri_names_a_transport(
    outgoing: Outgoing, ksr: FakeKsr, uri: str, hop: str
) -> None:
    """By RFC 3261 section 18.1.1."""
    assert invite(outgoing, ksr, long(), uri)[0] == hop


def test_the_limit_is_about_the_whole_message(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """Request line, Via and Content-Length, which Kamailio adds, included."""
    _, fields, body = invite(outgoing, ksr, long(0))
    via = "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK6cb7.cc3218d4000000000000000000000000.0\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    size = len(f"INVITE {URI} SIP/2.0\r\n{via}{lines}Content-Length: 999\r\n\r\n{body}")
    assert invite(outgoing, ksr, long(UDP_LIMIT - size))[0] == ""
    assert invite(outgoing, ksr, long(UDP_LIMIT - size + 1))[0].endswith(";transport=tcp")


def test_what_cannot_go_by_tcp_goes_by_udp(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """A node need not listen on TCP."""
    ksr.on("tm.t_uac_send", does=lambda *args: -1 if "transport=tcp" in args[2] else 1)
    assert invite(outgoing, ksr, long())[0] == ""
    assert any("sip.listen has no tcp" in line for _, line in ksr.log)


def send_message(outgoing: Outgoing, ksr: FakeKsr, words: str, *routes: str) -> tuple[object, ...]:
    """Send a MESSAGE to the agent; gives what Kamailio is told."""
    to = dialog(Party.AGENT).model_copy(update={"call_id": f"{CALL_ID}-1", "routes": routes})
    outgoing.message(SendMessage(to, 7, words))
    return ksr.called("tm.t_uac_send")[-1]


def test_a_message_has_the_text_as_it_is(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """Within the dialog, and numbered there."""
    method, uri, hop, _, lines, body = send_message(outgoing, ksr, SUMMARY)
    assert (method, uri, hop, body) == ("MESSAGE", "sip:agent@127.0.0.1:5070", "", SUMMARY)
    assert "Content-Type: text/plain;charset=UTF-8\r\n" in str(lines)
    assert f"Call-ID: {CALL_ID}-1\r\nCSeq: 7 MESSAGE\r\n" in str(lines)


def test_a_long_message_goes_by_tcp_along_its_route(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """RFC 3428 section 8 forbids it over UDP."""
    ksr.allow("pvx.xavp_rm", "pv.sets")
    assert send_message(outgoing, ksr, "ü" * 700)[2] == "sip:agent@127.0.0.1:5070;transport=tcp"
    assert send_message(outgoing, ksr, "ü" * 700, "<sip:proxy@h;lr>", "<sip:far;lr>")[2] == (
        "sip:proxy@h;lr;transport=tcp"
    )


def test_a_message_that_cannot_be_sent_is_only_logged(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """The call goes on."""
    ksr.on("tm.t_uac_send", returns=-1)
    send_message(outgoing, ksr, SUMMARY)
    assert ksr.log == [("warn", f"call={CALL_ID} MESSAGE to sip:agent@127.0.0.1:5070 cannot be sent\n")]


@pytest.mark.parametrize("user", ["hi!", "a!b!c", "!!", "!"])
def test_fields_with_an_exclamation_mark_are_added_behind_the_back_of_t_uac_send(
    outgoing: Outgoing, ksr: FakeKsr, user: str
) -> None:
    """It would cut them, or crash; what it reads itself it leaves alone."""
    given: list[str] = []

    def send(*args: str) -> int:
        given.append(args[4])
        outgoing.hook()
        return 1

    ksr.on("tm.t_uac_send", does=send)
    ksr.allow("hdr.append", "hdr.remove")
    ksr.on("kx.get_method", returns="NOTIFY")
    caller = dialog(Party.CALLER).model_copy(update={"remote_target": f"sip:{user}@h"})
    agent = dialog(Party.AGENT).model_copy(update={"local": f'"{user}" <sip:h>'})
    call = anchored(FakeRtpengine()).model_copy(update={"caller": caller})
    outgoing.notify(call, SendNotify(agent, 2, None, 100, "Trying", final=False))
    name = f'From: "{user}" <sip:h>;tag=ours\r\n'
    assert ksr.called("hdr.append") == [(f"{name}Contact: <sip:{user}@h>\r\n",)]
    assert "Contact" not in given[0]
    assert "From: <sip:h>;tag=ours\r\n" in given[0]
    outgoing.bye(SendBye(agent, 3))
    assert ksr.called("hdr.append")[1:] == [(name,)]


@pytest.mark.parametrize("name", ['"Jörg \\"J\\" <x>;tag=y" ', "Jim ", "Bob"])
def test_display_names_take_the_place_of_what_t_uac_send_makes_of_them(
    outgoing: Outgoing, ksr: FakeKsr, name: str
) -> None:
    """It would leave them out; values without one are left to it."""

    def send(*_: str) -> int:
        outgoing.hook()
        return 1

    ksr.on("tm.t_uac_send", does=send)
    ksr.allow("hdr.append", "hdr.remove")
    ksr.on("kx.get_method", returns="BYE")
    plain = dialog(Party.AGENT)
    named = plain.model_copy(update={"local": f"{name}<sip:h>"})
    outgoing.bye(SendBye(named, 2))
    assert ksr.called("hdr.remove") == [("From",)]
    assert ksr.called("hdr.append") == [(f"From: {name}<sip:h>;tag=ours\r\n",)]
    outgoing.bye(SendBye(plain.model_copy(update={"remote": f"{name}<sip:h>"}), 3))
    assert ksr.called("hdr.remove")[1:] == [("To",)]
    outgoing.bye(SendBye(plain, 4))
    assert len(ksr.called("hdr.append")) == 2


def test_an_endpoint_is_asked_whether_it_is_there_with_a_short_patience(outgoing: Outgoing, ksr: FakeKsr) -> None:
    """Its reply comes to whoever looks after endpoints that rest."""

    def send(*_: str) -> int:
        outgoing.hook()
        return 1

    ksr.on("tm.t_uac_send", does=send)
    ksr.receive(f"OPTIONS {URI} SIP/2.0\r\n\r\n")
    ksr.allow("tm.t_set_fr", "tm.t_on_reply")
    outgoing.probe(URI)
    method, uri, hop, _, lines, body = ksr.called("tm.t_uac_send")[0]
    assert (method, uri, hop, body) == ("OPTIONS", URI, "", "")
    assert f"To: <{URI}>\r\n" in str(lines)
    assert ksr.called("tm.t_set_fr") == [(0, 4000)]
    assert ksr.called("tm.t_on_reply") == [("ksr_probe_reply",)]
    outgoing.hook()
    assert len(ksr.called("tm.t_on_reply")) == 1, "that of the dispatcher goes to the dispatcher"
