"""The fake KSR is strict, and reads a message as the real Kamailio does."""

from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING

import KSR
import pytest

from tests.fake_ksr import MODULE, FakeKsr
from tests.fake_message import PVS, FakeMessage
from tests.kemi.kamailio import generate_stubs

if TYPE_CHECKING:
    from collections.abc import Callable

    Phone = Callable[[str, str], tuple[dict[str, object], FakeMessage, FakeMessage]]

REFER = """\
REFER sip:caller@127.0.0.1:5060;transport=udp SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport
From: "Agent; <tag=no>" <sip:agent:pw@agents.example.com:5070;tag=inner>;tag=f1
To: <sip:+49301234@example.org>;tag=t1
Call-ID: one@host
CSeq: 17 REFER
m: <sip:agent@127.0.0.1:5070;transport=udp>
X-Both: one
x-both: two , three
Folded: a
 b
Max-Forwards: 70
Refer-To: <sip:support@handoff?X-A=b>
Content-Type: text/plain
Content-Length: 7

hello
"""
RINGING = """\
SIP/2.0 180 Ringing Now
{via}
From: <sip:127.0.0.1>;tag=f1
To: sip:target@127.0.0.1;tag=t1;x=y
Call-ID: two@host
CSeq: 18 INVITE
Content-Length: 0

"""
READS = [
    *("hdr.get('X-Both')", "hdr.get('Nope')", "hdr.getw('Nope')", "hdr.gete('Nope')", "hdr.get('Folded')"),
    *("hdr.get_idx('X-Both', 1)", "hdr.get_idx('X-Both', -1)", "hdr.get_idx('X-Both', 2)", "hdr.get('Contact')"),
    *("hdr.is_present('x-both')", "hdr.is_present('Nope')", "hdr.get('f')"),
    *("textops.has_body()", "is_REFER()", "is_INVITE()"),
    *("pv.get('$hdr(X-Both)')", "pv.get('$(hdr(X-Both)[-1])')", "pv.get('$hdrc(X-Both)')", "pv.geti('$cs')"),
    *("pv.get('$var(nothing)')", "pv.get('$avp(nothing)')", "pv.gete('$ua')", "pv.getw('$ua')", "pv.is_null('$ua')"),
    *("pv.getvs('$ua', 'none')", "pv.getvn('$ua', 7)", "pv.geti('$ua')", "pv.get('$T_req($ci)')", "pv.get('$du')"),
    *("kx.get_body()", "kx.gete_body()", "kx.get_bodylen()", "kx.get_callid()", "kx.get_cturi()", "kx.get_duri()"),
    *("kx.get_fhost()", "kx.get_furi()", "kx.get_fuser()", "kx.get_method()", "kx.get_msgtype()", "kx.get_ouri()"),
    *("kx.get_proto()", "kx.get_rcvaddr_sock()", "kx.get_rcvip()", "kx.get_rcvport()", "kx.get_rhost()"),
    *("kx.get_ruri()", "kx.get_ruser()", "kx.get_srcip()", "kx.get_srcport()", "kx.get_srcuri()", "kx.get_status()"),
    *("kx.get_thost()", "kx.get_turi()", "kx.get_tuser()", "kx.get_ua()"),
    *(f"pv.get('{name}')" for name in PVS),
]
# Answers a REFER with what it reads there; relays an INVITE back to where it came from and puts what it reads in the
# 180 into the body of that 180.
SCRIPT = f"""\
import json
import KSR
READS = {READS!r}
def read():
    return json.dumps({{each: eval("KSR." + each) for each in READS}})
class Mirror:
    def child_init(self, rank): return 0
    def ksr_request_route(self, msg):
        if KSR.is_REFER():
            KSR.textops.set_reply_body(read(), "application/json")
            KSR.sl.sl_send_reply(200, "OK")
        else:
            KSR.pv.sets("$du", KSR.kx.get_srcuri())
            KSR.tm.t_on_reply("reply")
            KSR.tm.t_relay()
        return 1
    def reply(self, msg):
        KSR.textops.set_body(read(), "application/json")
        return 1
def mod_init(): return Mirror()
"""


