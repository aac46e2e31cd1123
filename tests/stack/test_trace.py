"""`handoff trace` after real calls: what it shows is what crossed the wire, and what it writes is of use elsewhere."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from cli.main import handoff
from cli.traces.hep import read_packet
from routing.outcomes import Outcome
from tests.stack.message import Message
from tests.stack.sipp import Sipp, free_port
from tests.stack.system import System
from tests.stack.talk import TARGET, Talk
from tests.stack.test_challenges import PASSWORD, asks, challenge, ring
from tests.stack.ua import PATIENCE, Ua
from tests.stack.udp_ear import UdpEar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


CRYPTO = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^31\r\n"
A_KEY = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"


@pytest.fixture
def agent() -> Iterator[Ua]:
    """Give an agent."""
    with Ua("agent") as agent:
        agent.allow("OPTIONS")
        yield agent


@contextmanager
def tracing(agent: Ua, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[System]:
    """Run the stack and its sidecar; `handoff` is the command beside them."""
    with System(agent.uri, sidecar=True, **settings) as system:
        monkeypatch.setenv("HANDOFF_RUN_DIR", str(system.folder))
        yield system


def trace(*words: str) -> Result:
    """Type `handoff trace`."""
    return CliRunner().invoke(handoff, ["trace", *words])


def read(call_id: str) -> dict[str, Any]:
    """Read a trace as programs do."""
    result = trace(call_id, "--json")
    assert result.exit_code == 0, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    return data


def whole(call_id: str, messages: int) -> dict[str, Any]:
    """Read a trace when all messages have come to the sidecar."""
    System.wait_until(lambda: len(read(call_id)["messages"]) >= messages)
    return read(call_id)


def second_endpoint_answers(talk: Talk, dead: Ua) -> str:
    """Do a transfer whose first endpoint is busy, up to the end of the call; gives the call's id."""
    talk.system.add_target(TARGET, dead.uri, talk.target.uri)
    talk.agent.expect(202, to=talk.refer())
    talk.notified(100)
    dead.reply(dead.expect("INVITE"), 486)
    dead.expect("ACK")
    invite = talk.target.expect("INVITE")
    talk.target.reply(invite, 180)
    talk.notified(180)
    talk.target_answers(invite)
    talk.notified(200, final=True)
    talk.agent_leaves()
    talk.hear_target()
    call_id = talk.record.id
    talk.hang_up_on_target()
    talk.nothing_left()
    return call_id


