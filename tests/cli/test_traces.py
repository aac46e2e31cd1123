"""Copies of SIP messages are read, rid of secrets and kept within bounds; a trace is told apart, drawn and written."""

from __future__ import annotations

import struct
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cli.traces.hep import find_text, read_packet
from cli.traces.keeper import CALL_OVERHEAD, FIRST, LAST, LINGER, OVERHEAD, Keeper, name_call
from cli.traces.ladder import draw_ladder, draw_mermaid, write_svg
from cli.traces.parties import make_trace
from cli.traces.pcap import write_pcap
from cli.traces.place import pick_place, trace_uri
from cli.traces.scenarios import write_scenarios
from cli.traces.sip import Message, describe_sdp
from routing.settings import make_settings
from tests.cli.operator import POOL

if TYPE_CHECKING:
    from pathlib import Path

OURS, CALLER, AGENT, SPARE = ("192.0.2.1", 5060), ("192.0.2.9", 5070), ("192.0.2.20", 5060), ("192.0.2.21", 5060)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def packet(text: bytes, *, ip: int = 4, transport: int = 17) -> bytes:
    """Write a packet as Kamailio does."""
    address = b"\xc0\0\2\1" if ip == 4 else b"\x20\1" + b"\0" * 13 + b"\1"
    kinds = (3, 4) if ip == 4 else (5, 6)
    values = [(1, b"\2"), (2, bytes([transport])), (kinds[0], address), (kinds[1], address)]
    values += [(7, struct.pack("!H", 5060)), (8, struct.pack("!H", 5070))]
    values += [(9, struct.pack("!I", 1700000000)), (10, struct.pack("!I", 250000)), (15, text)]
    chunks = b"".join(struct.pack("!HHH", 0, kind, 6 + len(value)) + value for kind, value in values)
    return b"HEP3" + struct.pack("!H", 6 + len(chunks)) + chunks


def sip(first: str, *fields: str, call_id: str = "abc", body: str = "") -> bytes:
    return "\r\n".join([first, f"Call-ID: {call_id}", *fields, "", body]).encode()


def invite(call_id: str = "abc", size: int = 0) -> bytes:
    return packet(sip("INVITE sip:a@b SIP/2.0", call_id=call_id, body="x" * size))


def keeper(*, plain: bool = False, limit: int = 1_000_000, clock: Clock | None = None) -> Keeper:
    return Keeper(plain=plain, seconds=3600.0, limit=limit, clock=clock or Clock())


# Packets


@pytest.mark.parametrize(("ip", "host"), [(4, "192.0.2.1"), (6, "2001::1")])
@pytest.mark.parametrize(("number", "transport"), [(17, "udp"), (6, "tcp"), (22, "tls")])
def test_a_packet_says_when_whence_whither_and_what(ip: int, host: str, number: int, transport: str) -> None:
    text = sip("INVITE sip:a@b SIP/2.0")
    copied = read_packet(packet(text, ip=ip, transport=number))
    assert (copied.at, copied.source, copied.destination) == (1700000000.25, (host, 5060), (host, 5070))
    assert (copied.transport, copied.text) == (transport, text)
    assert packet(text, ip=ip)[find_text(packet(text, ip=ip)) :] == text


@pytest.mark.parametrize(
    "bad", [b"", b"HEP3", b"\r\n\r\n", packet(b"x" * 99)[:-1], b"HEP3" + b"\0" * 40, packet(b"x")[:40]]
)
def test_what_is_no_packet_is_refused(bad: bytes) -> None:
    for reader in (read_packet, find_text, keeper().add):
        with pytest.raises(ValueError, match=r"HEP3|cut off"):
            reader(bad)


def test_a_packet_without_addresses_is_refused() -> None:
    chunk = struct.pack("!HHH", 0, 15, 7) + b"x"
    with pytest.raises(ValueError, match="whence"):
        read_packet(b"HEP3" + struct.pack("!H", 6 + len(chunk)) + chunk)


# Keeping


def test_all_messages_of_a_call_and_its_legs_are_found_by_the_beginning_of_its_id() -> None:
    kept, call_id = keeper(), name_call(b"abc")
    packets = [
        invite(),
        packet(sip("REFER sip:a@b SIP/2.0")),
        packet(b"SIP/2.0 200 OK\r\ni:abc\r\n\r\n"),
        packet(sip("SIP/2.0 180 Ringing", call_id=f"{call_id}-1")),
    ]
    for each in packets:
        assert kept.add(each)
    kept.add(packet(sip("OPTIONS sip:a@b SIP/2.0", call_id="ping")))
    kept.add(packet(sip("SIP/2.0 200 OK", call_id="ping")))
    assert kept.find(call_id[:5]) == {call_id: (packets, 0)}
    assert list(kept.find("")) == [call_id]
    assert kept.size == sum(map(len, packets)) + 4 * OVERHEAD + CALL_OVERHEAD


