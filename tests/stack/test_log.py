"""The call log of real transfers: `handoff log show` says what happened, to whom and why."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli.main import handoff
from cli.phones import Phones, State
from cli.tones import AGENT, CALLER, TARGET
from rtpengine import Query
from tests.stack.system import System
from tests.stack.talk import TARGET as SUPPORT
from tests.stack.talk import Talk
from tests.stack.ua import PATIENCE, Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

ENOUGH = 50
"""Packets that nobody takes for an accident."""


def environ(system: System) -> dict[str, str]:
    return {"HANDOFF_SETTINGS": str(system.folder / "settings.json"), "COLUMNS": "200"}


def typed(system: System, *words: str) -> str:
    """Type `handoff log` with more words, and give what it writes."""
    result = CliRunner().invoke(handoff, ["log", *words], env=environ(system))
    assert result.exit_code == 0, result.output
    return result.stdout


def page(talk: Talk) -> str:
    """Type `handoff log show` for the last transfer."""
    return typed(talk.system, "show", talk.last_transfer.id)


def shown(talk: Talk) -> dict[str, Any]:
    """Type the same with --json."""
    (entry,) = json.loads(typed(talk.system, "show", talk.last_transfer.id, "--json"))
    return dict(entry)


@pytest.fixture
def desk() -> Iterator[Ua]:
    with Ua("desk") as desk:
        yield desk


def test_a_connected_transfer_with_transcoding_is_told_with_its_media() -> None:
    """The phones send RTCP: of the target's voice loss, jitter and MOS are known, for the caller reports them.

    What the target reports of a voice that is transcoded for it, rtpengine leaves aside.
    """
    with contextlib.ExitStack() as stack:
        phones = stack.enter_context(Phones())
        agent = phones.add("agent", tone=AGENT, answer_after=0)
        caller = phones.add("caller", tone=CALLER, codecs=("PCMA",))
        target = phones.add("target", tone=TARGET, codecs=("G722",), answer_after=0.1)
        system = stack.enter_context(System(agent.uri))
        system.add_target("desk", target.uri)
        call = caller.call(f"sip:+49301@127.0.0.1:{system.port}")
        call.wait(State.CONFIRMED)
        system.wait_until(lambda: len(system.calls()) == 1)
        call_id = system.calls()[0].id
        result = CliRunner().invoke(handoff, ["calls", "transfer", call_id, "desk", "--wait"], env=environ(system))
        assert result.exit_code == 0, result.output

        def reported() -> bool:
            found = system.media.request("media1", Query(call_id))
            return found.quality("caller") is not None and found.tags["leg1"].packets > ENOUGH

        system.wait_until(reported, 4 * PATIENCE)
        call.hangup()
        call.wait(State.DISCONNECTED)
        system.wait_until(lambda: json.loads(typed(system, "--json"))[0]["heard"] is not None)
        (entry,) = json.loads(typed(system, "show", call_id[:6], "--json"))
        text = typed(system, "show", call_id)
        cells = next(csv.DictReader(io.StringIO(typed(system, "--csv"))))
    assert (entry["caller_codec"], entry["attempts"][0]["codecs"], entry["transcoded"]) == ("PCMA", ["G722"], True)
    assert entry["offered"] == ["PCMA", "PCMU", "G722", "opus"]
    (attempt,) = entry["attempts"]
    stages = [attempt[name] for name in ("started_at", "trying_at", "ringing_at", "answered_at", "ended_at")]
    assert stages == sorted(stages)
    assert 0 < entry["changeover"] < entry["answer_to_bridge"] < entry["time_to_human"] < PATIENCE
    assert float(cells["changeover"]) == round(entry["changeover"], 4)
    assert f"{1000 * entry['changeover']:.1f} ms: the caller heard nobody for so long at most" in text
    for party, codec in (("caller", "PCMA"), ("target", "G722")):
        heard = entry["heard"]["parties"][party]
        assert heard["codec"] == codec
        assert heard["packets"] > ENOUGH
        assert cells[f"{party}_packets"] == str(heard["packets"])
    target_heard = entry["heard"]["parties"]["target"]
    assert 1 < target_heard["mos"] <= 5
    assert cells["target_mos"] == str(target_heard["mos"])
    assert (cells["outcome"], cells["transcoded"], cells["answered"]) == ("connected", "yes", "G722")
    assert "the caller speaks PCMA; offered PCMA PCMU G722 opus; the target answered G722: transcoded" in text
    assert "MOS 4" in text
    assert "caller and person talk" in text
    assert text.rstrip().endswith("the call ends")


def test_an_endpoint_that_is_busy_and_one_that_answers_are_told(talk: Talk, desk: Ua) -> None:
    """With the cause in the Reason header of the refusal, and with what the other parties were told."""
    talk.system.add_target(SUPPORT, desk.uri, talk.target.uri)
    talk.agent.expect(202, to=talk.refer())
    talk.notified(100)
    refused = desk.expect("INVITE")
    desk.reply(refused, 180)
    talk.notified(180)
    desk.reply(refused, 486, headers={"Reason": 'SIP;cause=486, Q.850;cause=17;text="User busy"'})
    desk.expect("ACK")
    invite = talk.target.expect("INVITE")
    assert invite["X-Handoff-Call"] == talk.record.id
    talk.target_answers(invite)
    talk.notified(200, final=True)
    talk.agent_leaves()
    entry = shown(talk)
    busy, connected = entry["attempts"]
    assert (busy["uri"], busy["status"], busy["cause"], busy["theirs"]) == (desk.uri, 486, 17, True)
    assert busy["ringing_at"] is not None
    assert (connected["uri"], connected["status"], connected["codecs"]) == (talk.target.uri, 200, ["PCMU"])
    assert invite.call_id == f"{entry['call']}-{connected['leg']}"
    assert entry["origin"]["source"] == f"127.0.0.1:{talk.caller.port}"
    assert entry["origin"]["trunk"] == "loopback"
    assert entry["origin"]["called"].startswith("<sip:+4930123456@")
    assert entry["heard"] is None
    text = page(talk)
    words = [line.strip().split("  ")[-1].strip() for line in text.splitlines()]
    assert f"INVITE {desk.uri}" in words
    assert "486 Busy Here (Q.850 cause 17)" in words
    assert words.index(f"INVITE {talk.target.uri}") < words.index("caller and person talk")
    assert refused.call_id in text
    talk.hang_up_on_target()
    talk.nothing_left()
    talk.system.wait_until(lambda: shown(talk)["heard"] is not None)
    assert shown(talk)["heard"]["parties"]["caller"]["packets"] > 0


def test_nobody_answers_in_time_and_the_page_says_that_we_gave_up(system: System, agent: Ua) -> None:
    with Talk(system, agent, ring_timeout=1.0) as talk:
        invite = talk.refer_accepted()
        talk.target.reply(invite, 180)
        talk.notified(180)
        talk.target.reply(talk.target.expect("CANCEL"), 200)
        talk.target.reply(invite, 487)
        talk.target.expect("ACK")
        talk.notified(408, final=True)
        (attempt,) = shown(talk)["attempts"]
        assert (attempt["status"], attempt["theirs"]) == (408, False)
        assert attempt["ended_at"] - attempt["ringing_at"] > 0.9
        text = page(talk)
        assert "given up: 408 Request Timeout" in text
        assert "NOTIFY 408 Request Timeout" in text
        talk.hang_up()


def test_a_person_who_declines_is_told_with_the_agents_news(talk: Talk) -> None:
    invite = talk.refer_accepted()
    talk.target.reply(invite, 603, headers={"Reason": "Q.850;cause=21"})
    talk.target.expect("ACK")
    talk.notified(603, final=True)
    entry = shown(talk)
    assert (entry["outcome"], entry["status"], entry["attempts"][0]["cause"]) == ("rejected", 603, 21)
    assert entry["attempts"][0]["ringing_at"] is None
    assert "603 Decline (Q.850 cause 21)" in page(talk)
    talk.hang_up()


def test_a_caller_who_hangs_up_while_it_rings_leaves_the_endpoint_in_the_log(talk: Talk) -> None:
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    bye = talk.caller.request("BYE", talk.caller_dialog, headers={"Reason": "Q.850;cause=16"})
    talk.caller.expect(200, to=bye)
    talk.target.reply(talk.target.expect("CANCEL"), 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")
    talk.notified(487, final=True)
    talk.agent.reply(talk.agent.expect("BYE"), 200)
    entry = shown(talk)
    assert (entry["outcome"], entry["cause"]) == ("caller_hung_up", 16)
    assert [attempt["uri"] for attempt in entry["attempts"]] == [talk.target.uri]
    assert "the caller hangs up" in page(talk)
    talk.nothing_left()


def test_follow_shows_a_transfer_when_it_has_finished(talk: Talk) -> None:
    command = [sys.executable, "-m", "cli.main", "log", "--follow", "--json", "--limit", "1"]
    env = {**environ(talk.system), "PATH": "/usr/bin"}
    invite = talk.refer_accepted()
    talk.target.reply(invite, 486)
    talk.target.expect("ACK")
    talk.notified(486, final=True)
    first = talk.last_transfer.id
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as process:
        assert process.stdout
        try:
            assert json.loads(process.stdout.readline())["id"] == first
            again = talk.agent.request(
                "REFER", talk.agent_dialog, headers={"Refer-To": f"<sip:{SUPPORT}@127.0.0.1:{talk.system.port}>"}
            )
            talk.agent.expect(202, to=again)
            talk.notified(100)
            talk.target.reply(talk.target.expect("INVITE"), 603)
            talk.target.expect("ACK")
            talk.notified(603, final=True)
            entry = json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGINT)
    assert (entry["id"], entry["status"]) == (talk.last_transfer.id, 603)
    assert entry["id"] != first
    talk.hang_up()


def test_all_that_happens_to_one_call_is_logged_on_demand(talk: Talk) -> None:
    """At the level info; what has been switched off is logged no more."""
    log = talk.system.kamailio.log

    def switch(*more: str) -> None:
        result = CliRunner().invoke(handoff, ["calls", "debug", talk.record.id, *more], env=environ(talk.system))
        assert result.exit_code == 0, result.output

    switch()
    refuse(talk)
    lines = [line for line in log.read_text().splitlines() if f"call={talk.record.id} debug=" in line]
    assert any("debug=event LegFailed leg=1 status=486" in line for line in lines)
    assert any("debug=action InviteLeg leg=1" in line for line in lines)
    assert "m=audio" not in "".join(lines)
    switch("--off")
    before = log.read_text().count("debug=")
    refuse(talk)
    assert log.read_text().count("debug=") == before
    talk.hang_up()


def refuse(talk: Talk) -> None:
    """Let a transfer be asked for, and be refused."""
    invite = talk.refer_accepted()
    talk.target.reply(invite, 486)
    talk.target.expect("ACK")
    talk.notified(486, final=True)
