"""Blind transfers from each codec to each: both hear one another, and the caller keeps the codec that it talks in."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import handoff
from cli.phones import Phones, State
from cli.tones import AGENT, CALLER, TARGET
from rtpengine.sdp import endpoint, payload_types, voices
from tests.stack.baresip import Baresip
from tests.stack.system import System
from tests.stack.wire import RtpWire, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.phones import Phone, PhoneCall

CODECS = ("PCMU", "PCMA", "G722", "opus")
TONES = {"caller": CALLER, "agent": AGENT, "target": TARGET}
NUMBER, OPUS_NUMBER = "+49301", "+49302"
"""What leads to an agent; the other one has Opus."""
ENOUGH = 50
"""Packets in which a tone is found with ease."""
PATIENCE = 10.0
LONG = 0.3
"""Seconds of a voice that nobody takes for a click."""


class Stage:
    """The stack with a phone for each part and codec, PJSIP or Baresip; those of a part have the same voice."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.phones = stack.enter_context(Phones())
        # The first one: PJSIP gives it the calls whose Request-URI is no phone.
        agent = self.phones.add("agent", tone=AGENT, answer_after=0)
        self.opus = {part: stack.enter_context(Baresip(hertz, user=OPUS_NUMBER)) for part, hertz in TONES.items()}
        self.plain = {
            f"{part}-{codec}": self.phones.add(f"{part}-{codec}", tone=TONES[part], codecs=(codec,), answer_after=0.1)
            for part in ("caller", "target")
            for codec in CODECS[:-1]
        }
        self.versatile = self.phones.add("target", tone=TARGET, codecs=("G722", "PCMA", "PCMU"), answer_after=0.1)
        self.phones.tones.clear()
        self.phones.tones.update(TONES)
        pools = [
            {"name": "opus", "numbers": [OPUS_NUMBER], "agents": [{"uri": self.opus["agent"].uri}]},
            {"name": "agents", "numbers": ["*"], "agents": [{"uri": agent.uri}]},
        ]
        self.system = stack.enter_context(System(pools=pools))
        self.wire = stack.enter_context(Wire(self.system.port))

    def phone(self, part: str, codec: str) -> Phone | Baresip:
        """Give the phone that has this codec alone."""
        return self.opus[part] if codec == "opus" else self.plain[f"{part}-{codec}"]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        yield Stage(stack)


class Call:
    """A call that is handed over, as it is seen from outside."""

    def __init__(self, stage: Stage, caller: Phone | Baresip, number: str) -> None:
        self._stage, self.caller = stage, caller
        self.began = time.time()
        uri = f"sip:{number}@127.0.0.1:{stage.system.port}"
        self.calling = None if isinstance(caller, Baresip) else caller.call(uri)
        if isinstance(caller, Baresip):
            caller.dial(uri)
        self.view = self._answer(to=caller.port)
        self.answered: PhoneCall | None = None

    def _answer(self, *, frm: int | None = None, to: int | None = None) -> str:
        """Wait for the 200 for an INVITE; gives its SDP."""

        def answers() -> list[str]:
            found = self._stage.wire.messages(frm=frm, to=to, method="INVITE", status=200, since=self.began)
            return [message.body for message in found]

        System.wait_until(lambda: answers() != [], PATIENCE)
        return answers()[0]

    @property
    def port(self) -> int:
        """Where the caller gets RTP."""
        offer = self._stage.wire.messages(frm=self.caller.port, method="INVITE", requests=True, since=self.began)[0]
        return endpoint(offer.body)[1]

    def hand_over(self, target: Phone | Baresip) -> str:
        """Let a command hand it over; gives the target's answer."""
        system = self._stage.system
        system.add_target("desk", target.uri)
        System.wait_until(lambda: len(system.calls()) == 1)
        settings = {"HANDOFF_SETTINGS": str(system.folder / "settings.json")}
        result = CliRunner().invoke(handoff, ["calls", "transfer", system.calls()[0].id, "desk"], env=settings)
        assert result.exit_code == 0, result.output
        if not isinstance(target, Baresip):
            self.answered = target.incoming()
        return self._answer(frm=target.port)

    def end(self) -> None:
        """Hang up, and wait until all is over."""
        if isinstance(self.caller, Baresip):
            self.caller.hang_up()
        if self.calling is not None:
            self.calling.hangup()
            self.calling.wait(State.DISCONNECTED)
        System.wait_until(lambda: self._stage.system.calls() == [], PATIENCE)


def hears(call: PhoneCall | None, who: str, rtp: RtpWire, port: int, since: float) -> None:
    """Wait until a party hears another one; of Baresip this shows when its call is over, so wait for packets."""
    if call is not None:
        call.wait_heard(who, since, timeout=PATIENCE)
    else:
        System.wait_until(lambda: len(rtp.packets(port, since=since)) >= ENOUGH, PATIENCE)


def heard_last(phone: Baresip) -> str:
    """Name whom Baresip has heard last in its last call."""
    phone.hung_up(calls=len(phone.recordings()))
    return [sound.name for sound in phone.heard(TONES) if sound.seconds >= LONG][-1]


@pytest.mark.parametrize("target_has", CODECS)
@pytest.mark.parametrize("caller_has", CODECS)
def test_both_hear_one_another_and_the_caller_keeps_its_codec(stage: Stage, caller_has: str, target_has: str) -> None:
    caller, target = stage.phone("caller", caller_has), stage.phone("target", target_has)
    call = Call(stage, caller, OPUS_NUMBER if caller_has == "opus" else NUMBER)
    with RtpWire(call.port) as before:
        System.wait_until(lambda: len(before.packets()) >= ENOUGH // 2, PATIENCE)
    answer = call.hand_over(target)
    joined, port = time.time(), endpoint(answer)[1]
    with RtpWire(call.port, port) as rtp:
        hears(call.calling, "target", rtp, call.port, joined)
        hears(call.answered, "caller", rtp, port, joined)
    call.end()
    if isinstance(caller, Baresip):
        assert heard_last(caller) == "target"
    if isinstance(target, Baresip):
        assert heard_last(target) == "caller"
    assert voices(call.view) == (caller_has,)
    assert voices(answer) == (target_has,)
    types = {payload_types(call.view)[0]}
    assert {str(packet.payload_type) for packet in before.packets()} == types
    assert {str(packet.payload_type) for packet in rtp.packets(call.port)} == types
    assert {str(packet.payload_type) for packet in rtp.packets(port)} == {payload_types(answer)[0]}


@pytest.mark.parametrize("caller_has", CODECS[:-1])
def test_nothing_is_transcoded_where_the_target_has_the_callers_codec(stage: Stage, caller_has: str) -> None:
    """Whatever codec the target itself likes best."""
    call = Call(stage, stage.phone("caller", caller_has), NUMBER)
    answer = call.hand_over(stage.versatile)
    joined = time.time()
    with RtpWire(call.port, endpoint(answer)[1]) as rtp:
        hears(call.calling, "target", rtp, call.port, joined)
        hears(call.answered, "caller", rtp, endpoint(answer)[1], joined)
    call.end()
    assert voices(answer)[0] == caller_has
    assert len({packet.payload_type for packet in rtp.packets()}) == 1