def test_what_is_no_sip_is_neither_kept_nor_told_as_such() -> None:
    assert not keeper().add(packet(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))


@pytest.mark.parametrize(("plain", "referred", "left"), [(False, False, 0), (False, True, 1), (True, False, 1)])
def test_a_call_without_a_transfer_goes_soon_after_its_bye(plain: bool, referred: bool, left: int) -> None:
    clock = Clock()
    kept = keeper(plain=plain, clock=clock)
    kept.add(invite())
    if referred:
        kept.add(packet(sip("REFER sip:a@b SIP/2.0")))
    kept.add(packet(sip("BYE sip:a@b SIP/2.0")))
    clock.now = LINGER + 1
    kept.add(packet(sip("OPTIONS sip:a@b SIP/2.0", call_id="ping")))
    assert len(kept.find("")) == left
    assert bool(kept.size) == bool(left)


def test_all_go_an_hour_after_their_last_message() -> None:
    clock = Clock()
    kept = keeper(plain=True, clock=clock)
    kept.add(invite("one"))
    clock.now = 3000.0
    kept.add(invite("two"))
    clock.now = 4000.0
    kept.add(invite("three"))
    assert sorted(kept.find("")) == sorted([name_call(b"two"), name_call(b"three")])


def test_the_memory_is_bounded_and_calls_without_a_transfer_go_first() -> None:
    kept = keeper(limit=100_000)
    kept.add(packet(sip("REFER sip:a@b SIP/2.0", call_id="handed")))
    for number in range(1000):
        kept.add(invite(f"plain{number}", 1000))
        assert kept.size <= 100_000
    assert name_call(b"handed") in kept.find("")
    assert 50 < len(kept.find("")) < 100
    for number in range(1000):
        kept.add(packet(sip("REFER sip:a@b SIP/2.0", call_id=f"new{number}", body="x" * 1000)))
        assert kept.size <= 100_000
    assert name_call(b"handed") not in kept.find("")


def test_of_a_call_with_very_many_messages_the_first_and_the_newest_are_kept() -> None:
    kept = keeper()
    for number in range(FIRST + LAST + 50):
        kept.add(packet(sip("REFER sip:a@b SIP/2.0", f"CSeq: {number} REFER")))
    ((packets, left_out),) = kept.find("").values()
    assert (len(packets), left_out) == (FIRST + LAST, 50)
    assert b"CSeq: 0 " in packets[0]
    assert b"CSeq: 99 " in packets[FIRST - 1]
    assert b"CSeq: 150 " in packets[FIRST]
    assert kept.size == sum(map(len, packets)) + OVERHEAD * len(packets) + CALL_OVERHEAD


# Where copies go


@pytest.mark.parametrize(
    ("listen", "mode", "place"),
    [
        (["tcp:127.0.0.1:5060", "udp:192.0.2.1:5060"], "transfers", "sip:127.0.0.1:"),
        (["udp:[2001:db8::1]:5060"], "all", "sip:[::1]:"),
        (["tcp:127.0.0.1:5060"], "all", None),
        (["udp:127.0.0.1:5060"], "off", None),
    ],
)
def test_copies_go_to_this_machine_by_the_ip_version_that_kamailio_has(
    listen: list[str], mode: str, place: str | None
) -> None:
    data = {"pools": [POOL], "sip": {"listen": listen}, "trace": {"mode": mode}}
    picked = pick_place(make_settings(data))
    uri = trace_uri(make_settings({**data, "trace": {"mode": mode, "listen": picked}}))
    assert (uri or "").startswith(place) if place else (picked, uri) == (None, None)


# Who is who


def message(at: float, first: str, peer: tuple[str, int], *, sent: bool, call_id: str = "abc", **more: str) -> Message:
    """Make a message of the caller's dialog; `cseq`, `tags` (of From and To), `via` and `body` change it."""
    caller, _, called = more.get("tags", "c").partition(" ")
    fields = [f"Via: SIP/2.0/UDP h;branch={more.get('via', first)}", f"From: <sip:x@h>;tag={caller}"]
    fields += [f"To: <sip:y@h>{f';tag={called}' if called else ''}", f"CSeq: {more.get('cseq', '1 INVITE')}"]
    fields += [more["field"]] if "field" in more else []
    raw = sip(first, *fields, call_id=call_id, body=more.get("body", ""))
    source, destination = (OURS, peer) if sent else (peer, OURS)
    return Message(at, "node1", sent, source, destination, "udp", raw)


OFFER = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0 101\r\n"
OFFER += "a=rtpmap:101 telephone-event/8000\r\na=rtcp:4001\r\na=crypto:1 AES inline:xxxx|2^31\r\na=sendonly\r\n"
SDP = "Content-Type: application/sdp"
INVITE = "INVITE sip:49@192.0.2.1:5060 SIP/2.0"


