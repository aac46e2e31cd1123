"""A warm transfer between real phones: what each party hears, one after another, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.phones import Phones, State
from cli.tones import AGENT, CALLER, TARGET
from routing.speech import file_of
from routing.transfer_record import Sound, Standard
from tests.stack.audio import read, read_recording
from tests.stack.heard import phases
from tests.stack.phone_talk import TONES, PhoneTalk
from tests.stack.system import System
from tests.stack.wire import RtpWire, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.phones import PhoneCall
    from tests.stack import leaks
    from tests.stack.heard import Phase
    from tests.stack.wire import RtpPacket

MESSAGE = "You have a call from a customer who wants to change the address of an order."
CRACKLE = 0.2
"""Seconds of anything that a phone may make of its first packets, or of those of a busy machine."""
NEAR, HEARD_NEAR = 0.2, 0.25
"""Seconds by which a pause may miss its setting, in the RTP that the phone gets and behind its jitter buffer.

On a quiet machine it is less than 0.1; a busy one may be late by as much again.
"""


@pytest.fixture(scope="module")
def stage() -> Iterator[PhoneTalk]:
    with Phones() as phones:
        agent = phones.add("agent", tone=AGENT, answer_after=0)
        with System(agent.uri, sidecar=True) as system, Wire(system.port) as wire:
            yield PhoneTalk(phones, system, agent, wire)


@pytest.fixture
def talk(stage: PhoneTalk) -> Iterator[PhoneTalk]:
    yield stage
    stage.end()


@pytest.mark.parametrize("codec", ["PCMU", "G722"])
@pytest.mark.parametrize(("before", "after"), [(0.5, 0.5), (1.2, 0.3)])
def test_the_person_hears_the_message_between_pauses_and_the_caller_hears_music(
    talk: PhoneTalk, codec: str, before: float, after: float
) -> None:
    target = talk.phone(f"target-{codec}")
    target.behave(answer_after=1.0)
    call, agent = talk.connect(talk.phone("caller"))
    settings = {"mode": "message", "message": MESSAGE, "pause_before": before, "pause_after": after}
    assert talk.refer(agent, target, **settings).code == 202
    answered = target.incoming()
    answered.wait(State.CONFIRMED)
    with RtpWire(port := int(answered.media.local.rpartition(":")[2])) as rtp:
        answered.wait_heard("caller", seconds=0.5, timeout=15)
        call.wait_heard(target.name, seconds=0.5, timeout=15)
    agent.wait(State.DISCONNECTED)
    call.hangup()

    hears = heard(talk, answered)
    assert [phase.name for phase in hears] == ["pause", "message", "pause", "caller"], hears
    assert (hears[0].seconds, hears[2].seconds) == pytest.approx((before, after), abs=HEARD_NEAR)
    ok = talk.wire.messages(frm=target.port, method="INVITE", status=200)[-1]
    assert pauses(ok.at, rtp.packets(port)) == pytest.approx((before, after), abs=NEAR)
    hears = [phase for phase in heard(talk, call) if phase.name != "pause"]
    assert [phase.name for phase in hears] == ["agent", "music", target.name], hears


def pauses(answered: float, packets: list[RtpPacket]) -> tuple[float, float]:
    """Measure the pauses before and after the first stream of packets, which is the message."""
    message = [packet for packet in packets if packet.ssrc == packets[0].ssrc]
    caller = packets[len(message)]
    assert caller.ssrc != message[-1].ssrc, "one stream follows the other"
    return message[0].at - answered, caller.at - (message[-1].at + 0.02)


def heard(talk: PhoneTalk, call: PhoneCall) -> list[Phase]:
    """Tell what a phone heard in a call that is over."""
    speech = talk.system.settings.speech
    sounds: dict[str, leaks.Sound] = {
        "agent": AGENT,
        "caller": CALLER,
        "target": TARGET,
        "target-PCMU": TONES["target-PCMU"],
        "target-G722": TONES["target-G722"],
        "music": read(file_of(speech, Standard.MUSIC)),
        "message": read(file_of(speech, Sound(text=MESSAGE))),
    }
    found = phases(read_recording(call), sounds, shortest=0.1)
    return [phase for phase in found if phase.name != "unknown" or phase.seconds > CRACKLE]
