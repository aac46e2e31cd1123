"""The phones of the demo and the tests, calling one another directly."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cli.phones import (
    DigitHeard,
    Incoming,
    MediaChanged,
    PhoneError,
    Phones,
    Referred,
    RequestReceived,
    State,
    TransferProgress,
)
from cli.tones import AGENT, CALLER, TARGET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.phones import Phone, PhoneCall


@pytest.fixture
def phones() -> Iterator[Phones]:
    with Phones() as phones:
        yield phones


def connected(caller: Phone, callee: Phone) -> tuple[PhoneCall, PhoneCall]:
    call = caller.call(callee.uri)
    call.wait(State.CONFIRMED)
    answered = callee.incoming()
    answered.wait(State.CONFIRMED)
    return call, answered


def test_each_phone_hears_the_other_ones_tone(phones: Phones) -> None:
    caller = phones.add("caller", tone=CALLER)
    agent = phones.add("agent", tone=AGENT, answer_after=0.1)
    start = time.time()
    call, answered = connected(caller, agent)
    call.wait_heard("agent", start)
    answered.wait_heard("caller", start)
    assert {sound.name for sound in call.heard()} <= {"pause", "agent"}
    call.hangup()
    assert answered.wait(State.DISCONNECTED).code == 200
    assert "caller" in {sound.name for sound in answered.heard()}
    assert call.sip_call_id == answered.sip_call_id


@pytest.mark.parametrize("codec", ["PCMU", "PCMA", "G722"])
def test_every_codec_carries_the_tones(phones: Phones, codec: str) -> None:
    caller = phones.add("caller", tone=CALLER)
    agent = phones.add("agent", tone=AGENT, codecs=(codec,), answer_after=0)
    start = time.time()
    call, answered = connected(caller, agent)
    call.wait_heard("agent", start)
    answered.wait_heard("caller", start)
    media = call.media
    assert media.codec == codec
    assert media.remote == answered.media.local
    assert media.source == media.remote


def test_hold_silences_and_resume_brings_the_voice_back(phones: Phones) -> None:
    caller = phones.add("caller", tone=CALLER)
    agent = phones.add("agent", tone=AGENT, answer_after=0)
    call, answered = connected(caller, agent)
    call.wait_heard("agent")
    held = time.time()
    assert call.hold().code == 200
    answered.wait_for(MediaChanged, sending=False)
    call.wait_heard("pause", held)
    resumed = time.time()
    assert call.resume().code == 200
    call.wait_heard("agent", resumed)


def test_a_refer_is_followed_by_the_notifys_of_the_peer(phones: Phones) -> None:
    caller = phones.add("caller", tone=CALLER)
    agent = phones.add("agent", tone=AGENT, answer_after=0)
    target = phones.add("target", tone=TARGET, answer_after=0.2)
    call, answered = connected(caller, agent)
    assert answered.refer(target.uri, headers={"X-Handoff-Mode": "blind"}).code == 202
    assert call.wait_for(RequestReceived, method="REFER").message.count("X-Handoff-Mode: blind") == 1
    assert call.wait_for(Referred).to == target.uri
    final = answered.wait_for(TransferProgress, final=True)
    assert (final.code, final.reason) == (200, "OK")
    codes = [event.code for event in answered.events if isinstance(event, TransferProgress)]
    assert codes == [100, 180, 200]
    target.incoming().wait_heard("caller")


def test_a_refused_refer_shows_its_status(phones: Phones) -> None:
    caller = phones.add("caller", tone=CALLER)
    agent = phones.add("agent", tone=AGENT, answer_after=0)
    target = phones.add("target", tone=TARGET, answer_after=0, answer_with=486)
    _, answered = connected(caller, agent)
    answered.refer(target.uri)
    assert answered.wait_for(TransferProgress, final=True).code == 486


def test_update_info_and_digits_pass(phones: Phones) -> None:
    caller = phones.add("caller", tone=CALLER)
    agent = phones.add("agent", tone=AGENT, answer_after=0)
    call, answered = connected(caller, agent)
    assert call.update().code == 200
    assert answered.wait_for(RequestReceived, method="UPDATE").message.startswith("UPDATE sip:agent@")
    assert call.info("Signal=5\r\nDuration=160", "application/dtmf-relay").code == 200
    assert answered.wait_for(DigitHeard).digit == "5"
    call.dtmf("7")
    assert answered.wait_for(DigitHeard).digit == "7"


def test_a_call_is_rejected_with_the_status_given(phones: Phones) -> None:
    caller = phones.add("caller", tone=CALLER)
    agent = phones.add("agent", tone=AGENT)
    call = caller.call(agent.uri, headers={"X-Test": "yes"})
    assert "X-Test: yes" in agent.wait_for(Incoming).message
    call.wait(State.EARLY)
    agent.calls[0].reject(603)
    assert call.wait(State.DISCONNECTED).code == 603
    with pytest.raises(PhoneError, match=r"ended \(603 Decline\) before confirmed"):
        call.wait(State.CONFIRMED)


def test_a_caller_who_gives_up_leaves_the_ringing_phone(phones: Phones) -> None:
    caller = phones.add("caller", tone=CALLER)
    agent = phones.add("agent", tone=AGENT, answer_after=30)
    call = caller.call(agent.uri)
    ringing = agent.incoming()
    call.wait(State.EARLY)
    call.hangup()
    assert ringing.wait(State.DISCONNECTED).code == 487
    assert call.wait(State.DISCONNECTED).code == 487


def test_the_phone_is_found_by_its_port_whatever_the_user_is(phones: Phones) -> None:
    caller = phones.add("caller", tone=CALLER)
    phones.add("agent", tone=AGENT)
    target = phones.add("target", tone=TARGET)
    caller.call(f"sip:+49301234@127.0.0.1:{target.port}")
    assert "INVITE sip:+49301234@" in target.wait_for(Incoming).message


def test_what_does_not_happen_is_told_with_its_name(phones: Phones) -> None:
    caller = phones.add("caller", tone=CALLER)
    with pytest.raises(PhoneError, match=r"caller: no Incoming\(\) within 0.05 s"):
        caller.incoming(timeout=0.05)
    with pytest.raises(PhoneError, match="Invalid Request URI"):
        caller.call("nobody")


ONE_LIFE = """
import socket
from cli.phones import Phones, State
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 0))
with Phones() as phones:
    caller, agent = phones.add("caller", tone=440), phones.add("agent", tone=620, answer_after=0)
    call = caller.call(agent.uri)
    call.wait(State.CONFIRMED)
    caller.call(f"sip:nobody@127.0.0.1:{silent.getsockname()[1]}")
    END
"""


@pytest.mark.parametrize(("end", "status"), [("pass", 0), ("raise SystemExit(3)", 3), ("call.hangup()", 0)])
def test_a_process_with_live_calls_ends_cleanly_and_silently(end: str, status: int) -> None:
    code = ONE_LIFE.replace("END", end)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (status, "", "")