@pytest.mark.parametrize(("cseq", "number"), [("7 INVITE", 7), ("INVITE", 0), (f"{'9' * 5000} INVITE", 0)])
def test_a_cseq_that_is_none_counts_as_0(cseq: str, number: int) -> None:
    assert message(0.0, INVITE, CALLER, sent=False, cseq=cseq).cseq == number


def failing_over() -> list[Message]:
    """Make a call whose first agent is out of order, and which the caller cancels."""
    return [
        message(0.0, INVITE, CALLER, sent=False, body=OFFER, field=SDP),
        message(0.1, INVITE, AGENT, sent=True, via="one"),
        message(0.2, "SIP/2.0 503 Service Unavailable", AGENT, sent=False, via="one", tags="c a"),
        message(0.3, "ACK sip:49@192.0.2.1:5060 SIP/2.0", AGENT, sent=True, via="one", cseq="1 ACK"),
        message(0.4, INVITE, SPARE, sent=True, via="two"),
        message(0.45, INVITE, SPARE, sent=True, via="two"),
        message(0.5, "CANCEL sip:49@192.0.2.1:5060 SIP/2.0", CALLER, sent=False, cseq="1 CANCEL"),
        message(0.6, "SIP/2.0 200 OK", CALLER, sent=True, cseq="1 CANCEL", tags="c x"),
        message(0.7, "SIP/2.0 487 Request Terminated", CALLER, sent=True, tags="c x"),
        message(0.8, "ACK sip:49@192.0.2.1:5060 SIP/2.0", CALLER, sent=False, cseq="1 ACK", tags="c x"),
    ]


def test_agents_that_were_tried_one_after_the_other_are_told_apart_and_repeats_are_marked() -> None:
    trace = make_trace("0" * 16, failing_over())
    assert trace.parties == {"caller": CALLER, "agent": AGENT, "agent 2": SPARE}
    assert [step.party for step in trace.steps[1:6]] == ["agent", "agent", "agent", "agent 2", "agent 2"]
    assert [step.again for step in trace.steps] == [False] * 5 + [True] + [False] * 4
    assert len(trace.of("agent 2")) == 1


def test_what_was_noted_later_than_its_answer_comes_before_it_and_after_the_100() -> None:
    """Kamailio notes the time of what it sends when it has been sent."""
    trying = message(0.21, "SIP/2.0 100 Trying", CALLER, sent=True, via="x")
    late = message(0.22, INVITE, AGENT, sent=True, via="one")
    answer = message(0.2, "SIP/2.0 200 OK", AGENT, sent=False, via="one", tags="c a")
    relayed = message(0.41, "SIP/2.0 200 OK", CALLER, sent=True, via="x", tags="c a")
    ack = message(0.4, "ACK sip:49@h SIP/2.0", CALLER, sent=False, cseq="1 ACK", tags="c a")
    first = message(0.0, INVITE, CALLER, sent=False, via="x")
    trace = make_trace("0" * 16, [first, trying, late, answer, relayed, ack])
    assert [step.message.label for step in trace.steps] == [
        "INVITE", "100 Trying (INVITE)", "INVITE", "200 OK (INVITE)", "200 OK (INVITE)", "ACK"
    ]  # fmt: skip
    assert [step.message.sent for step in trace.steps] == [False, True, True, False, True, False]


def test_the_ladder_has_times_arrows_and_what_is_in_the_messages() -> None:
    drawn = draw_ladder(make_trace("0" * 16, failing_over(), left_out=7)).plain.splitlines()
    assert drawn[0].split("  ")[-1].strip() == "agent 2"
    assert drawn[2].startswith("    0.000 │─")
    assert drawn[2].endswith("  PCMU telephone-event SRTP sendonly at 192.0.2.9:4000")
    assert drawn[7].endswith("  again")
    assert "◀ 503 Service Unavailable ─│" in drawn[4]
    assert drawn[-1] == "7 messages in the middle were left out"


@pytest.mark.parametrize("width", [80, 120])
def test_the_ladder_fits_the_terminal_with_many_parties_long_addresses_and_long_words(width: int) -> None:
    """What does not fit beside an arrow is below it, and an address goes on in the next line."""
    six = {
        place: f"2001:db8:85a3:1234:5678:8a2e:370:{number}" for number, place in enumerate((OURS, AGENT, SPARE), 7334)
    }
    leg = message(0.9, f"SIP/2.0 486 {'Busy ' * 9}", SPARE, sent=False, call_id=f"{'0' * 16}-1", tags="c a")
    messages = [
        replace(each, source=(six.get(each.source, "::1"), 5060), destination=(six.get(each.destination, "::1"), 5060))
        for each in [*failing_over(), leg]
    ]
    lines = draw_ladder(make_trace("0" * 16, messages), width).plain.splitlines()
    assert max(map(len, lines)) <= width
    heads = lines[: next(number for number, line in enumerate(lines) if "│" in line)]
    gap = heads[0].index("handoff") - heads[0].index("caller")
    agent = heads[0].index("agent ")
    assert "".join(line[agent : agent + gap].strip() for line in heads[1:]) == f"[{six[AGENT]}]:5060"
    assert "            PCMU telephone-event SRTP sendonly at 192.0.2.9:4000" in lines
    arrows = [line for line in lines if "│" in line]
    assert len(arrows) == len(messages)
    assert all(line.count("▶│") + line.count("│◀") == 1 for line in arrows)