def declined(talk: Talk) -> str:
    """Do a transfer that the person declines, up to the end of the call; gives the call's id."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    talk.target.reply(invite, 603)
    talk.target.expect("ACK")
    talk.notified(603, final=True)
    talk.hear_each_other()
    call_id = talk.record.id
    talk.hang_up()
    talk.nothing_left()
    return call_id


def sip(messages: list[Message], system: System) -> list[str]:
    """Give the messages of calls as they were on the wire, in an order of no meaning."""
    assert all(system.port in {m.source[1], m.destination[1]} for m in messages)
    return sorted(
        f"{m.source[1]}>{m.destination[1]} {m.first_line} {m.cseq}" for m in messages if m.method != "OPTIONS"
    )


def traced(data: dict[str, Any]) -> list[str]:
    """Give the messages of a trace in the same form."""
    lines = []
    for message in data["messages"]:
        ports = [message[end].rpartition(":")[2] for end in ("from", "to")]
        number = message["text"].partition("CSeq: ")[2].split(" ")[0]
        lines.append(f"{'>'.join(ports)} {message['text'].splitlines()[0]} {number}")
    return sorted(lines)


LADDER = [
    ("caller", "in", "INVITE"),
    ("caller", "out", "100 trying -- your call (INVITE)"),
    ("agent", "out", "INVITE"),
    ("agent", "in", "200 OK (INVITE)"),
    ("caller", "out", "200 OK (INVITE)"),
    ("caller", "in", "ACK"),
    ("agent", "out", "ACK"),
    ("agent", "in", "REFER"),
    ("agent", "out", "202 Accepted (REFER)"),
    ("leg 1", "out", "INVITE"),
    ("leg 1", "in", "486 Busy Here (INVITE)"),
    ("leg 2", "out", "INVITE"),
    ("leg 2", "in", "180 Ringing (INVITE)"),
    ("leg 2", "in", "200 OK (INVITE)"),
    ("agent", "in", "BYE"),
    ("agent", "out", "200 OK (BYE)"),
    ("caller", "in", "BYE"),
    ("leg 2", "out", "BYE"),
    ("leg 2", "in", "200 OK (BYE)"),
    ("caller", "out", "200 OK (BYE)"),
]
"""What happens one after the other; ACK and NOTIFY come in between as they may."""


def test_the_ladder_of_a_stitched_call_has_each_message_of_all_legs_once_and_in_order(
    agent: Ua, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with tracing(agent, monkeypatch) as system, Ua("dead") as dead:
        with Talk(system, agent) as talk:
            call_id = second_endpoint_answers(talk, dead)
            seen = sip(talk.wire.messages(), system)
        data = whole(call_id[:7], len(seen))
        assert traced(data) == seen
        assert list(data["parties"]) == ["caller", "agent", "leg 1", "leg 2"]
        order = [(m["party"], m["direction"], m["label"]) for m in data["messages"]]
        assert [step for step in order if step in LADDER] == LADDER
        assert [message["at"] for message in data["messages"]] == sorted(message["at"] for message in data["messages"])
        ladder = trace(call_id).stdout
        heads = ladder.splitlines()[1].split("  ")
        assert [head.strip() for head in heads if head] == ["caller", "handoff", "agent", "leg 1", "leg 2"]
        assert ladder.count("▶") + ladder.count("◀") == len(seen)
        assert f"to <sip:support@127.0.0.1:{system.port}>" in ladder
        assert "PCMU PCMA G722 opus at 127." in ladder
        assert trace(call_id, "--mermaid").stdout.count("p1") == len(seen) + 1
        assert trace(call_id, "--svg").stdout.startswith("<svg ")
        assert trace(call_id, "--full").stdout.count("\n--- ") == len(seen) - 1
        written = tmp_path / "new" / "call.pcap"
        assert trace(call_id, "--pcap", str(written)).exit_code == 0
    fields = ["-T", "fields", "-e", "sip.CSeq.seq", "-e", "udp.srcport", "-e", "udp.dstport", "-e", "_ws.malformed"]
    checks = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    tshark = ["tshark", "-n", "-r", str(written), *checks]
    rows = subprocess.run([*tshark, "-Y", "sip", *fields], capture_output=True, text=True, check=True).stdout
    assert len(rows.splitlines()) == len(seen)
    assert sorted(">".join(row.split("\t")[1:3]) for row in rows.splitlines()) == sorted(s.split(" ")[0] for s in seen)
    bad = 'not sip or _ws.malformed or ip.checksum.status == "Bad" or udp.checksum.status == "Bad"'
    assert subprocess.run([*tshark, "-Y", bad], capture_output=True, text=True, check=True).stdout == ""


def test_a_person_who_declined_does_it_again_in_sipp_with_agent_and_caller(
    agent: Ua, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with tracing(agent, monkeypatch) as system:
        with Talk(system, agent) as talk:
            call_id = declined(talk)
            count = len(sip(talk.wire.messages(), system))
        whole(call_id, count)
        assert trace(call_id, "--sipp", str(tmp_path)).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.txt", "agent.xml", "caller.xml", "leg1.xml"]
    # What makes the caller hang up was not SIP: on a busy machine it waits for the others.
    caller = (tmp_path / "caller.xml").read_text()
    head, end = caller.rsplit("<pause", 1)
    (tmp_path / "caller.xml").write_text(f'{head}<pause milliseconds="2000"/>\n  <pause{end}')
    port = free_port()
    with System(f"sip:agent@127.0.0.1:{port}") as again:
        with (
            Sipp(tmp_path / "leg1.xml", remote=again.proxy) as leg,
            Sipp(tmp_path / "agent.xml", remote=again.proxy, port=port),
        ):
            again.add_target(TARGET, leg.uri)
            with Sipp(tmp_path / "caller.xml", remote=again.proxy):
                pass
        (logged,) = again.store.finished(10)
    assert (logged.transfer.outcome, logged.transfer.status) == (Outcome.REJECTED, 603)


def test_no_secret_is_in_it(agent: Ua, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither answers to challenges, nor media keys, nor passwords in URIs."""
    with tracing(agent, monkeypatch) as system, Ua("desk") as desk, Talk(system, agent) as talk:
        call_id = talk.record.id
        first = ring(talk, desk)
        asks(desk, first, 401, challenge("MD5", "abc"))
        second = desk.expect("INVITE")
        sdp = talk.target_voice.sdp().replace("RTP/AVP", "RTP/SAVP") + CRYPTO.format(key=A_KEY)
        desk.reply(second, 488, sdp=sdp, headers={"Contact": "<sip:1001:hush@127.0.0.1>"})
        desk.expect("ACK")
        talk.notified(488, final=True)
        talk.hang_up()
        System.wait_until(lambda: "488" in trace(call_id).stdout)
        text = trace(call_id, "--full").stdout
        answer = second["Authorization"]
        response = answer.partition('response="')[2].partition('"')[0]
        assert len(response) == 32
        assert "Authorization: Digest ****" in text
        assert "inline:" + "x" * len(A_KEY) + "|2^31" in text
        assert "sip:1001:****@127.0.0.1" in text
        for secret in (PASSWORD, response, A_KEY, "hush"):
            assert secret not in text