def body_of(datagram: bytes) -> dict[str, object]:
    """Give the JSON that Kamailio put into a reply."""
    found: dict[str, object] = json.loads(datagram.decode().partition("\r\n\r\n")[2])
    return found


def read_with_fake(fake: FakeKsr) -> dict[str, object]:
    """Evaluate the same reads with the fake."""
    return {each: eval("KSR." + each, {"KSR": MODULE}) for each in READS}


@pytest.fixture
def phone() -> Phone:
    """Send a request to a real Kamailio; give what it read, the message it read, and the request."""

    def exchange(request: str, reply: str) -> tuple[dict[str, object], FakeMessage, FakeMessage]:
        with (
            generate_stubs.running(SCRIPT) as kamailio,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            udp.bind(("127.0.0.1", 0))
            udp.settimeout(5)
            addresses = {"source": udp.getsockname(), "local": ("127.0.0.1", kamailio.port)}
            sent = FakeMessage.parse(request, **addresses)
            udp.sendto(sent.text.encode(), addresses["local"])
            answers: list[FakeMessage] = []
            while True:
                datagram = udp.recv(65535)
                if datagram.startswith(b"INVITE") and not answers:
                    via = "\r\n".join(re.findall(r"Via: .*?(?=\r\n)", datagram.decode()))
                    answers.append(FakeMessage.parse(reply.format(via=via), **addresses))
                    udp.sendto(answers[0].text.encode(), addresses["local"])
                elif b"application/json" in datagram:
                    return body_of(datagram), (answers or [sent])[0], sent

    return exchange


def test_the_fake_reads_a_request_as_kamailio_does(ksr: FakeKsr, phone: Phone) -> None:
    """Every value that the fake knows is the real one, its type too."""
    real, message, _ = phone(REFER, "")
    ksr.receive(message)
    assert read_with_fake(ksr) == real


def test_the_fake_reads_a_reply_as_kamailio_does(ksr: FakeKsr, phone: Phone) -> None:
    """The same in a reply route, with `$T_req` showing the request."""
    invite = RINGING.replace("SIP/2.0 180 Ringing Now", "INVITE sip:target@127.0.0.1 SIP/2.0").replace(";tag=t1", "")
    via = "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK2;rport"
    real, message, request = phone(invite.format(via=via), RINGING)
    ksr.receive(message, request=request)
    assert read_with_fake(ksr) == real
    assert real["pv.get('$rs')"] == 180


def test_what_is_not_scripted_fails(ksr: FakeKsr) -> None:
    """No function has an answer of its own that does something."""
    with pytest.raises(AssertionError, match=r"KSR\.tm\.t_relay\(\) was called, but the test has not scripted it"):
        KSR.tm.t_relay()


def test_a_function_that_kamailio_lacks_fails(ksr: FakeKsr) -> None:
    """A misspelt name is found by the first test that runs over it, called or scripted."""
    with pytest.raises(AssertionError, match=r"Kamailio has no KSR\.tm\.t_rely"):
        KSR.tm.t_rely()  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match=r"Kamailio has no KSR\.dialog"):
        KSR.dialog.dlg_manage()  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match=r"Kamailio has no KSR\.tm\.t_rely"):
        ksr.on("tm.t_rely")


@pytest.mark.parametrize("args", [(), ("486", "Busy"), (486,), (486, "Busy", 1), (True, "Busy"), (486, None)])
def test_arguments_that_kamailio_refuses_fail(ksr: FakeKsr, args: tuple[object, ...]) -> None:
    """Number and types of the arguments are those of the stub; nothing is recorded."""
    ksr.on("tm.t_reply")
    with pytest.raises(AssertionError, match=r"KSR\.tm\.t_reply takes \(int, str\)"):
        KSR.tm.t_reply(*args)  # type: ignore[arg-type]
    assert ksr.calls == []


