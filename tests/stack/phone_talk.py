"""Real phones on the real stack: a caller and an agent who talk, and a target they are handed over to."""

from __future__ import annotations

import contextlib
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from cli.phones import Incoming, PhoneError, State, TransferProgress
from cli.tones import CALLER, TARGET
from tests.stack.wire import RtpWire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.phones import Phone, PhoneCall, Phones, ReplyReceived
    from tests.stack.message import Message
    from tests.stack.system import System
    from tests.stack.wire import Wire

SUPPORT = "support"
ALL = ("PCMU", "PCMA", "G722")
TONES = {
    "caller": CALLER,
    "caller-PCMA": 550,
    "caller-G722": 380,
    "target": TARGET,
    "target-PCMU": 1400,
    "target-G722": 1750,
}
"""The voice of each phone; those with a codec in their names have no other one."""
SHORTEST = 0.15
"""Seconds that a sound lasts to be counted. On a busy machine the phones themselves stumble for less than that."""
LOST = 3
"""Packets in a row, 60 ms, that nobody hears missing."""


class PhoneTalk:
    """Switches on the phones that a test wants, and lets them talk; `wire` sees every SIP message meanwhile."""

    def __init__(self, phones: Phones, system: System, agent: Phone, wire: Wire) -> None:
        self.phones = phones
        self.system = system
        self.wire = wire
        self._phones = {"agent": agent}
        self.began = time.time()

    def phone(self, name: str) -> Phone:
        """Give the phone of this name, see TONES; it is switched on once."""
        if name not in self._phones:
            codecs = tuple(name.split("-")[1:]) or ALL
            self._phones[name] = self.phones.add(name, tone=TONES[name], codecs=codecs)
        return self._phones[name]

    def connect(self, caller: Phone) -> tuple[PhoneCall, PhoneCall]:
        """Let a caller and the agent talk; gives the call as each of them has it."""
        self.began = time.time()
        call = caller.call(f"sip:agent@127.0.0.1:{self.system.port}")
        call.wait(State.CONFIRMED)
        agent = self._phones["agent"].incoming()
        self.hear_each_other(call, agent)
        return call, agent

    def refer(self, agent: PhoneCall, target: Phone, **settings: object) -> ReplyReceived:
        """Let the agent send REFER to the target."""
        self.system.add_target(SUPPORT, target.uri, **settings)
        return agent.refer(f"sip:{SUPPORT}@127.0.0.1:{self.system.port}")

    def hand_over(self, caller: Phone, target: Phone) -> tuple[PhoneCall, PhoneCall]:
        """Do a whole blind transfer; gives the call as caller and target have it, who hear one another."""
        target.behave(answer_after=0.2)
        call, agent = self.connect(caller)
        assert self.refer(agent, target).code == 202
        answered = target.incoming()
        answered.wait(State.CONFIRMED)
        self.hear_each_other(call, answered)
        with contextlib.suppress(PhoneError):  # after a second it is let go, which a busy machine may take to hear
            agent.hangup()
        agent.wait(State.DISCONNECTED)
        return call, answered

    @staticmethod
    def hear_each_other(one: PhoneCall, other: PhoneCall) -> None:
        """Wait until both hear the other one, from now on."""
        now = time.time()
        one.wait_heard(other.phone.name, now)
        other.wait_heard(one.phone.name, now)

    def voices(self, call: PhoneCall) -> list[str]:
        """Tell whom a phone heard one after another, pauses included, since the call was answered until now."""
        names = [sound.name for sound in call.heard(shortest=SHORTEST)]
        while names and names[0] in {"pause", "unknown"}:  # before the first packet
            names.pop(0)
        return names

    @contextlib.contextmanager
    def undisturbed(self, call: PhoneCall, agent: PhoneCall) -> Iterator[None]:
        """Check that caller and agent hear one another all the while, and that no message reaches the caller."""
        began = time.time()
        ports = [int(one.media.local.rpartition(":")[2]) for one in (call, agent)]
        with RtpWire(*ports) as rtp:
            yield
            self.hear_each_other(call, agent)
        assert self.to(call.phone, began) == []
        assert (self.voices(call), self.voices(agent)) == (["agent"], [call.phone.name])
        for port in ports:
            lost = max((b.sequence - a.sequence - 1) & 0xFFFF for a, b in pairwise(rtp.packets(port)))
            assert lost < LOST, f"{lost} packets in a row were lost"

    def to(self, phone: Phone, since: float) -> list[Message]:
        """Give the SIP messages that have reached a phone since then."""
        return self.wire.messages(to=phone.port, since=since)

    def progress(self, agent: PhoneCall) -> list[tuple[int, bool]]:
        """Give what the NOTIFYs told the agent so far: status, and whether it was final."""
        return [(event.code, event.final) for event in agent.events if isinstance(event, TransferProgress)]

    def end(self) -> None:
        """Hang up whatever is still up, and forget calls that nobody took."""
        for phone in self._phones.values():
            for call in phone.calls:
                if call.state is not State.DISCONNECTED:
                    with contextlib.suppress(PhoneError):  # it has ended meanwhile
                        call.hangup()
                        call.wait(State.DISCONNECTED)
            with contextlib.suppress(PhoneError):  # there is none
                while True:
                    phone.wait_for(Incoming, timeout=0)