def test_nothing_is_kept_of_a_call_without_a_transfer_unless_all_are_wanted(
    agent: Ua, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracing(agent, monkeypatch, trace={"mode": "all"}) as system, Talk(system, agent) as talk:
        call_id = talk.record.id
        talk.hang_up()
        whole(call_id, 11)
        missing = trace("0" * 16)
        assert (missing.exit_code, missing.stdout) == (1, "")
        assert "no SIP messages of a call 0000000000000000 are kept" in missing.stderr


def test_where_it_is_off_kamailio_sends_nothing_and_people_are_told(agent: Ua, monkeypatch: pytest.MonkeyPatch) -> None:
    with UdpEar() as ear, tracing(agent, monkeypatch, trace={"mode": "off", "listen": ear.place}) as system:
        with Talk(system, agent) as talk:
            call_id = declined(talk)
        told = trace(call_id)
        assert (told.exit_code, told.stdout) == (1, "")
        assert "it does not trace SIP: see [trace] in its configuration" in told.stderr
        assert ear.heard() == []


def test_a_homer_gets_the_messages_without_their_secrets(agent: Ua, monkeypatch: pytest.MonkeyPatch) -> None:
    with UdpEar() as homer, tracing(agent, monkeypatch, trace={"homer": homer.place}) as system:
        with Talk(system, agent) as talk:
            declined(talk)
            seen = sip(talk.wire.messages(), system)

        def got() -> list[str]:
            copies = [read_packet(packet) for packet in homer.heard()]
            messages = [Message.parse(copy.text, source=copy.source, destination=copy.destination) for copy in copies]
            return sip(messages, system)

        System.wait_until(lambda: len(got()) >= len(seen), PATIENCE)
        assert got() == seen


def test_calls_go_on_while_the_sidecar_is_away_and_people_are_told(agent: Ua, monkeypatch: pytest.MonkeyPatch) -> None:
    with tracing(agent, monkeypatch) as system:
        system.sidecar.stop()
        with Talk(system, agent) as talk:
            call_id = declined(talk)
        monkeypatch.setattr("cli.traces.asking.ANSWER_WITHIN", 0.2)
        assert "the sidecar of node node1 did not answer" in trace(call_id).stderr