def test_scripts_win_by_arguments_and_age(ksr: FakeKsr) -> None:
    """A script for some arguments answers only those; the newest of several wins."""
    ksr.on("tm.t_reply")
    ksr.on("tm.t_reply", 486, "Busy", returns=-1)
    ksr.on("hdr.get", does=lambda name: f"<{name}>")
    assert KSR.tm.t_reply(486, "Busy") == -1
    assert KSR.tm.t_reply(180, "Ringing") == 1
    assert KSR.hdr.get("Contact") == "<Contact>"
    assert ksr.called("tm.t_reply") == [(486, "Busy"), (180, "Ringing")]


def test_results_that_kamailio_never_gives_cannot_be_scripted(ksr: FakeKsr) -> None:
    """True instead of 1, or None from a function that gives numbers, would hide errors."""
    with pytest.raises(AssertionError, match="gives int, never True"):
        ksr.on("tm.t_relay", returns=True)
    with pytest.raises(AssertionError, match=r"say what KSR\.hdr\.get shall return"):
        ksr.on("hdr.get")
    with pytest.raises(AssertionError, match="never"):
        ksr.on("tm.t_reply", "486", returns=1)
    ksr.on("tm.t_relay", does=lambda: "sent")
    with pytest.raises(AssertionError, match="gives int, never 'sent'"):
        KSR.tm.t_relay()


def test_calls_are_recorded_in_order_apart_from_reads_and_log(ksr: FakeKsr) -> None:
    """A test sees what was done, without the noise of what was looked at."""
    ksr.receive(REFER)
    ksr.allow("tm.t_newtran", "hdr.remove", "tm.t_relay")
    KSR.tm.t_newtran()
    assert KSR.hdr.get("Refer-To") == "<sip:support@handoff?X-A=b>"
    KSR.hdr.remove("Refer-To")
    KSR.info("relayed\n")
    KSR.tm.t_relay()
    assert [call.name for call in ksr.calls] == ["tm.t_newtran", "hdr.remove", "tm.t_relay"]
    assert [call.args for call in ksr.reads] == [("Refer-To",)]
    assert ksr.log == [("info", "relayed\n")]


def test_set_variables_are_seen_until_the_next_message(ksr: FakeKsr) -> None:
    """`$ru` and `$du` can be written and read back, as can variables of our own."""
    ksr.receive(REFER)
    assert KSR.pv.sets("$ru", "sip:new@other.example") is True
    assert KSR.pv.seti("$var(n)", 3) is True
    assert (KSR.kx.get_ruri(), KSR.pv.get("$rU"), KSR.pv.get("$rd")) == (
        "sip:new@other.example",
        "new",
        "other.example",
    )
    assert (KSR.kx.get_ouri(), KSR.pv.get("$var(n)")) == ("sip:caller@127.0.0.1:5060;transport=udp", 3)
    assert ksr.called("pv.sets") == [("$ru", "sip:new@other.example")]
    ksr.receive(REFER)
    assert KSR.pv.get("$rU") == "caller"


def test_a_variable_that_the_fake_does_not_know_fails(ksr: FakeKsr) -> None:
    """The fake never guesses; a script can give the value."""
    ksr.receive(REFER)
    with pytest.raises(AssertionError, match=r"does not know the pseudo-variable \$dd"):
        KSR.pv.get("$dd")
    ksr.on("pv.get", "$dd", returns="example.org")
    assert KSR.pv.get("$dd") == "example.org"


def test_reading_without_a_message_fails(ksr: FakeKsr) -> None:
    """A test that forgot the message does not pass by chance."""
    with pytest.raises(AssertionError, match="has not received one"):
        KSR.kx.get_callid()


def test_ksr_answers_nobody_without_the_fixture() -> None:
    """Code that calls KSR outside of a test of the adapter is found."""
    with pytest.raises(AssertionError, match="no test uses the fixture"):
        KSR.tm.t_relay()


@pytest.mark.parametrize("text", ["", "hello", "INVITE sip:a@b", "INVITE sip:a@b SIP/2.0\nno header\n\n"])
def test_text_that_is_no_message_is_refused(text: str) -> None:
    """A typing error in a test's message is told, not worked around."""
    with pytest.raises(ValueError, match=r"SIP"):
        FakeMessage.parse(text)