def test_signs_that_would_steer_a_terminal_or_a_diagram_are_shown_as_text() -> None:
    evil = message(0.1, "SIP/2.0 486 \x1b[31m%%{Busy; <b>#", AGENT, sent=False, tags="c a")
    trace = make_trace("0" * 16, [message(0.0, INVITE, AGENT, sent=True), evil])
    assert "\x1b" not in draw_ladder(trace).plain
    assert "486 ?[31m#37;#37;{Busy#59; #lt;b#gt;#35; (INVITE)" in draw_mermaid(trace)
    assert ET.fromstring(write_svg(trace)).tag == "{http://www.w3.org/2000/svg}svg"


def test_an_sdp_is_described_in_a_few_words() -> None:
    more = "m=audio 0 RTP/AVP 8\r\nm=video 5000 RTP/AVP 96\r\n"
    assert describe_sdp(f"v=0\r\nc=IN IP4 h\r\n{more}") == "PCMA refused, video 96 at h:5000"


# Files


def test_a_pcap_of_ipv6_and_of_odd_lengths_is_read_by_tshark(tmp_path: Path) -> None:
    six, seven = ("2001:db8::1", 5060), ("2001:db8::2", 5071)
    raws = [sip(INVITE, "Via: SIP/2.0/UDP h", "CSeq: 1 INVITE", body=body) for body in ("", "x", "x" * 3000)]
    messages = [Message(1e9 + n, "node1", False, six, seven, "tcp", raw) for n, raw in enumerate(raws)]
    (tmp_path / "six.pcap").write_bytes(write_pcap(messages))
    good = 'sip.Method == "INVITE" and ipv6.dst == 2001:db8::2 and udp.checksum.status == "Good"'
    command = ["tshark", "-n", "-r", str(tmp_path / "six.pcap"), "-o", "udp.check_checksum:TRUE", "-Y", good]
    assert len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()) == 3


def test_scenarios_leave_to_sipp_what_belongs_to_one_exchange_and_have_nothing_that_it_would_take_for_keywords() -> (
    None
):
    strange = message(1.0, "BYE sip:49@h SIP/2.0", CALLER, sent=False, cseq="2 BYE", tags="c x", field="X-A: [b] ]]> &")
    files = write_scenarios(make_trace("0" * 16, [*failing_over(), strange]))
    assert sorted(files) == ["README.txt", "agent.xml", "agent2.xml", "caller.xml"]
    caller = files["caller.xml"]
    steps = [step.tag for step in ET.fromstring(caller)]
    assert steps == ["send", "pause", "send", "recv", "recv", "pause", "send", "pause", "send"]
    assert "INVITE sip:49@[remote_ip]:[remote_port] SIP/2.0" in caller
    assert caller.count("branch=[branch-2]") == 1  # CANCEL
    assert caller.count("branch=[branch-6]") == 1  # ACK
    assert "BYE [next_url] SIP/2.0" in caller
    assert r"X-A: \x5bb] ]] > &" in caller
    assert "m=audio [media_port] RTP/SAVP 0 101" in caller
    assert "a=rtcp" not in caller
    assert "inline:xxxx|2^31" in caller
    assert "SIP/2.0 503 Service Unavailable" in files["agent.xml"]
    assert "-sf caller.xml" in files["README.txt"].splitlines()[-3]


def test_how_sipp_is_run_depends_on_what_carried_the_messages() -> None:
    carried = {CALLER: "tcp", AGENT: "tls", SPARE: "wss"}
    messages = [replace(each, transport=carried[each.peer]) for each in failing_over()]
    readme = write_scenarios(make_trace("0" * 16, messages))["README.txt"]
    assert f"-sf caller.xml -i {CALLER[0]} -p {CALLER[1]} -t t1 -m 1" in readme
    assert f"-p {AGENT[1]} -t l1 -tls_cert CERTIFICATE -tls_key KEY -m 1" in readme
    assert f"-p {SPARE[1]} -m 1" in readme
    assert "SIPp has no WebSocket, by which handoff reached agent 2 (wss): here it is UDP." in readme
