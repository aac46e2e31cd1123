"""No secret leaves the sidecar with a trace, whatever form it has."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.ports import free_port
from cli.traces.hep import read_packet
from cli.traces.listener import Tracer
from cli.traces.parties import make_trace
from cli.traces.pcap import write_pcap
from cli.traces.scenarios import write_scenarios
from cli.traces.secrets import hide_secrets
from cli.traces.sip import Message
from routing.settings import make_settings
from tests.cli.operator import POOL
from tests.cli.test_traces import CALLER, OURS, packet, sip
from tests.stack.system import System
from tests.stack.udp_ear import UdpEar

if TYPE_CHECKING:
    from pathlib import Path

BODY = "X: y\r\n\r\n"
CRYPTO = f"{BODY}a=crypto:1 AES inline:"
PART = f"{BODY}--part\r\n\r\nv=0\r\na=crypto:1 AES "
DTMF = "Content-Type: application/dtmf"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('Authorization: Digest username="u", response="r"', "Authorization: Digest ************* ************"),
        ("PROXY-AUTHORIZATION : Basic c2VjcmV0", "PROXY-AUTHORIZATION : Basic ********"),
        ("Authorization:tokenonly", "Authorization:*********"),
        ('Authorization: Digest a="b",\r\n response="c"', "Authorization: Digest ******\r\n ************"),
        ('Authorization:\r\n\tDigest a="b"', "Authorization:\r\n\t****** *****"),
        ('Authorization: Digest a="b",\n response="c"', "Authorization: Digest ******\n ************"),
        ('Authentication-Info: rspauth="aa"', "Authentication-Info: ************"),
        ("Refer-To: <sip:a@b?Authorization=Digest%20x&X=1>", "Refer-To: <sip:a@b?Authorization=**********&X=1>"),
        ("X-Telnyx-Token: abc def", "X-Telnyx-Token: *** ***"),
        ("X-Api-Key:abc", "X-Api-Key:***"),
        ("X-Carrier-Auth: abc", "X-Carrier-Auth: ***"),
        (f"{CRYPTO}c2VjcmV0|2^31", f"{CRYPTO}xxxxxxxx|2^31"),
        (f"{CRYPTO}c2Vj|2^31|1:4;inline:cmV0|2^31", f"{CRYPTO}xxxx|2^31|1:4;inline:xxxx|2^31"),
        (f"{CRYPTO}c2VjcmV0LXNlY3JldA==|2^31", f"{CRYPTO}xxxxxxxxxxxxxxxxxx==|2^31"),
        (f"{PART}inline:c2Vj\r\n--part--", f"{PART}inline:xxxx\r\n--part--"),
        (f"{BODY}k=clear:hush", f"{BODY}k=**********"),
        (f"{BODY}a=ice-pwd:hush", f"{BODY}a=ice-pwd:****"),
        (f"{BODY}a=key-mgmt:mikey c2Vj", f"{BODY}a=key-mgmt:mikey xxxx"),
        (f"{BODY}SIP/2.0 401 Why\r\nAuthorization: Digest x", f"{BODY}SIP/2.0 401 Why\r\nAuthorization: Digest *"),
        ("Contact: <sip:me:hush@h:5060>", "Contact: <sip:me:****@h:5060>"),
        ("m: <SIP:me;x=1:hu:sh@h:5060>", "m: <SIP:me;x=1:*****@h:5060>"),
        ("Call-Info: <https://me:hush@h/p>", "Call-Info: <https://me:****@h/p>"),
        (f"{BODY}Signal= 5\r\nDuration=160", f"{BODY}Signal= *\r\nDuration=160"),
        (f"c: application/x\r\n{DTMF}\r\nX: y\r\n\r\n57", f"c: application/x\r\n{DTMF}\r\nX: y\r\n\r\n**"),
        (f'{BODY}<kpml-response digits="42"/>', f'{BODY}<kpml-response digits="**"/>'),
    ],
)
def test_secrets_are_hidden_and_lengths_stay_true(line: str, shown: str) -> None:
    whole = packet(sip("INVITE sip:a@b SIP/2.0", line))
    hidden = hide_secrets(whole)
    assert len(hidden) == len(whole)
    text = read_packet(hidden).text.rstrip()
    assert text == sip("INVITE sip:a@b SIP/2.0", shown).rstrip()


@pytest.mark.parametrize(
    "line",
    [
        "Contact: <sip:h:5060>, <sips:me@h>",
        "Route: <sip:192.0.2.1:5060;lr;d=abc>, <sip:me@192.0.2.2:5060>",
        'WWW-Authenticate: Digest nonce="n"',
        f"{BODY}a=fingerprint:sha-256 AB:CD",
        f"{BODY}a=ice-ufrag:abcd",
        "X-Handoff-Summary: Wants%20a%20refund",
        f"{BODY}She said: the signal is bad, call me at home",
        "P-Asserted-Identity: <sip:+4930@h>",
    ],
)
def test_what_is_no_secret_is_shown(line: str) -> None:
    whole = packet(sip("INVITE sip:a@b SIP/2.0", line))
    assert hide_secrets(whole) == whole


SECRET = "c2VjcmV0LXNlY3JldA"
LEAKY = sip(
    f"INVITE sip:me:{SECRET}@b SIP/2.0",
    "From: <sip:x@h>;tag=c",
    "To: <sip:y@h>",
    "CSeq: 1 INVITE",
    f"X-Token: {SECRET}",
    f"Proxy-Authorization: Digest a={SECRET},\r\n b={SECRET}",
    "Content-Type: multipart/mixed;boundary=part",
    body=f"--part\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nm=audio 1 RTP/SAVP 0\r\n"
    f"a=crypto:1 AES inline:{SECRET}|1:4;inline:{SECRET}\r\na=ice-pwd:{SECRET}\r\nk=clear:{SECRET}\r\n--part--\r\n",
)


def test_a_message_whose_secrets_are_hidden_is_well_formed_for_wireshark(tmp_path: Path) -> None:
    lines = ["Via: SIP/2.0/UDP h", "From: <sip:x@h>;tag=c", "To: <sip:y@h>", "CSeq: 1 INVITE"]
    login = 'Authorization: Digest username="u", realm="r", nonce="n", uri="sip:h", response="0123456789abcdef"'
    sdp = "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n"
    sdp += f"a=crypto:1 AEAD_AES_256_GCM inline:{'Zm9v' * 15}\r\n"
    sdp += f"a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{'Zm9v' * 10}|2^31\r\n"
    sdp += "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    length = f"Content-Length: {len(sdp)}"
    text = sip("INVITE sip:u:hush@192.0.2.1 SIP/2.0", *lines, login, "Content-Type: application/sdp", length, body=sdp)
    raw = read_packet(hide_secrets(packet(text))).text
    (tmp_path / "hidden.pcap").write_bytes(write_pcap([Message(1e9, "n", False, CALLER, OURS, "udp", raw)]))
    command = ["tshark", "-n", "-r", str(tmp_path / "hidden.pcap"), "-Y", "sdp and not _ws.malformed"]
    assert len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()) == 1


def test_no_form_of_a_trace_has_one_and_no_homer_gets_one() -> None:
    with UdpEar() as homer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kamailio:
        port = free_port("udp")
        trace = {"listen": f"127.0.0.1:{port}", "homer": homer.place, "mode": "all"}
        tracer = Tracer(make_settings({"pools": [POOL], "trace": trace}))
        kamailio.sendto(packet(LEAKY), ("127.0.0.1", port))
        System.wait_until(lambda: homer.heard() and tracer.answer("")["messages"])
        told = tracer.answer("")
        message = Message.read(told["messages"][0])
        made = make_trace(told["ids"][0], [message])
        forms = [*homer.heard(), json.dumps(told).encode(), write_pcap([message]), message.note.encode()]
        forms += [text.encode() for text in write_scenarios(made).values()]
        for form in forms:
            assert SECRET.encode() not in form
            assert b"secret" not in form
        assert b"inline:xxxxxxxxxxxxxxxxxx|1:4" in homer.heard()[0]


def test_a_message_from_nowhere_is_left_out() -> None:
    """Anybody can send to a UDP port; who asks for the call gets the others."""
    text = sip("INVITE sip:a@b SIP/2.0")
    chunk = struct.pack("!HHH", 0, 15, 6 + len(text)) + text
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anybody:
        port = free_port("udp")
        tracer = Tracer(make_settings({"pools": [POOL], "trace": {"listen": f"127.0.0.1:{port}", "mode": "all"}}))
        anybody.sendto(b"HEP3" + struct.pack("!H", 6 + len(chunk)) + chunk, ("127.0.0.1", port))
        anybody.sendto(packet(text), ("127.0.0.1", port))
        System.wait_until(lambda: tracer.answer("")["seen"] == 2)
    assert len(tracer.answer("")["messages"]) == 1
